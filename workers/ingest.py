"""Files become NwbFile rows: what may be read later, by any worker, on any machine."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.nwb import conversion_lines
from pipeline.params import digest
from schemas import recording, session
from schemas._ingest import DEADLINE_S, MEMORY
from schemas._names import safe_name
from schemas._roots import root_of

NWB = (".nwb", ".h5", ".hdf5")
FEATURES = (".parquet", ".csv", ".npz")


class SourceError(ValueError):
    """Something that was to be ingested is not there, or is not what can be read."""


def find_sources(patterns: Iterable[str], *, base: Path) -> list[str]:
    """Files and URLs that `patterns` name: a path, a folder, a glob, or an http(s) URL.

    Raises
    ------
    SourceError
        If a pattern names nothing, or a folder holds a recording that is not NWB yet; the
        message then has the lines that convert it.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        if pattern.startswith(("http://", "https://")):
            found[pattern] = None
            continue
        if pattern.startswith("dandi:"):
            raise SourceError(
                f"{pattern}: dandisets are not ingested by name yet; download with "
                f"`dandi download DANDI:{pattern[6:].split('/')[0]}` and ingest the folder"
            )
        if "://" in pattern:
            raise SourceError(
                f"{pattern}: of URLs, only http:// and https:// are read; give one of those, or "
                "download the file"
            )
        for path in _expand(pattern, base):
            found[str(path)] = None
    return list(found)


def register(
    patterns: Iterable[str], *, base: Path, lab: str | None = None,
    mapping: dict[str, Any] | None = None,
) -> list[str]:  # fmt: skip
    """Insert an NwbFile row for each file that `patterns` name; their keys, in order."""
    keys = []
    for source in find_sources(patterns, base=base):
        row = describe(source, lab=lab, mapping=mapping)
        session.NwbFile.insert1(row, skip_duplicates=True)
        keys.append(row["nwb_file"])
    return keys


def ingest(
    keys: list[str], *, on_file: Callable[[str], None] = lambda path: None
) -> list[dict[str, Any]]:
    """Read registered files, those again whose reading failed before; what came of each.

    Parameters
    ----------
    on_file
        Called with the path of each file before it is read.

    Returns
    -------
    list
        One dictionary a file, in the order of their paths: ``path, status, sessions, layout``,
        counts of what it holds, and ``messages``, its warnings or its error.
    """
    asked = [{"nwb_file": key} for key in keys]
    (recording.Ingestion & asked & {"ingestion_status": "error"}).delete(prompt=False)
    unread = {}
    for key in asked:
        on_file((session.NwbFile & key).fetch1("path"))
        done = recording.Ingestion.populate(key, suppress_errors=True)
        for _, message in done["error_list"]:
            unread[key["nwb_file"]] = message
    return _outcome(asked, unread)


def describe(
    source: str, *, lab: str | None = None, mapping: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The NwbFile row of a path or URL; equal mappings, however written, give one row."""
    from pipeline.evaluation.features_file import FeatureMapping

    remote = source.startswith(("http://", "https://"))
    root, path = (None, source) if remote else root_of(Path(source))
    kind = "features" if Path(path).suffix in FEATURES else "nwb"
    mark: dict[str, Any] = {"root": root, "path": path, "revision": 0}
    columns = None
    if mapping is not None and kind == "features":
        columns = mark["mapping"] = FeatureMapping.model_validate(mapping).to_json()
    return {
        "nwb_file": digest(mark),
        "root": root,
        "path": path,
        "file_kind": kind,
        "source_hint": safe_name(lab) if lab else None,
        "bytes": None if remote else Path(source).stat().st_size,
        "revision": 0,
        "mapping": columns,
        "registered": datetime.now(UTC).replace(tzinfo=None, microsecond=0),
    }


def _expand(pattern: str, base: Path) -> list[Path]:
    path = Path(pattern).expanduser()
    path = path if path.is_absolute() else base / path
    if path.is_file():
        return [path]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in NWB and p.is_file())
        lines = None if files else conversion_lines(path)
        if lines is not None:
            raise SourceError(f"{path} holds no NWB file: {lines}")
        if not files:
            raise SourceError(f"no NWB file in the folder {path}; give a folder with *.nwb files")
        return files
    anchor = Path(path.anchor or ".")
    files = sorted(p for p in anchor.glob(str(path.relative_to(path.anchor))) if p.is_file())
    if not files:
        raise SourceError(f"nothing is at {path}; give a file, a folder, a glob or a URL")
    return files


def read_mapping(file: Path) -> dict[str, Any]:
    """The mapping of a feature file's columns, from a TOML file.

    Raises
    ------
    SourceError
        If the file is no TOML, or no mapping; one line per mistake.
    """
    from pydantic import ValidationError

    from pipeline.evaluation.features_file import FeatureMapping

    try:
        return FeatureMapping.from_toml(file).to_json()
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in item['loc'])}: {item['msg']}".replace(": :", ":")
            for item in error.errors()
        ]
        raise SourceError(
            f"{file} is no mapping; it says which column is what, e.g. "
            'features = ["power"], subject = "mouse", region = "region"\n' + "\n".join(lines)
        ) from error
    except ValueError as error:
        raise SourceError(f"{file} is not TOML: {error}") from error


def find_embeddings(sources: Iterable[str], *, base: Path) -> list[str]:
    """Files of vectors that `sources` name.

    Raises
    ------
    SourceError
        If there is none, or one is of another kind.
    """
    found = find_sources(sources, base=base)
    wrong = [source for source in found if Path(source).suffix not in FEATURES]
    if wrong or not found:
        kinds = ", ".join(FEATURES)
        raise SourceError(
            f"embeddings come as {kinds}; got {', '.join(wrong) or 'no file'}. Recordings are "
            "ingested without the word `embeddings`"
        )
    return found


def preview(sources: Iterable[str], *, base: Path, lab: str | None = None) -> list[dict[str, Any]]:
    """What an ingest would read, without inserting anything."""
    from pipeline.nwb import ReadError, read_summary_isolated

    rows = []
    for source in find_sources(sources, base=base):
        row = describe(source, lab=lab)
        known = bool(session.NwbFile & {"nwb_file": row["nwb_file"]})
        shown: dict[str, Any] = {"path": row["path"], "bytes": row["bytes"], "registered": known}
        shown |= {"layout": "features", "lfp": 0, "channels": 0, "units": 0, "messages": []}
        if row["file_kind"] == "nwb":
            try:
                found = read_summary_isolated(source, memory_bytes=MEMORY, deadline_s=DEADLINE_S)
                shown |= {
                    "layout": found.layout,
                    "lfp": len(found.lfp),
                    "channels": len(found.channels),
                    "units": len(found.units),
                    "messages": found.warnings,
                }
            except ReadError as error:
                said = _sentence(error.message, error.way_out)
                shown |= {"layout": "error", "messages": [said]}
        rows.append(shown)
    return rows


def _outcome(asked: list[dict[str, str]], unread: dict[str, str]) -> list[dict[str, Any]]:
    found = {row["nwb_file"]: row for row in (recording.Ingestion & asked).to_dicts()}
    told: dict[str, list[str]] = {}
    differs: dict[str, list[str]] = {}
    spoken = recording.IngestionSession * session.Session.proj("session_id") & asked
    for row in spoken.to_dicts(order_by="session"):
        told.setdefault(row["nwb_file"], []).append(row["session_id"])
        if row["conflicts"]:
            differs.setdefault(row["nwb_file"], []).append(_disagreement(row))
    rows = []
    for file in (session.NwbFile & asked).to_dicts(order_by="path"):
        row = found.get(file["nwb_file"], {})
        wrong = [_sentence(row["message"], row["way_out"])] if row.get("message") else []
        wrong += [unread[file["nwb_file"]]] if file["nwb_file"] in unread else []
        warnings = row.get("warnings", []) + differs.get(file["nwb_file"], [])
        rows.append(
            {
                "path": file["path"],
                "status": _status(row, warnings),
                "sessions": told.get(file["nwb_file"], []),
                "layout": row.get("layout"),
                **{
                    name: row.get(f"n_{name}", 0) for name in ("lfp", "channels", "units", "trials")
                },
                "warnings": len(warnings),
                "messages": wrong + warnings,
            }
        )
    return rows


def _status(row: dict[str, Any], warnings: list[str]) -> str:
    stored = row.get("ingestion_status", "error")
    return "warnings" if stored == "ok" and warnings else stored


def _disagreement(row: dict[str, Any]) -> str:
    """An earlier file said other things of the same session."""
    places = sorted({f"{c['table']}.{c['column']}" for c in row["conflicts"]})
    return (
        f"session {row['session_id']}: {len(row['conflicts'])} × other than an earlier file says, "
        f"whose values stay ({', '.join(places[:4])}{', …' * (len(places) > 4)}); "
        "see conflicts of recording.IngestionSession, and --lab if these are two sessions"
    )


def _sentence(message: str, way_out: str | None) -> str:
    return f"{message.rstrip('.')}; {way_out}" if way_out else message
