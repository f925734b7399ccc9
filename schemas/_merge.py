"""Several files speak of one session: rows are merged, disagreements recorded."""

from typing import Any


def insert_or_merge(table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Insert the rows that are new; fill the empty columns of those that are there.

    Returns
    -------
    list
        One ``{table, key, column, stored, given}`` for each column in which a stored value
        differs from the given one. The stored value stays.
    """
    if not rows:
        return []
    names = table().heading.names
    rows = [{name: row.get(name) for name in names if name in row} for row in rows]
    key_names = table().primary_key
    stored = {
        tuple(row[name] for name in key_names): row
        for row in (table & [{name: row[name] for name in key_names} for row in rows]).to_dicts()
    }
    fresh, conflicts = [], []
    for row in rows:
        mark = tuple(row[name] for name in key_names)
        if mark in stored:
            conflicts += _fill(table, stored[mark], row, key_names)
        else:
            stored[mark] = row
            fresh.append(row)
    table.insert(fresh, skip_duplicates=True)
    return conflicts


def _fill(table, stored, given, key_names) -> list[dict[str, Any]]:
    key = {name: stored[name] for name in key_names}
    free = [n for n in given if n not in key_names and n != "nwb_file" and given[n] is not None]
    filled = {name: given[name] for name in free if stored[name] is None}
    if filled:
        table.update1({**key, **filled})
    return [
        {
            "table": table.__name__,
            "key": {name: str(value) for name, value in key.items()},
            "column": name,
            "stored": str(stored[name]),
            "given": str(given[name]),
        }
        for name in free
        if stored[name] is not None and not _same(stored[name], given[name])
    ]


def _same(stored: Any, given: Any) -> bool:
    if isinstance(stored, float) or isinstance(given, float):
        return abs(float(stored) - float(given)) <= 1e-6 * max(1.0, abs(float(given)))
    return stored == given
