"""The tables that populate() fills."""

from collections.abc import Iterator

import datajoint as dj


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


def name_of(table: dj.Table | type[dj.Table]) -> str:
    """``module.Table``."""
    kind = table if isinstance(table, type) else type(table)
    return f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
