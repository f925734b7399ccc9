"""Every row a study rests on: its tasks, what was made of them, and all that those name."""

from typing import Any

import datajoint as dj
import pandas as pd

import schemas
from schemas import anatomy, dataset, recording
from schemas._params import Task

MANY = 500  # keys in one query

Rows = dict[str, pd.DataFrame]


def rows_of_study(study: str) -> Rows:
    """Rows by table (``module.Table``, parts as ``module.Table.Part``), without their arrays.

    Of a task: the row, its inputs, what was computed, with its parts; then, again and again, what
    these rows name by a foreign key. An array or folder is told by where it is stored.

    Raises
    ------
    LookupError
        If there is no such study.
    """
    if not dataset.Study & {"study": study}:
        known = sorted(dataset.Study().to_arrays("study"))
        raise LookupError(f"no study {study!r} in the database; there are {known}")
    tables = all_tables()
    found = _Found(tables)
    found.add(dataset.Study, [{"study": study}])
    found.add(dataset.StudyMember, [{"study": study}])
    for row in (dataset.StudyMember & {"study": study}).to_dicts():
        key = row["member_table"].removesuffix("_task")
        found.add_task(key, row["member"])
    found.close()
    return {name: rows for name, rows in found.rows.items() if len(rows)}


def all_tables() -> dict[str, type[dj.Table]]:
    """Every table of the package by name, parents before children."""
    found = {}
    for module in schemas.MODULES:
        place = module.__name__.rsplit(".", 1)[-1]
        for table in vars(module).values():
            if not (isinstance(table, type) and issubclass(table, dj.Table)):
                continue
            if table.__module__ != module.__name__ or "definition" not in vars(table):
                continue
            found[f"{place}.{table.__name__}"] = table
            for part in vars(table).values():
                if isinstance(part, type) and issubclass(part, dj.Part):
                    found[f"{place}.{table.__name__}.{part.__name__}"] = part
    return found


class _Found:
    """Rows gathered so far, and those of which the parents have not been looked at."""

    def __init__(self, tables: dict[str, type[dj.Table]]) -> None:
        self.tables = tables
        self.names = {table().full_table_name: name for name, table in tables.items()}
        self.rows: Rows = {name: pd.DataFrame() for name in tables}
        self.tasks: set[tuple[str, str]] = set()

    def add(self, table: type[dj.Table], keys: list[dict[str, Any]]) -> bool:
        """Rows that the keys restrict to; whether any is new."""
        name = self.names[table().full_table_name]
        fetched = [self.rows[name]]
        for start in range(0, len(keys), MANY):
            fetched.append(_fetch(table, keys[start : start + MANY]))
        joined = pd.concat([frame for frame in fetched if len(frame)] or fetched[:1])
        if len(joined):
            joined = joined.drop_duplicates(subset=table().primary_key, ignore_index=True)
        new = len(joined) > len(self.rows[name])
        self.rows[name] = joined
        return new

    def add_task(self, key: str, mark: str) -> None:
        """A task with its inputs and its result: every table whose key begins with the task's."""
        if (key, mark) in self.tasks:
            return
        self.tasks.add((key, mark))
        for table in self.tables.values():
            if table().primary_key[:1] == [key]:
                self.add(table, [{key: mark}])

    def close(self) -> None:
        """Follow every foreign key upwards until nothing is new."""
        order = list(self.tables.items())
        changed = True
        while changed:
            self._add_labels()
            changed = False
            for name, table in reversed(order):
                changed |= self._add_parents(name, table)
            for name, table in order:
                if issubclass(table, Task) and len(self.rows[name]):
                    known = len(self.tasks)
                    for mark in self.rows[name][table.key]:
                        self.add_task(table.key, mark)
                    changed |= len(self.tasks) > known

    def _add_parents(self, name: str, table: type[dj.Table]) -> bool:
        rows, new = self.rows[name], False
        if not len(rows):
            return False
        for parent, link in table().parents(foreign_key_info=True):
            columns = link["attr_map"]  # column here: column there
            named = rows[list(columns)].rename(columns=columns).dropna().drop_duplicates()
            above = self.tables[self.names[parent]]
            have = self.rows[self.names[parent]]
            if len(have):
                known = have[list(named.columns)].drop_duplicates()
                both = named.merge(known, how="left", indicator=True)
                named = both[both["_merge"] == "left_only"].drop(columns="_merge")
            if len(named):
                new |= self.add(above, named.to_dict("records"))
        return new

    def _add_labels(self) -> None:
        """The labels that count, as given and in the scheme: a dataset names only their set."""
        members, sets = self.rows["dataset.DatasetMember"], self.rows["dataset.Dataset"]
        if not len(members):
            return
        pairs = members.merge(sets[["dataset", "scheme"]], on="dataset")
        pairs = pairs[["label_set", "scheme"]].dropna().drop_duplicates().to_dict("records")
        self.add(recording.LabelEntry, [{"label_set": p["label_set"]} for p in pairs])
        for table in (anatomy.LabelTask, anatomy.ChannelLabel, anatomy.ChannelLabel.Region):
            self.add(table, pairs)


def _fetch(table: type[dj.Table], keys: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as plain values; of what lies in a store, where and what it is."""
    rows = (table() & keys).to_dicts()
    return pd.DataFrame([{name: _plain(value) for name, value in row.items()} for row in rows])


def _plain(value: Any) -> Any:
    if hasattr(value, "_backend"):  # NpyRef or ObjectRef
        told = {"path": value.path, "store": value.store}
        for name in ("shape", "dtype", "size"):
            if getattr(value, name, None) is not None and not callable(getattr(value, name)):
                told[name] = str(value.dtype) if name == "dtype" else getattr(value, name)
        return told
    return value
