"""The folder a database is carried in.

    manifest.json          who wrote it, definitions, and of each table: rows, digest, file's sha256
    rows/<Table>.parquet   all rows of a table; JSON is text
    objects.parquet        store, path, bytes and sha256 of every stored file
    objects/<store>/...    those files, under the paths that rows name

A folder is there under its name only once all of it is on the disk.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from .kinds import arrow_of
from .tables import Row, Table

FORMAT = 1
MANIFEST = "manifest.json"
OBJECTS = "objects"
OBJECT_LIST = "objects.parquet"
BLOCK = 2**20
AT_ONCE = 500
OBJECT_COLUMNS = pa.schema(
    {"store": pa.string(), "path": pa.string(), "bytes": pa.int64(), "sha256": pa.string()}
)


class CarryError(LookupError):
    """Something that was to be carried cannot be; the message says what to do."""


@dataclass(frozen=True)
class TableFile:
    """One table of a folder; its digest is the same on every server, in any order of rows."""

    rows: int
    digest: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a folder holds."""

    prefix: str
    made_by: dict[str, str]
    exported: str
    definitions: str
    lines: dict[str, list[str]]
    tables: dict[str, TableFile]
    objects: int
    object_bytes: int
    object_list_sha256: str
    roots: list[str] = field(default_factory=list)
    format: int = FORMAT


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write down what a folder holds; the last thing that is written."""
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """What a folder holds.

    Raises
    ------
    CarryError
        If no whole export is there, or one this package cannot read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise CarryError(
            f"{folder} is no exported database: it has no {MANIFEST}, which is written last; "
            "`fieldbase export --all --to FOLDER` writes one"
        )
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise CarryError(
                f"{folder} has the format {told['format']}, this fieldbase reads {FORMAT}: "
                f"use the version that wrote it ({told['made_by'].get('fieldbase')})"
            )
        tables = {name: TableFile(**about) for name, about in told.pop("tables").items()}
        return Manifest(**told, tables=tables)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CarryError(f"{path} cannot be read ({error}); copy the folder again") from error


def file_of(folder: Path, table: str) -> Path:
    """Where the rows of a table are."""
    return folder / "rows" / f"{table}.parquet"


def schema_of(table: Table) -> pa.Schema:
    """The columns of a table's file."""
    return pa.schema({name: arrow_of(kind) for name, kind in table.kinds.items()})


def write_rows(writer: pq.ParquetWriter, rows: list[Row]) -> None:
    """Append rows, in the order of the writer's columns."""
    columns = zip(*rows, strict=True)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, writer.schema, strict=True)]
    writer.write_table(pa.Table.from_arrays(arrays, schema=writer.schema))


def read_rows(path: Path, columns: list[str]) -> Iterator[list[Row]]:
    """Rows of a file, some at a time, with these columns in this order."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(AT_ONCE, columns=columns):
            found = [batch.column(name).to_pylist() for name in columns]
            yield list(zip(*found, strict=True))


def check_file(path: Path, sha256: str) -> None:
    """Raise a CarryError unless a file holds what the manifest says."""
    if not path.is_file():
        raise CarryError(f"{path} is missing; copy the folder again")
    with path.open("rb") as file:
        if digest_of(file)[1] != sha256:
            raise CarryError(f"{path} is not as it was written; copy the folder again")


def digest_of(source: BinaryIO, target: BinaryIO | None = None) -> tuple[int, str]:
    """Bytes and sha256 of what is read to its end, and on the way written elsewhere."""
    digest, n_bytes = hashlib.sha256(), 0
    while block := source.read(BLOCK):
        digest.update(block)
        n_bytes += len(block)
        if target is not None:
            target.write(block)
    return n_bytes, digest.hexdigest()


def place_of(folder: Path, store: Any, path: Any) -> Path:
    """Where a stored file lies in a folder.

    Raises
    ------
    CarryError
        If the path would lead out of the folder, or of a store.
    """
    parts = PurePosixPath(str(path)).parts
    whole = (str(store), *parts)
    if not parts or any(p in ("..", ".", "") or "/" in p or "\\" in p or ":" in p for p in whole):
        raise CarryError(f"{path!r} in the store {store!r} is no path below a store")
    return folder.joinpath(OBJECTS, *whole)
