"""A study as a folder: one parquet file a table, and where every number comes from."""

import hashlib
import json
import platform
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from schemas import dataset
from schemas._connect import connect, server_version

from .lineage import all_tables, rows_of_study

PACKAGES = ("fieldbase", "datajoint", "numpy", "pandas", "scipy", "scikit-learn", "torch",
            "transformers", "pynwb", "h5py")  # fmt: skip
PROVENANCE = "provenance.json"


class ExportError(LookupError):
    """Something that was to be exported is not there, or its target is."""


def export_study(study: str, folder: Path, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """Write every row a study rests on; the folder, which is there only once all of it is.

    ``<module>.<Table>.parquet`` each, readable with pandas alone: JSON is text, an array is told
    by its shape, type and place in the store. ``provenance.json`` has the study's file, versions,
    and of each table its rows, sha256, and what the columns are.

    Raises
    ------
    ExportError
        If the folder is there.
    LookupError
        If the study is not.
    """
    folder = Path(folder)
    refuse_existing(folder)
    rows = rows_of_study(study)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        about = {name: _write(name, frame, partial) for name, frame in rows.items()}
        told = {"study": _study(study), **_made_by(), "tables": about}
        (partial / PROVENANCE).write_text(json.dumps(told, indent=1, default=str))
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    say(f"{sum(map(len, rows.values()))} rows of {len(rows)} tables")
    return folder


def refuse_existing(target: Path) -> None:
    """Raise an ExportError if there is something already."""
    if Path(target).exists():
        raise ExportError(f"{target} is there already; remove it or name another place")


def _write(name: str, frame: pd.DataFrame, folder: Path) -> dict[str, Any]:
    table = all_tables()[name]
    heading = table().heading
    frame = frame.sort_values(table().primary_key, ignore_index=True)
    for column in frame:
        if heading[column].json or heading[column].codec is not None:
            frame[column] = frame[column].map(_as_json)
    path = folder / f"{name}.parquet"
    frame.to_parquet(path, index=False)
    return {
        "file": path.name,
        "rows": len(frame),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "what": table().heading.table_status["comment"].split("\n")[0].strip(),
        "key": list(table().primary_key),
        "columns": {column: heading[column].comment for column in frame},
        "refers_to": sorted(_last(parent) for parent in table().parents()),
    }


def _as_json(value: Any) -> str | None:
    missing = value is None or (isinstance(value, float) and value != value)
    return None if missing else json.dumps(value, sort_keys=True, default=str)


def _last(full_name: str) -> str:
    return full_name.replace("`", "").replace('"', "")


def _study(name: str) -> dict[str, Any]:
    row = (dataset.Study & {"study": name}).fetch1()
    return {
        "name": name,
        "title": row["study_title"],
        "question": row["question"],
        "digest": row["study_digest"],
        "added": row["study_added"],
        "run_by": row["package_version"],
        "toml": row["toml"],
    }


def _made_by() -> dict[str, Any]:
    """Versions of what exported, and of the server."""
    product, number = server_version(connect())
    return {
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), product: number} | _versions(),
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError

    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
