"""The SQL that adds to a table what its class has and the database lacks.

The statements are those DataJoint would make the table with. `datajoint.Table.alter` is not used:
it drops columns that the class does not know, and refuses tables whose keys or indexes differ.
"""

import re
from collections.abc import Sequence

import datajoint as dj
from datajoint.declare import declare, prepare_declare

from ._columns import declared_lines, table_name
from ._differences import Difference


def statements(table: type[dj.Table], differing: Sequence[Difference]) -> list[str]:
    """SQL that settles the additive differences of one table.

    Parameters
    ----------
    table
        A class bound to its schema, if that is there. Where a table it refers to is not there
        yet, remarks (``-- ...``) stand for the SQL.
    """
    new = differing[0].subject == "table"
    try:
        if table.database is None:
            raise dj.errors.DataJointError("its schema is new")
        return _creating(table) if new else _altering(table, {found.subject for found in differing})
    except dj.errors.DataJointError:
        lines = declared_lines(table) if new else [found.told for found in differing]
        return [f"-- {table_name(table)}{' is new' * new}", *(f"--   {line}" for line in lines)]


def _creating(table: type[dj.Table]) -> list[str]:
    connection = table.connection
    sql, _, _, _, before, after = declare(
        table.full_table_name,
        table.definition,
        table.declaration_context,
        connection.adapter,
        config=connection._config,
    )
    return [" ".join(line.split()) for line in [*before, sql, *after]]


def _altering(table: type[dj.Table], subjects: set[str]) -> list[str]:
    """One ALTER TABLE, and on PostgreSQL what it cannot hold: comments and indexes."""
    adapter, name = table.connection.adapter, table.full_table_name
    _, _, columns, links, indexes, _, _, comments = prepare_declare(
        table.definition, table.declaration_context, adapter
    )
    new = {subject.removeprefix("column ") for subject in subjects if subject[:7] == "column "}
    clauses = [f"ADD COLUMN {sql}" for sql in columns if _names(sql)[0] in new]
    clauses += [f"ADD {sql}" for sql in links if _link(_members(sql)) in subjects]
    later = [
        adapter.column_comment_ddl(name, column, comment)
        for column, comment in comments.items()
        if column in new
    ]
    for sql in indexes:
        members = _members(sql)
        if not {f"index {', '.join(members)}", _link(members)} & subjects:
            continue
        if adapter.supports_inline_indexes:
            clauses.append(f"ADD {sql}")
        else:
            unique = sql.lower().startswith("unique")
            later.append(adapter.create_index_ddl(name, members, unique=unique))
    first = [f"ALTER TABLE {name} {', '.join(clauses)}"] if clauses else []
    return first + [sql for sql in later if sql]


def _link(members: list[str]) -> str:
    return f"foreign key {', '.join(sorted(members))}"


def _members(sql: str) -> list[str]:
    """Columns in the first brackets of an index or a foreign key."""
    return _names(re.search(r"\((.*?)\)", sql)[1])


def _names(sql: str) -> list[str]:
    return re.findall(r'[`"](\w+)[`"]', sql)
