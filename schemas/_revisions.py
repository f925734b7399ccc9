"""A file that changed has a row for each content; the later one stands for what there is now."""

import json
from collections.abc import Iterable
from typing import Any

from . import recording, session

MANY = 500


def lineage(file: dict[str, Any]) -> tuple:
    """What all revisions of one file have in common."""
    return (
        file["root"],
        file["path"],
        file["file_kind"],
        json.dumps(file["mapping"], sort_keys=True),
    )


def revisions(paths: Iterable[str]) -> dict[tuple, list[dict[str, Any]]]:
    """NwbFile rows at these paths by lineage, the newest first, each with its ``read`` status.

    ``read`` is the status of its Ingestion, None where nobody has read it.
    """
    paths = sorted(set(paths))
    found: dict[tuple, list[dict[str, Any]]] = {}
    for start in range(0, len(paths), MANY):
        named = [{"path": path} for path in paths[start : start + MANY]]
        rows = (session.NwbFile & named).to_dicts()
        keys = [{"nwb_file": row["nwb_file"]} for row in rows]
        done = recording.Ingestion.proj("ingestion_status") & keys if keys else []
        read = {row["nwb_file"]: row["ingestion_status"] for row in (done and done.to_dicts())}
        for row in sorted(rows, key=lambda row: -row["revision"]):
            row["read"] = read.get(row["nwb_file"])
            found.setdefault(lineage(row), []).append(row)
    return found


def superseded(files: Iterable[str]) -> set[str]:
    """Of these files, the revisions that a later one, read without error, has taken over from."""
    keys = [{"nwb_file": file} for file in set(files)]
    if not keys:
        return set()
    asked = {key["nwb_file"] for key in keys}
    paths = (session.NwbFile & keys).to_arrays("path")
    old: set[str] = set()
    for rows in revisions(paths).values():
        good = [row for row in rows if row["read"] not in (None, "error")]
        old |= {row["nwb_file"] for row in rows if good and row["revision"] < good[0]["revision"]}
    return old & asked


def files_of(name: str) -> list[str]:
    """Files that speak of a session, in the revision that counts."""
    rows = recording.IngestionSession.proj() & {"session": name}
    found = [row["nwb_file"] for row in rows.to_dicts(order_by="nwb_file")]
    old = superseded(found)
    return [file for file in found if file not in old]
