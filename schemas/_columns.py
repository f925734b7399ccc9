"""What a table consists of, as lines that say the same on both servers.

    key: session, probe
    column depth_um: float64, may be null
    foreign key probe, session: recording.ProbeInsertion (probe, session)
    index trial_digest: unique

Here they are read from a class, without any server; `schemas._server_columns` reads them from a
server, without any class. Comments, the order of columns and the indexes that serve foreign keys
are no part of them.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache

import datajoint as dj
from datajoint.utils import from_camel_case

COLUMN = re.compile(r"(\w+)\s*(?:=\s*([^:]+?)\s*)?:\s*([^#]+?)\s*(?:#|$)")
LINK = re.compile(r"->\s*(?:\[([^\]]*)\])?\s*([^#]+?)\s*(?:#|$)")
INDEX = re.compile(r"(unique\s+)?index\s*\((.*)\)", re.IGNORECASE)


def tables_in(module) -> Iterator[type[dj.Table]]:
    """Classes of a module's tables as declared in it, parts after their masters."""
    for table, _ in module.schema.declare_list:
        yield table
        yield from parts_of(table)


def parts_of(master: type[dj.Table]) -> Iterator[type[dj.Part]]:
    """Classes of a table's parts."""
    for part in vars(master).values():
        if isinstance(part, type) and issubclass(part, dj.Part):
            yield part


def table_name(table: type[dj.Table]) -> str:
    """``module.Table`` or ``module.Master.Part``: the table's name whatever the prefix."""
    return f"{table.__module__.rsplit('.', 1)[-1]}.{table.__qualname__}"


def server_name(table: type[dj.Table]) -> str:
    """The table's name on the server, whether or not the class is bound to one."""
    if not issubclass(table, dj.Part):
        return table.table_name
    return f"{_master_of(table).table_name}__{from_camel_case(table.__name__)}"


@cache
def declared_lines(table: type[dj.Table]) -> tuple[str, ...]:
    """The lines of a class's definition."""
    return canonical(*_read(table))


@cache
def _read(table: type[dj.Table]) -> tuple:
    """Key, columns, foreign keys and indexes of a definition, as `canonical` takes them."""
    key, columns, links, indexes = [], {}, {}, {}
    in_key = True
    for line in re.split(r"\s*\n\s*", table.definition.strip()):
        if line.startswith("---"):
            in_key = False
        elif found := LINK.match(line):
            parent, pairs = _resolve(table, found[2])
            options = (found[1] or "").lower()
            _, parent_columns, *_ = _read(parent)
            for name, original in pairs.items():
                kind = parent_columns[original] + ", may be null" * ("nullable" in options)
                columns.setdefault(name, kind)
            key += [name for name in pairs if in_key and name not in key]
            links[tuple(sorted(pairs))] = (table_name(parent), pairs)
            if "unique" in options:
                indexes[tuple(pairs)] = True
        elif found := INDEX.match(line):
            names = tuple(name.strip() for name in found[2].split(","))
            indexes[names] = found[1] is not None
        elif line and not line.startswith("#"):
            name, default, kind = COLUMN.match(line).groups()
            columns.setdefault(name, kind_of(kind, default))
            key += [name] if in_key else []
    return key, columns, links, indexes


def _resolve(table: type[dj.Table], text: str) -> tuple[type[dj.Table], dict[str, str]]:
    """The table a foreign key leads to, and its columns here: theirs there."""
    node, renamed = ast.parse(text, mode="eval").body, {}
    if isinstance(node, ast.Call):  # Table.proj(here="there")
        renamed = {keyword.value.value: keyword.arg for keyword in node.keywords}
        node = node.func.value
    first, *rest = ast.unparse(node).split(".")
    parent = _master_of(table) if first == "master" else _names_beside(table)[first]
    for name in rest:
        parent = getattr(parent, name)
    return parent, {renamed.get(name, name): name for name in _read(parent)[0]}


def _master_of(part: type[dj.Part]) -> type[dj.Table]:
    return _names_beside(part)[part.__qualname__.split(".")[0]]


def _names_beside(table: type[dj.Table]) -> dict:
    return vars(sys.modules[table.__module__])


def kind_of(kind: str, default: str | None) -> str:
    """Type and default of a column in one spelling: ``varchar(64), may be null``."""
    kind = re.sub(r"\s+", "", kind)
    if default is None:
        return kind
    value = re.sub(r"::[\w ]+(\(\d+\))?$", "", default.strip()).strip("'\"")
    if value.lower() == "null":
        return f"{kind}, may be null"
    if kind == "bool":
        value = {"true": "1", "false": "0"}.get(value, value)
    return f"{kind}, default {value}"


def canonical(key: Iterable[str], columns: dict, links: dict, indexes: dict) -> tuple[str, ...]:
    """Lines of a table, from its key, {column: kind}, foreign keys and indexes.

    Parameters
    ----------
    links
        Sorted columns: (table they lead to, {column here: column there}).
    indexes
        Columns: whether they are unique. What repeats a foreign key is left out.
    """
    told = [f"key: {', '.join(key)}"]
    told += [f"column {name}: {kind}" for name, kind in sorted(columns.items())]
    for names, (parent, pairs) in sorted(links.items()):
        there = ", ".join(pairs[name] for name in names)
        told.append(f"foreign key {', '.join(names)}: {parent} ({there})")
    for names, unique in sorted(indexes.items()):
        if unique or tuple(sorted(names)) not in links:
            told.append(f"index {', '.join(names)}: {'unique' if unique else 'any'}")
    return tuple(told)
