"""Files become NwbFile rows: what may be read later, by any worker, on any machine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas import recording, session

from .archive.asked import Asked
from .archive.find import find, find_sources
from .archive.found import SourceError, told_path
from .archive.standing import Standing, compare, enter
from .making import make_rows
from .status import errors

TRIES = 2  # of a file whose server does not answer, before a person is told
Say = Callable[[str], None]
__all__ = ["SourceError", "find_sources", "ingest", "register", "stand"]


@dataclass(frozen=True)
class Registered:
    """Keys of the files to read, in order, and one sentence for each that changed."""

    keys: list[str]
    changed: dict[str, str]


def register(
    patterns: Iterable[str], *, base: Path, lab: str | None = None,
    mapping: dict[str, Any] | None = None, subjects: str | None = None,
    notes: list[str] | None = None, asked: Asked | None = None, say: Say = lambda text: None,
) -> list[str]:  # fmt: skip
    """Insert an NwbFile row for each file that `patterns` name; their keys, in order.

    A file that changed since it was registered keeps its newest row, of which nothing more can
    be read; ``notes`` gets a sentence about it. ``asked`` as in `stand`.
    """
    standings = stand(patterns, base=base, mapping=mapping, subjects=subjects, asked=asked, say=say)
    done = enter_all(standings, lab=lab)
    if notes is not None:
        notes += done.changed.values()
    return done.keys


def stand(
    patterns: Iterable[str], *, base: Path, mapping: dict[str, Any] | None = None,
    subjects: str | None = None, asked: Asked | None = None, say: Say = lambda text: None,
) -> list[Standing]:  # fmt: skip
    """The files that `patterns` name, and how each stands to the tables; inserts nothing.

    With ``asked`` the archive is not asked again what it was asked before.

    Raises
    ------
    SourceError
        If a pattern names nothing; see `find`.
    """
    found = find(patterns, base=base, subjects=subjects, asked=asked, say=say)
    return compare(found, columns_of(mapping))


def columns_of(mapping: dict[str, Any] | None) -> dict[str, Any] | None:
    """A mapping in full; equal ones, however written, become one."""
    if mapping is None:
        return None
    from pipeline.evaluation.features_file import FeatureMapping

    return FeatureMapping.model_validate(mapping).to_json()


def enter_all(
    standings: Iterable[Standing], *, lab: str | None = None, revise: bool = False
) -> Registered:
    """Insert what is new, and with ``revise`` what changed, as a revision beside the old."""
    done = Registered([], {})
    for standing in standings:
        if standing.state == "changed" and not revise:
            key = standing.row["nwb_file"]
            done.changed[key] = (
                f"{standing.found.source} changed since it was registered "
                f"({', '.join(standing.differences)}) and was not read again; `fieldbase ingest "
                "--revise` shows what depends on it and registers it beside the old"
            )
        else:
            key = enter(standing, lab)
        done.keys.append(key)
    return done


def ingest(
    keys: list[str], *, on_file: Callable[[str], None] = lambda path: None,
    say: Say = lambda text: None,
) -> list[dict[str, Any]]:  # fmt: skip
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
    (recording.Ingestion & asked & {"ingestion_status": "error"}).delete_quick()
    paths = {row["nwb_file"]: _told(row) for row in (session.NwbFile & asked).to_dicts()}
    done = make_rows(
        recording.Ingestion, asked, say=say, tries=TRIES,
        on_begin=lambda key: on_file(paths[key["nwb_file"]]),
    )  # fmt: skip
    return _outcome(asked, _unread(done.failed))


def _told(file: dict[str, Any]) -> str:
    return told_path(file["path"], file["mapping"], file["file_kind"])


def _unread(failed: list[tuple[dict[str, str], str]]) -> dict[str, str]:
    """Why files were not read, and what to do, by file: the queue keeps the why alone."""
    told = {row["key"].get("nwb_file"): row for row in errors("Ingestion")} if failed else {}
    ways = {file: row["way_out"] for file, row in told.items()}
    return {
        key["nwb_file"]: _sentence(message, ways.get(key["nwb_file"])) for key, message in failed
    }


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
                "path": _told(file),
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
