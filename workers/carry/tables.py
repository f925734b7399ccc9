"""The tables that are carried, and their rows in the words of a server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import datajoint as dj

import schemas
from schemas._columns import declared_lines, table_name, tables_in

from .kinds import base_of, is_reference, to_plain, to_server

STAYS = ("operation",)
"""Modules that stay behind: who computes there, what failed there, how those tables were made."""
KEYS = 500

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """A table, with the columns of its definition in the order they are carried in."""

    name: str
    full_name: str
    kinds: dict[str, str]
    key: tuple[str, ...]

    @property
    def references(self) -> list[str]:
        """Columns that name objects in a store."""
        return [name for name, kind in self.kinds.items() if is_reference(kind)]

    def key_of(self, row: Sequence[Any]) -> Row:
        """The key of a row."""
        columns = list(self.kinds)
        return tuple(row[columns.index(name)] for name in self.key)

    def tell(self, key: Sequence[Any]) -> str:
        """A key in words."""
        told = (f"{name} {value!s:.64}" for name, value in zip(self.key, key, strict=True))
        return ", ".join(told)


def carried_tables() -> list[Table]:
    """Every table that is carried, parents before children."""
    found = []
    for module in schemas.MODULES:
        if module.__name__.rsplit(".", 1)[-1] not in STAYS:
            found += [table_of(kind) for kind in tables_in(module)]
    return found


def table_of(kind: type[dj.Table]) -> Table:
    """What carrying needs to know of a table's class, which is bound to a server."""
    lines = declared_lines(kind)
    columns = dict(
        line.removeprefix("column ").split(": ", 1) for line in lines if line.startswith("column ")
    )
    (key,) = (line.removeprefix("key: ") for line in lines if line.startswith("key: "))
    return Table(table_name(kind), kind().full_table_name, columns, tuple(key.split(", ")))


def select(table: Table, connection: dj.Connection) -> str:
    """The statement for every row of a table."""
    columns = (_expression(name, kind, connection) for name, kind in table.kinds.items())
    return f"SELECT {', '.join(columns)} FROM {table.full_name}"


def to_row(table: Table, values: Sequence[Any]) -> Row:
    """A row as the server gave it, in plain values."""
    return tuple(to_plain(k, v) for k, v in zip(table.kinds.values(), values, strict=True))


def is_empty(table: Table, connection: dj.Connection) -> bool:
    """Whether a table has no row."""
    return connection.query(f"SELECT 1 FROM {table.full_name} LIMIT 1").fetchone() is None


def rows_with(table: Table, keys: Sequence[Row], connection: dj.Connection) -> dict[Row, Row]:
    """The rows that a server has under these keys, by key."""
    found = {}
    for start in range(0, len(keys), KEYS):
        where, values = _among(table, keys[start : start + KEYS], connection)
        statement = f"{select(table, connection)} WHERE {where}"
        for row in connection.query(statement, values).fetchall():
            plain = to_row(table, row)
            found[table.key_of(plain)] = plain
    return found


def _among(
    table: Table, keys: Sequence[Row], connection: dj.Connection
) -> tuple[str, tuple[Any, ...]]:
    """A condition for these keys, and its parameters.

    Keys that differ in their last column only share a term: PostgreSQL plans a term for each pair
    of a long list, which takes more time than reading the rows.
    """
    groups: dict[Row, list[Any]] = {}
    for key in keys:
        groups.setdefault(key[:-1], []).append(key[-1])
    *names, last = map(connection.adapter.quote_identifier, table.key)
    *kinds, last_kind = [table.kinds[name] for name in table.key]
    terms, values = [], []
    for first, ends in groups.items():
        same = "".join(f"{name} = %s AND " for name in names)
        terms.append(f"({same}{last} IN ({', '.join(['%s'] * len(ends))}))")
        values += _parameters(kinds, [first], connection)
        values += _parameters([last_kind], [(end,) for end in ends], connection)
    return " OR ".join(terms), tuple(values)


def insert(table: Table, rows: Sequence[Row], connection: dj.Connection) -> None:
    """Insert rows by one statement."""
    names = ", ".join(map(connection.adapter.quote_identifier, table.kinds))
    places = ", ".join([f"({', '.join(['%s'] * len(table.kinds))})"] * len(rows))
    connection.query(
        f"INSERT INTO {table.full_name} ({names}) VALUES {places}",
        _parameters(list(table.kinds.values()), rows, connection),
        reconnect=False,
    )


def _parameters(
    kinds: Sequence[str], rows: Sequence[Row], connection: dj.Connection
) -> tuple[Any, ...]:
    backend = connection.adapter.backend
    return tuple(
        to_server(kind, value, backend)
        for row in rows
        for kind, value in zip(kinds, row, strict=True)
    )


def _expression(name: str, kind: str, connection: dj.Connection) -> str:
    quoted, base = connection.adapter.quote_identifier(name), base_of(kind)
    if connection.adapter.backend == "postgresql":
        return f"{quoted}::text" if base == "json" else quoted
    return f"CAST({quoted} AS DOUBLE)" if base == "float32" else quoted


class Snapshot:
    """Every table as it was at one moment, over a connection of its own; others go on writing."""

    AT_ONCE = 2000
    BEGIN = {
        "postgresql": (  # the first statement sets the moment
            "START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", "SELECT 1",
        ),
        "mysql": (
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ),
    }  # fmt: skip

    def __enter__(self) -> "Snapshot":
        from schemas._connect import connect_again

        self.connection = connect_again()
        for statement in self.BEGIN[self.connection.adapter.backend]:
            self._ask(statement)
        return self

    def __exit__(self, *_) -> None:
        self.connection.close()

    def rows(self, table: Table) -> Iterator[list[Row]]:
        """The rows of a table, some at a time: no more of them are in memory."""
        statement = select(table, self.connection)
        stream = self._fetch if self.connection.adapter.backend == "mysql" else self._declare
        for rows in stream(statement):
            yield [to_row(table, row) for row in rows]

    def _declare(self, statement: str) -> Iterator[list[tuple]]:
        self._ask(f"DECLARE carried NO SCROLL CURSOR FOR {statement}")
        while rows := self._ask(f"FETCH {self.AT_ONCE} FROM carried").fetchall():
            yield rows
        self._ask("CLOSE carried")

    def _fetch(self, statement: str) -> Iterator[list[tuple]]:
        from pymysql.cursors import SSCursor

        with self.connection._conn.cursor(SSCursor) as cursor:
            cursor.execute(statement)
            while rows := cursor.fetchmany(self.AT_ONCE):
                yield rows

    def _ask(self, statement: str):
        return self.connection.query(statement, reconnect=False)
