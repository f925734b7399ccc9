"""What falls with rows: keys, followed down every foreign key and into what they are part of.

Rows hang on things that one column names: a file, a session, a label set, windows, a training. A
row that names a fallen thing falls, and the thing it describes with it: a dataset that lost one
member is another dataset, and so are the split, the trainings and the scores made of it.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import datajoint as dj

from schemas import anatomy, dataset, operation, recording, session
from schemas._params import ParamSet
from schemas._tables import among

from ..export.lineage import all_tables

MANY = 500  # values in one statement
LASTING = (session.Source, session.Subject, anatomy.LabelScheme)
"""They fall with the last that hangs on them, or never."""
BROUGHT = (recording.ProbeInsertion, recording.Channel)
"""Rows of a session that the first file to name them brought."""

Things = dict[str, set[str]]
"""Kind of thing (the column that names it where it is at home) and the keys of it."""


@cache
def tables() -> dict[str, type[dj.Table]]:
    """Every table that can lose rows, by name, parents before children."""
    return {name: t for name, t in all_tables().items() if t.__module__ != operation.__name__}


@cache
def columns(table: type[dj.Table]) -> dict[str, str]:
    """Columns of a table that name a thing, and the kind of thing."""
    by_name = {kind().full_table_name: kind for kind in tables().values()}
    found: dict[str, str] = {}
    for parent, link in table().parents(foreign_key_info=True):
        above = columns(by_name[parent])
        found |= {here: above[there] for here, there in link["attr_map"].items() if there in above}
    first = table().primary_key[0]
    if first not in found and not issubclass(table, ParamSet) and table not in LASTING:
        if not table().parents(primary=True):
            found[first] = first
    return found


def thing_of(table: type[dj.Table]) -> str | None:
    """The column that names the thing a row describes."""
    first = table().primary_key[0]
    return first if first in columns(table) else None


def fallen_rows(table: type[dj.Table], fallen: Things) -> Iterator[Any]:
    """Conditions of which a row that names a fallen thing fits at least one."""
    for column, kind in columns(table).items():
        for some in parts(fallen.get(kind, ())):
            yield among([{column: key} for key in some])


def follow(fallen: Things) -> Things:
    """Everything that falls when `fallen` does, `fallen` included."""
    found: Things = {kind: set(keys) for kind, keys in fallen.items()}
    fresh: Things = {kind: set(keys) for kind, keys in fallen.items()}
    while any(fresh.values()):
        _add_deserted_sessions(found, fresh)
        told: Things = {}
        for table in tables().values():
            column = thing_of(table)
            if column is not None and table not in BROUGHT and table is not dataset.StudyMember:
                for condition in fallen_rows(table, fresh):
                    keys = (table() & condition).to_arrays(column)
                    told.setdefault(columns(table)[column], set()).update(keys)
        _add_those_who_share(fresh.get("nwb_file", set()), told)
        fresh = {kind: set(map(str, keys)) - found.get(kind, set()) for kind, keys in told.items()}
        for kind, keys in fresh.items():
            found.setdefault(kind, set()).update(keys)
    return found


def _add_those_who_share(files: set[str], told: Things) -> None:
    """What rests on probes and channels that these files brought, other files' readings too."""
    names = {kind().full_table_name: kind for kind in BROUGHT}
    for some in parts(files):
        for table in tables().values():
            for parent, _ in table().parents(foreign_key_info=True):
                if parent not in names or not some:
                    continue
                brought = names[parent] & among([{"nwb_file": file} for file in some])
                column = "nwb_file" if table in BROUGHT else table().primary_key[0]
                kind = columns(table)[column]
                rows = dj.U(column) & (table() & brought.proj())
                told.setdefault(kind, set()).update(rows.to_arrays(column))


def _add_deserted_sessions(found: Things, fresh: Things) -> None:
    """Sessions of which no file speaks any more."""
    for some in parts(fresh.get("nwb_file", ())):
        asked = among([{"nwb_file": file} for file in some])
        spoken = set((recording.IngestionSession & asked).to_arrays("session"))
        for names in parts(spoken - found.get("session", set())):
            speak = recording.IngestionSession.proj() & among([{"session": n} for n in names])
            kept = {
                r["session"] for r in speak.to_dicts() if r["nwb_file"] not in found["nwb_file"]
            }
            left = {str(name) for name in set(names) - kept}
            found.setdefault("session", set()).update(left)
            fresh.setdefault("session", set()).update(left)


def parts(keys: Iterable[str]) -> Iterator[list[str]]:
    """The keys in order, so many at a time as one statement takes."""
    listed = sorted(map(str, keys))
    for start in range(0, len(listed), MANY):
        yield listed[start : start + MANY]
