"""By which definitions a database was made, and whether this package has the same.

`operation.Definition` holds a digest and the lines of every table. A package of other definitions
may query; it makes tables that are wholly missing, but computes nothing and changes nothing until
``fieldbase upgrade`` has added what can be added.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import datajoint as dj

from pipeline.params import digest

from ._columns import declared_lines, server_name, table_name, tables_in
from ._differences import Difference, compare
from ._server import ServerError
from ._server_columns import server_lines

log = logging.getLogger(__name__)

Lines = Mapping[str, tuple[str, ...]]


class OtherDefinitions(ServerError):
    """The tables of this database are not those of this package."""


@dataclass(frozen=True)
class Stored:
    """Definitions of a database: lines of each table, who declared them, which have a row."""

    lines: Lines
    versions: tuple[str, ...]
    recorded: frozenset[str]


@cache
def package_lines() -> Lines:
    """The lines of every table of this package, in foreign-key order."""
    from . import MODULES

    return {
        table_name(table): declared_lines(table)
        for module in MODULES
        for table in tables_in(module)
    }


def digest_of(lines: Lines) -> str:
    """One digest (sha256, hex) for tables and all they consist of."""
    return digest({name: list(told) for name, told in lines.items()})


def package_version() -> str:
    """Version of the installed package."""
    try:
        return version("fieldbase")
    except PackageNotFoundError:
        return "not installed"


def stored_definitions(connection: dj.Connection, prefix: str) -> Stored:
    """What the database says its tables are: by its rows, without a row by the server itself."""
    rows = _rows(connection, prefix)
    lines = {row["defined_table"]: tuple(row["definition_lines"]) for row in rows}
    if not lines.keys() >= package_lines().keys():
        lines |= {
            name: told
            for name, told in actual_definitions(connection, prefix).items()
            if name not in lines
        }
    versions = sorted({row["defined_by"] for row in rows})
    return Stored(lines, tuple(versions), frozenset(row["defined_table"] for row in rows))


def actual_definitions(connection: dj.Connection, prefix: str) -> Lines:
    """This package's tables as they really stand on the server."""
    from . import MODULES

    known = {
        (schema_name(prefix, module), server_name(table)): table_name(table)
        for module in MODULES
        for table in tables_in(module)
    }
    return server_lines(connection, known)


def schema_name(prefix: str, module) -> str:
    """What a module's schema is called on the server."""
    return f"{prefix}_{module.__name__.rsplit('.', 1)[-1]}"


def check_before(connection: dj.Connection, prefix: str, *, create: bool) -> None:
    """Compare before tables are declared or queried.

    Raises
    ------
    OtherDefinitions
        If `create` and a table that is there differs; nothing was declared then.
    """
    stored = stored_definitions(connection, prefix)
    differing = compare(stored.lines, package_lines())
    if create and any(found.subject != "table" or not found.additive for found in differing):
        way_out = "; to query only: schemas.activate(create=False)"
        raise OtherDefinitions(explain(stored, differing) + way_out)
    if not all(found.additive for found in differing):
        log.warning("%s", explain(stored, differing))


def record(connection: dj.Connection, prefix: str, *, renew: bool = False) -> None:
    """Keep the definitions of tables that have no row yet; with `renew` of all.

    The caller has made sure that they are this package's.
    """
    rows = {row["defined_table"]: row["definition_digest"] for row in _rows(connection, prefix)}
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    new = [
        {
            "defined_table": name,
            "definition_digest": digest_of({name: lines}),
            "definition_lines": list(lines),
            "defined_by": package_version(),
            "defined_at": now,
        }
        for name, lines in package_lines().items()
        if name not in rows or (renew and rows[name] != digest_of({name: lines}))
    ]
    table = _table(connection, prefix)
    try:
        for row in new:
            if row["defined_table"] in rows:
                table.update1(row)
        table.insert([row for row in new if row["defined_table"] not in rows], skip_duplicates=True)
    except dj.errors.AccessError:
        log.info("the tables' definitions are not recorded: no right to insert")


def refuse_other(connection: dj.Connection | None = None, prefix: str | None = None) -> None:
    """Raise OtherDefinitions unless the database's definitions are this package's.

    Workers call it before they compute: a row must not be made by a table that means something
    else here.

    Parameters
    ----------
    connection, prefix
        Default: those that `schemas.activate` bound.
    """
    import schemas

    connection = connection or schemas.connect(create=False)
    stored = stored_definitions(connection, prefix or schemas._active)
    if dict(stored.lines) != dict(package_lines()):
        raise OtherDefinitions(explain(stored, compare(stored.lines, package_lines())))


def explain(stored: Stored, differing: list[Difference]) -> str:
    """One sentence: both versions and digests, the first differences, the way out."""
    made = f"by {' and '.join(stored.versions)}" if stored.versions else "before this was recorded"
    told = [found.told for found in sorted(differing, key=lambda found: found.additive)]
    more = f"; and {len(told) - 3} more" if len(told) > 3 else ""
    if all(found.additive for found in differing):
        way_out = "`fieldbase upgrade --dry-run` shows what it would add"
    else:
        other = f"fieldbase {stored.versions[-1]}" if stored.versions else "the version it is from"
        way_out = f"no upgrade can do that: use {other} here, or another database"
    return (
        f"the tables of this database (made {made}, definitions "
        f"{digest_of(stored.lines)[:12]}) are not those of this fieldbase {package_version()} "
        f"(definitions {digest_of(package_lines())[:12]}): {'; '.join(told[:3])}{more}; {way_out}"
    )


def _table(connection: dj.Connection, prefix: str) -> dj.FreeTable:
    name = connection.adapter.make_full_table_name(f"{prefix}_operation", "definition")
    return dj.FreeTable(connection, name)


def _rows(connection: dj.Connection, prefix: str) -> list[dict]:
    """Rows of `operation.Definition`, whether or not the class is bound yet."""
    table = _table(connection, prefix)
    return table.to_dicts() if table.is_declared else []
