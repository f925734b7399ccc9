"""A database filled from a folder, without computing anything again."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import datajoint as dj

import schemas
from schemas._buckets import make_buckets
from schemas._definitions import digest_of as digest_of_lines
from schemas._definitions import package_lines, package_version
from schemas._differences import compare
from schemas._reap import live_leases
from schemas._roots import data_roots

from .folder import (
    OBJECT_COLUMNS,
    OBJECT_LIST,
    CarryError,
    Manifest,
    check_file,
    file_of,
    read_manifest,
    read_rows,
)
from .kinds import comparable, why_not
from .objects import Stores, bring_object
from .tables import Row, Table, carried_tables, insert, is_empty, rows_with

PACKET = 8_000_000


@dataclass
class Brought:
    """What an import did: rows and stored files that were new, and that were there already."""

    rows: int = 0
    rows_there: int = 0
    objects: int = 0
    objects_there: int = 0
    object_bytes: int = 0
    unknown_roots: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def import_all(
    folder: Path, *, prefix: str = "fieldbase", say: Callable[[str], None] = lambda _: None
) -> Brought:
    """Add the rows and objects of a folder to this database; tables are made where there are none.

    Objects come first, each complete or absent, then all rows in one transaction: a kill leaves no
    row, and a second run copies only the objects that are not there. Rows that are there with the
    same content stay.

    Raises
    ------
    CarryError
        If the folder is not whole, was made by other definitions, or has a row that this database
        has otherwise or cannot hold; no row was added then.
    """
    folder = Path(folder).expanduser()
    manifest = read_manifest(folder)
    _refuse_other_definitions(manifest, prefix)
    schemas.activate(prefix)
    make_buckets()
    connection = schemas.connect()
    _refuse_while_in_use()
    tables = carried_tables()
    for table in tables:
        check_file(file_of(folder, table.name), manifest.tables[table.name].sha256)
    check_file(folder / OBJECT_LIST, manifest.object_list_sha256)
    filled = {table.name for table in tables if not is_empty(table, connection)}
    for table in tables:
        for rows in read_rows(file_of(folder, table.name), list(table.kinds)):
            _check(table, rows, connection, table.name in filled)
    brought = Brought(unknown_roots=sorted(set(manifest.roots) - data_roots().keys()))
    _bring_objects(folder, manifest, brought, say)
    with connection.transaction:
        for table in tables:
            _bring_rows(folder, table, connection, table.name in filled, brought)
    say(f"{brought.rows} rows were added, {brought.rows_there} were there")
    return brought


def _refuse_other_definitions(manifest: Manifest, prefix: str) -> None:
    if manifest.prefix != prefix:
        raise CarryError(
            f"the folder has the tables {manifest.prefix}_*, this process uses {prefix}_*: objects "
            "lie under the names of their tables, so both must be the same"
        )
    lines = package_lines()
    if manifest.definitions == digest_of_lines(lines):
        return
    stored = {name: tuple(told) for name, told in manifest.lines.items()}
    told = "; ".join(found.told for found in compare(stored, lines)[:3])
    raise CarryError(
        f"the folder was written by fieldbase {manifest.made_by.get('fieldbase')} (definitions "
        f"{manifest.definitions[:12]}), this is {package_version()} (definitions "
        f"{digest_of_lines(lines)[:12]}): {told}. Bring the database it is from to this version by "
        "`fieldbase upgrade`, export it again, or import with the version that wrote the folder"
    )


def _refuse_while_in_use() -> None:
    if leases := live_leases():
        who = sorted({f"{row['worker_host']}, pid {row['worker_pid']}" for row in leases})
        raise CarryError(
            f"{len(leases)} process(es) compute in this database ({'; '.join(who[:5])}): they "
            "would make what is about to come. Let them end, then import again"
        )


def _check(table: Table, rows: list[Row], connection: dj.Connection, filled: bool) -> list[Row]:
    """The rows that are not there yet; a CarryError if one is there otherwise or cannot be."""
    backend = connection.adapter.backend
    for row in rows:
        for (name, kind), value in zip(table.kinds.items(), row, strict=True):
            if reason := why_not(kind, value, backend):
                raise CarryError(
                    f"{table.name} ({table.tell(table.key_of(row))}): {reason}, which "
                    f"its {name} has; nothing was changed"
                )
    there = rows_with(table, [table.key_of(row) for row in rows], connection) if filled else {}
    return [row for row in rows if not _is_there(table, row, there)]


def _is_there(table: Table, row: Row, there: dict[Row, Row]) -> bool:
    key = table.key_of(row)
    if key not in there:
        return False
    if differing := _differing(table, row, there[key]):
        raise CarryError(
            f"{table.name} has a row ({table.tell(key)}) with another content than the folder's: "
            f"{', '.join(differing)} differ{'s' * (len(differing) == 1)}; nothing was changed. "
            "Delete the row that is not wanted, there or where the folder is from, or import into "
            "an empty database"
        )
    return True


def _differing(table: Table, one: Row, other: Row) -> list[str]:
    return [
        name
        for (name, kind), mine, theirs in zip(table.kinds.items(), one, other, strict=True)
        if comparable(kind, mine) != comparable(kind, theirs)
    ]


def _bring_objects(folder: Path, manifest: Manifest, brought: Brought, say) -> None:
    stores = Stores()
    for objects in read_rows(folder / OBJECT_LIST, OBJECT_COLUMNS.names):
        for one in objects:
            if bring_object(stores, one, folder):
                brought.objects += 1
                brought.object_bytes += one[2]
            else:
                brought.objects_there += 1
        say(f"{brought.objects + brought.objects_there} of {manifest.objects} stored files")


def _bring_rows(
    folder: Path, table: Table, connection: dj.Connection, filled: bool, brought: Brought
) -> None:
    for rows in read_rows(file_of(folder, table.name), list(table.kinds)):
        missing = _check(table, rows, connection, filled)
        brought.rows_there += len(rows) - len(missing)
        for some in _packets(missing):
            try:
                insert(table, some, connection)
            except (dj.errors.DataJointError, ValueError) as error:
                raise CarryError(
                    f"rows of {table.name} cannot be added ({' '.join(str(error).split())[:300]}); "
                    "nothing was changed"
                ) from error
            _read_back(table, some, connection)
            brought.rows += len(some)


def _read_back(table: Table, rows: list[Row], connection: dj.Connection) -> None:
    """Raise a CarryError if the server made something else of a row."""
    there = rows_with(table, [table.key_of(row) for row in rows], connection)
    for row in rows:
        key = table.key_of(row)
        if differing := _differing(table, row, there[key]) if key in there else list(table.key):
            raise CarryError(
                f"this server made another {', '.join(differing)} of a row of {table.name} "
                f"({table.tell(key)}); nothing was changed"
            )


def _packets(rows: list[Row]) -> Iterator[list[Row]]:
    """The same rows in pieces that a statement has room for."""
    some, size = [], 0
    for row in rows:
        length = sum(len(value) if isinstance(value, str | bytes) else 16 for value in row)
        if some and size + length > PACKET:
            yield some
            some, size = [], 0
        some.append(row)
        size += length
    if some:
        yield some
