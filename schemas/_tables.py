"""The tables that populate() fills."""

import re
from collections.abc import Iterator
from typing import Any

import datajoint as dj

from pipeline.params import digest


def computed_tables() -> Iterator[tuple[str, type[dj.Table]]]:
    """Name, as ``module.Table``, and class of every Imported and Computed table.

    In foreign-key order: what a table is computed from comes before it.
    """
    from . import MODULES

    for module in MODULES:
        for table in vars(module).values():
            if isinstance(table, type) and table.__module__ == module.__name__:
                if issubclass(table, dj.Imported | dj.Computed) and "definition" in vars(table):
                    yield f"{module.__name__.rpartition('.')[2]}.{table.__name__}", table


def among(keys: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """A restriction to these keys, in a form that stays quick for thousands of them.

    DataJoint makes a list of keys one long OR, of which MySQL tries each term on each row.
    """
    columns = {tuple(key) for key in keys}
    values = [value for key in keys for value in key.values()]
    plain = all(isinstance(v, str) and re.fullmatch(r"[\w .~+:/-]+", v, re.ASCII) for v in values)
    if len(columns) != 1 or len(values) != len(keys) or not plain:
        return keys
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{next(iter(keys[0]))} IN ({listed})"


def job_digest(key: dict[str, Any]) -> str:
    """What stands for the key of a job in `operation.JobError`."""
    return digest({name: str(value) for name, value in key.items()})


def name_of(table: dj.Table | type[dj.Table]) -> str:
    """``module.Table``."""
    kind = table if isinstance(table, type) else type(table)
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
