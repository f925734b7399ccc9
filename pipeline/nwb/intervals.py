"""Trials and other interval tables; stretches declared invalid."""

from typing import Any

import h5py
import numpy as np

from .layout import Layout
from .summary import InvalidSummary, ProbeSummary, TrialSummary
from .tables import Table, as_number, as_text, children, kind_of, walk_groups

_INVALID = "invalid_times"
_LONGEST_TEXT, _LONGEST_LIST = 500, 64


def read_trials(layout: Layout) -> list[TrialSummary]:
    """Every row of every table of intervals, whatever its name, except invalid times."""
    return [
        row
        for table in _tables(layout)
        if not table.name.endswith("/" + _INVALID)
        for row in _rows(table)
    ]


def read_invalid(layout: Layout, probes: list[ProbeSummary]) -> list[InvalidSummary]:
    """Stretches declared invalid, with what they concern."""
    group = layout.file.get(f"intervals/{_INVALID}")
    if not isinstance(group, h5py.Group):
        return []
    table = Table(group, layout.warnings)
    tags = table.ragged("tags") if "tags" in table else None
    names = [probe.probe for probe in probes]
    rows = []
    starts, stops = table.numbers("start_time"), table.numbers("stop_time")
    for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        if start is None or stop is None:
            continue
        own = [text for tag in (tags[i] if tags else []) if (text := as_text(tag))]
        scope = layout.invalid_scope(own, names)
        rows.append(InvalidSummary(start_s=start, stop_s=stop, scope=scope, label="; ".join(own)))
    return rows


def _tables(layout: Layout) -> list[Table]:
    found = [node for _, node in children(layout.file, "intervals")]
    processing = layout.file.get("processing")
    if isinstance(processing, h5py.Group):
        found += [g for g in walk_groups(processing, 3) if kind_of(g) == "TimeIntervals"]
    return [
        Table(group, layout.warnings)
        for group in found
        if isinstance(group, h5py.Group) and "start_time" in group
    ]


def _rows(table: Table) -> list[TrialSummary]:
    n = len(table)
    starts, stops = table.numbers("start_time"), table.numbers("stop_time")
    columns = {
        name: values
        for name in table.columns
        if name not in ("start_time", "stop_time")
        if (values := _column(table, name)) is not None
    }
    path = table.name.removeprefix("intervals/")
    ids = table.ids
    return [
        TrialSummary(
            table=path,
            trial=ids[i],
            start_s=starts[i],
            stop_s=stops[i],
            values={name: values[i] for name, values in columns.items()},
        )
        for i in range(n)
    ]


def _column(table: Table, name: str) -> list[Any] | None:
    """A column as JSON values; None for references, compounds and arrays."""
    data = table.group[name]
    if data.dtype.kind == "V" or h5py.check_ref_dtype(data.dtype) is not None or data.ndim != 1:
        return None
    if f"{name}_index" in table:
        rows = table.ragged(name)
        return None if rows is None else [[_plain(v) for v in r[:_LONGEST_LIST]] for r in rows]
    values = table.values(name)
    return None if values is None else [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | str | np.str_):
        return (as_text(value) or "")[:_LONGEST_TEXT]
    if isinstance(value, np.bool_ | bool):
        return bool(value)
    if isinstance(value, np.integer | int):
        return int(value)
    return as_number(value)
