"""What tables consist of by the account of the server, in the lines of `schemas._columns`."""

import re
from collections import defaultdict

import datajoint as dj

from ._columns import canonical, kind_of

NATIVE = {
    "int": "int32", "integer": "int32", "bigint": "int64", "smallint": "int16",
    "double": "float64", "double precision": "float64", "float": "float32", "real": "float32",
    "tinyint": "bool", "boolean": "bool", "jsonb": "json",
    "timestamp without time zone": "datetime",
}  # fmt: skip
"""Types of columns that a foreign key made: those alone do not keep the declared type."""


def server_lines(
    connection: dj.Connection, known: dict[tuple[str, str], str]
) -> dict[str, tuple[str, ...]]:
    """Each known table's lines as the server has it; those that are not there are left out.

    Parameters
    ----------
    known
        (schema, table) on the server: ``module.Table``.
    """
    schemas = ", ".join(f"'{name}'" for name in sorted({schema for schema, _ in known}))
    columns = _columns(connection, schemas)
    keys, indexes = _indexes(connection, schemas)
    links = _links(connection, schemas, known)
    return {
        name: canonical(keys[place], columns[place], links[place], indexes[place])
        for place, name in known.items()
        if place in columns
    }


def _columns(connection: dj.Connection, schemas: str) -> dict:
    found = defaultdict(dict)
    for schema, table, name, native, nullable, default, comment in _ask(
        connection, COLUMNS[connection.adapter.backend].format(schemas)
    ):
        declared = re.match(r":([^:]+):", comment or "")  # DataJoint keeps it in the comment
        default = "null" if nullable in ("YES", True) else default
        if not name.startswith("_"):
            kind = declared[1] if declared else _core(native)
            found[schema, table][name] = kind_of(kind, default)
    return found


def _indexes(connection: dj.Connection, schemas: str) -> tuple[dict, dict]:
    keys, members = defaultdict(list), defaultdict(list)
    for schema, table, index, unique, primary, name in _ask(
        connection, INDEXES[connection.adapter.backend].format(schemas)
    ):
        if primary:
            keys[schema, table].append(name)
        else:
            members[schema, table, index, bool(unique)].append(name)
    found = defaultdict(dict)
    for (schema, table, _, unique), names in members.items():
        found[schema, table][tuple(names)] = unique
    return keys, found


def _links(connection: dj.Connection, schemas: str, known: dict) -> dict:
    members = defaultdict(dict)
    for constraint, child, parent, name, original in _ask(
        connection, connection.adapter.load_foreign_keys_sql(schemas, "'~%%'")
    ):
        members[_place(child), _place(parent), constraint][name] = original
    found = defaultdict(dict)
    for (child, parent, _), pairs in members.items():
        found[child][tuple(sorted(pairs))] = (known.get(parent, ".".join(parent)), pairs)
    return found


def _ask(connection: dj.Connection, query: str) -> list[tuple]:
    rows = connection.query(query).fetchall()
    return [tuple(v.decode() if isinstance(v, bytes) else v for v in row) for row in rows]


def _place(full_name: str) -> tuple[str, str]:
    schema, table = re.split(r"[`\"]\.[`\"]", full_name.strip('`"'))
    return schema, table


def _core(native: str) -> str:
    native = re.sub(r"^character varying", "varchar", re.sub(r"^character\(", "char(", native))
    bare = re.sub(r"^(tinyint|smallint|int|bigint)\(\d+\)", r"\1", native)
    return NATIVE.get(bare, bare)


COLUMNS = {
    "mysql": (
        "SELECT table_schema, table_name, column_name, column_type, is_nullable, column_default, "
        "column_comment FROM information_schema.columns WHERE table_schema IN ({})"
    ),
    "postgresql": (
        "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), "
        "NOT a.attnotnull, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum) "
        "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        "LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
        "WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname IN ({})"
    ),
}
INDEXES = {
    "mysql": (
        "SELECT table_schema, table_name, index_name, 1 - non_unique, index_name = 'PRIMARY', "
        "column_name FROM information_schema.statistics WHERE table_schema IN ({}) "
        "ORDER BY table_schema, table_name, index_name, seq_in_index"
    ),
    "postgresql": (
        "SELECT n.nspname, c.relname, i.relname, x.indisunique, x.indisprimary, a.attname "
        "FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid "
        "JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "CROSS JOIN LATERAL unnest(x.indkey) WITH ORDINALITY AS k(number, place) "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number "
        "WHERE n.nspname IN ({}) ORDER BY n.nspname, c.relname, i.relname, k.place"
    ),
}
