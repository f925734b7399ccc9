"""Stored files on their way out of a store and into one, complete or absent."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from schemas._stores import Store, store_named, whole_file

from ..collect import MANIFEST as BESIDE
from .folder import OBJECT_COLUMNS, CarryError, digest_of, file_of, place_of, read_rows, write_rows
from .tables import Table

Stored = tuple[str, str, int, str]
"""Store, path, bytes and sha256 of a file."""


class Stores:
    """The stores of this machine, by name."""

    def __init__(self) -> None:
        self._known: dict[str, Store] = {}

    def __getitem__(self, name: str) -> Store:
        if name not in self._known:
            try:
                self._known[name] = store_named(name)
            except Exception as error:
                raise CarryError(
                    f"the store {name!r} cannot be used here ({' '.join(str(error).split())}); "
                    "name it in DJ_STORES"
                ) from error
            self._known[name].fs.invalidate_cache()
        return self._known[name]


def take_objects(tables: list[Table], folder: Path) -> Iterator[Stored]:
    """Copy every object that the exported rows name; each file once it is copied."""
    stores = Stores()
    for table in tables:
        if not table.references:
            continue
        for rows in read_rows(file_of(folder, table.name), table.references):
            for told in (value for row in rows for value in row if value is not None):
                reference = json.loads(told)
                name, path = reference["store"], reference["path"]
                yield from _take(stores[name], name, path, folder, table.name)


def write_object_list(path: Path, found: Iterator[Stored]) -> tuple[int, int]:
    """Write down the files of a folder; how many they are and their bytes."""
    count = n_bytes = 0
    with pq.ParquetWriter(path, OBJECT_COLUMNS) as writer:
        some: list[Stored] = []
        for one in found:
            some.append(one)
            count, n_bytes = count + 1, n_bytes + one[2]
            if len(some) == 2000:
                write_rows(writer, some)
                some = []
        if some:
            write_rows(writer, some)
    return count, n_bytes


def bring_object(stores: Stores, one: Stored, folder: Path) -> bool:
    """Copy a file into its store; False if it is there already.

    Raises
    ------
    CarryError
        If another content is there under its path, or the folder's file is not as it was written.
    """
    name, path, n_bytes, sha256 = one
    source, store = place_of(folder, name, path), stores[name]
    full = store._full_path(path)
    if (size := _size(store, full)) is not None:
        if size == n_bytes and _digest_there(store, full) == sha256:
            return False
        raise CarryError(
            f"{store.get_url(path)} is there with another content than in {folder}; nothing was "
            "changed in the database. `fieldbase verify` tells whether it is damaged; remove it "
            "there, then import again"
        )
    if not source.is_file() or source.stat().st_size != n_bytes:
        raise CarryError(f"{source} is missing or cut short; copy the folder again")
    with store._room_for(n_bytes):
        if store.protocol == "file":
            _copy_in(source, Path(full), sha256)
        else:
            _upload(store, source, full, sha256)
    return True


def _take(store: Store, name: str, path: str, folder: Path, table: str) -> Iterator[Stored]:
    base = store._full_path(path)
    found = store.fs.find(base)
    if not found:
        raise CarryError(
            f"{store.get_url(path)}, which a row of {table} names, is not there; `fieldbase "
            "verify` tells which row: bring the object back or delete the row, then export again"
        )
    if found != [base] and store.fs.exists(base + BESIDE):
        found.append(base + BESIDE)
    for full in found:
        relative = path + full[len(base) :]
        target = place_of(folder, name, relative)
        if target.exists():  # two rows name it
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with store.fs.open(full, "rb") as source, target.open("wb") as copy:
            n_bytes, sha256 = digest_of(source, copy)
        yield name, relative, n_bytes, sha256


def _copy_in(source: Path, target: Path, sha256: str) -> None:
    with source.open("rb") as file, whole_file(target) as copy:
        _refuse_changed(source, digest_of(file, copy)[1], sha256)


def _upload(store: Store, source: Path, full: str, sha256: str) -> None:
    with source.open("rb") as file:
        _refuse_changed(source, digest_of(file)[1], sha256)
    store.fs.put_file(str(source), full)
    if _size(store, full) != source.stat().st_size:
        raise OSError(f"{full} was stored with another size than {source} has")


def _refuse_changed(source: Path, found: str, sha256: str) -> None:
    if found != sha256:
        raise CarryError(f"{source} is not as it was written; copy the folder again")


def _size(store: Store, full: str) -> int | None:
    try:
        return store.fs.info(full)["size"]
    except FileNotFoundError:
        return None


def _digest_there(store: Store, full: str) -> str:
    with store.fs.open(full, "rb") as file:
        return digest_of(file)[1]
