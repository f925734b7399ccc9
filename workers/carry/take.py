"""A whole database as a folder that any server can be filled from."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import schemas
from schemas import session
from schemas._connect import server_version
from schemas._definitions import digest_of as digest_of_lines
from schemas._definitions import package_lines, package_version, refuse_other
from schemas._stores import sync_folder

from .folder import (
    OBJECT_LIST,
    CarryError,
    Manifest,
    TableFile,
    digest_of,
    file_of,
    schema_of,
    write_manifest,
    write_rows,
)
from .kinds import add_digests, row_digest
from .objects import take_objects, write_object_list
from .tables import Snapshot, Table, carried_tables


@dataclass(frozen=True)
class Taken:
    """What an export wrote."""

    folder: Path
    rows: int
    tables: int
    objects: int
    object_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"folder": str(self.folder)}


def export_all(
    folder: Path, *, prefix: str = "fieldbase", say: Callable[[str], None] = lambda _: None
) -> Taken:
    """Write every row and every object it names; the folder, there only once all of it is.

    The rows are those of one moment, whoever computes meanwhile; objects are never written again
    under the same name. What `workers.carry.tables.STAYS` names, the queues of jobs and the states
    of trainings that are not done stay behind.

    Raises
    ------
    CarryError
        If the folder is there, or an object is not.
    OtherDefinitions
        If the tables are not those of this package.
    """
    folder = Path(folder)
    if folder.exists():
        raise CarryError(f"{folder} is there already; remove it or name another place")
    schemas.activate(prefix, create=False)
    refuse_other()
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "rows").mkdir(parents=True)
    try:
        taken = _write(partial, prefix, say)
        _reach_the_disk(partial)
        partial.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return Taken(folder, *taken)


def _write(folder: Path, prefix: str, say: Callable[[str], None]) -> tuple[int, int, int, int]:
    tables, files, roots = carried_tables(), {}, set()
    with Snapshot() as snapshot:
        product, number = server_version(snapshot.connection)
        for table in tables:
            files[table.name] = _write_table(snapshot, table, folder, roots)
    rows = sum(one.rows for one in files.values())
    say(f"{rows} rows of {len(tables)} tables; copying what they name")
    count, n_bytes = write_object_list(folder / OBJECT_LIST, take_objects(tables, folder))
    say(f"{count} stored files, {n_bytes} bytes")
    lines = package_lines()
    manifest = Manifest(
        prefix=prefix,
        made_by={
            "fieldbase": package_version(), product: number, "python": platform.python_version(),
        },
        exported=datetime.now(UTC).isoformat(timespec="seconds"),
        definitions=digest_of_lines(lines),
        lines={name: list(told) for name, told in lines.items()},
        tables=files,
        objects=count,
        object_bytes=n_bytes,
        object_list_sha256=_sha256(folder / OBJECT_LIST),
        roots=sorted(roots),
    )  # fmt: skip
    write_manifest(folder, manifest)
    return rows, len(tables), count, n_bytes


def _write_table(snapshot: Snapshot, table: Table, folder: Path, roots: set[str]) -> TableFile:
    path, kinds = file_of(folder, table.name), list(table.kinds.values())
    count = digest = 0
    is_file = table.full_name == session.NwbFile().full_table_name
    with pq.ParquetWriter(path, schema_of(table)) as writer:
        for rows in snapshot.rows(table):
            write_rows(writer, rows)
            count += len(rows)
            digest = add_digests(digest, (row_digest(kinds, row) for row in rows))
            if is_file:
                place = list(table.kinds).index("root")
                roots |= {row[place] for row in rows if row[place] is not None}
    return TableFile(count, f"{digest:064x}", _sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return digest_of(file)[1]


def _reach_the_disk(folder: Path) -> None:
    """Wait until all files of a folder are on the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    sync_folder(folder)
