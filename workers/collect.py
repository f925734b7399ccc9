"""What is stored and nobody needs: objects no row names, and what killed processes left at home.

An object is listed only if it is older than a grace time, since an object comes before its row.
The objects are listed first and the rows read after, so that a row committed meanwhile counts; and
both are looked at once more before anything is removed.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import datajoint as dj

import schemas
from schemas import training
from schemas._cache import cache_folder, mark_of_url, size_of
from schemas._connect import named_server
from schemas._home import home_folder
from schemas._lease import held
from schemas._reap import live_leases
from schemas._stores import PARTIAL, Store, store_named
from schemas._unfinished import ROOM

GRACE_S = 86_400.0
MANIFEST = ".manifest.json"
"""What DataJoint itself puts beside a folder."""


class CollectRefused(LookupError):
    """Nothing is removed, because it might be needed; the message says what to do."""


@dataclass(frozen=True)
class Orphan:
    """Something nobody needs: in a store (by name), or a path in the home folder."""

    store: str | None
    path: str
    n_bytes: int
    age_s: float
    why: str


@dataclass
class Garbage:
    """What was found, what is too young to be judged, and how many objects rows name."""

    orphans: list[Orphan] = field(default_factory=list)
    young: int = 0
    young_bytes: int = 0
    named: dict[str, int] = field(default_factory=dict)

    @property
    def n_bytes(self) -> int:
        """Bytes of all orphans."""
        return sum(orphan.n_bytes for orphan in self.orphans)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"bytes": self.n_bytes}


def find_garbage(grace_s: float = GRACE_S) -> Garbage:
    """List what no row names and is older than `grace_s` (s). Nothing is changed.

    Raises
    ------
    Exception
        Whatever keeps a store or a table from being read to its end: a row that could not be read
        would make its object look like garbage.
    """
    found = Garbage()
    stored = {name: list(_stored(name, store_named(name))) for name in _stores()}
    references = named_objects()
    for name, objects in stored.items():
        mine = {path for store, path in references if store == name}
        orphans = [one for one in objects if not _is_named(one.path, mine)]
        found.named[name] = len(objects) - len(orphans)
        _sort_by_age(orphans, found, grace_s)
    _sort_by_age([*_unfinished(), *_cut_short()], found, grace_s)
    return found


def remove_garbage(found: Garbage, *, even_all: bool = False) -> list[Orphan]:
    """Remove what was found and still nobody needs; what was removed.

    Parameters
    ----------
    even_all
        Also empty a store of which this database names no object at all.

    Raises
    ------
    CollectRefused
        While anyone computes, or if a store looks like another database's.
    """
    _refuse_while_in_use()
    for name, count in found.named.items():
        lost = sum(orphan.store == name for orphan in found.orphans)
        if lost and not count and not even_all:
            raise CollectRefused(
                f"this database names none of the {lost} objects in the store {name!r}: it may be "
                "another database's. If it is this one's alone, say --even-all"
            )
    named: dict[str | None, set[str]] = {}
    for store, path in named_objects():
        named.setdefault(store, set()).add(path)
    removed = []
    for orphan in found.orphans:
        mine = named.get(orphan.store, set())
        if orphan.store is None:
            _remove_at_home(Path(orphan.path))
        elif _is_named(orphan.path, mine):
            continue
        else:
            _remove_object(store_named(orphan.store), orphan.path)
        removed.append(orphan)
    return removed


def named_objects() -> set[tuple[str, str]]:
    """Store and path of every object that a row of these schemas names.

    Every table of the database's schemas counts, those too that this package does not know.
    """
    named = set()
    for module in schemas.MODULES:
        names = module.schema.list_tables()
        hidden = {table.table_name for table in _tables_of(module)} - set(names)
        if hidden:  # to an account without the right to read them; what they name looks orphaned
            raise CollectRefused(f"this account does not see {sorted(hidden)}; ask one that does")
        for name in names:
            table = dj.FreeTable(
                module.schema.connection, module.schema.connection.adapter.make_full_table_name(
                    module.schema.database, name
                ),
            )  # fmt: skip
            named.update(objects_of(table))
    return named


def objects_of(rows: dj.Table) -> Iterator[tuple[str, str]]:
    """Store and path of every object that these rows name."""
    for column in rows.heading.schema_objects:
        codec = rows.heading.attributes[column].codec
        for row in rows.proj(column).cursor(as_dict=True):
            for path, store in codec.referenced_paths(row[column]):
                yield store, path


def remove_unnamed(objects: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Remove those of these objects (store, path) that no row names any more; which they were."""
    named, removed = named_objects(), []
    for store, path in objects:
        mine = {there for where, there in named if where == store}
        if not _is_named(path, mine):
            _remove_object(store_named(store), path)
            _remove_object(store_named(store), f"{path}{MANIFEST}")
            removed.append((store, path))
    return removed


def forget_copies(objects: Iterable[tuple[str, str]]) -> None:
    """Remove this machine's copies of objects (store, path)."""
    for store, path in objects:
        mark = mark_of_url(store_named(store).get_url(path))
        for kind in ("arrays", "checkpoints"):
            for copy in (cache_folder() / kind).glob(f"*{mark[:12]}*"):
                _remove_at_home(copy)


def _tables_of(module) -> list[type[dj.Table]]:
    """The tables that a module defines."""
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type)]
    return [k for k in kinds if issubclass(k, dj.Table) and k.__module__ == module.__name__
            and "definition" in vars(k)]  # fmt: skip


def _refuse_while_in_use() -> None:
    mine = held()  # this process collects: it computes nothing
    leases = [row for row in live_leases() if mine is None or row["lease"] != mine.number]
    if leases:
        who = sorted({f"{row['worker_host']}, pid {row['worker_pid']}" for row in leases})
        raise CollectRefused(
            f"{len(leases)} process(es) compute at the moment ({'; '.join(who[:5])}); nothing is "
            "removed. Let them end, then ask again"
        )


def _stores() -> list[str]:
    return [name for name, spec in dj.config.stores.items() if isinstance(spec, dict)]


def _stored(name: str, store: Store) -> Iterator[Orphan]:
    """Every object of our schemas in a store."""
    store.fs.invalidate_cache()
    prefix = store.spec["schema_prefix"].strip("/")
    base = store._full_path("")
    for module in schemas.MODULES:
        section = "/".join(part for part in (prefix, module.schema.database) if part)
        for path, info in store.fs.find(store._full_path(section), detail=True).items():
            relative = path[len(base) :].lstrip("/") if path.startswith(base) else path
            yield Orphan(name, relative, info["size"], _age_s(info), "no row names it")


def _age_s(info: dict) -> float:
    """Seconds since an object was put there, whatever time a copy was given."""
    if "mtime" in info:
        return time.time() - max(info["mtime"], info["created"])
    return time.time() - info["LastModified"].timestamp()


def _is_named(path: str, named: set[str]) -> bool:
    """Whether a row names the object, or the folder it lies in."""
    path = path.removesuffix(MANIFEST)
    return path in named or any(str(parent) in named for parent in PurePosixPath(path).parents)


def _sort_by_age(orphans: list[Orphan], found: Garbage, grace_s: float) -> None:
    for orphan in orphans:
        if orphan.age_s >= grace_s:
            found.orphans.append(orphan)
        else:
            found.young += 1
            found.young_bytes += orphan.n_bytes


def _unfinished() -> Iterator[Orphan]:
    """States of trainings that need none any more, in the store and on this machine."""
    done = set(training.Training().to_arrays("training"))
    asked = set(training.TrainingTask().to_arrays("training"))
    store = store_named("checkpoints")
    base = store._full_path(ROOM)
    sizes: dict[str, list[dict[str, Any]]] = {}
    for path, info in store.fs.find(base, detail=True).items():
        sizes.setdefault(path[len(base) :].strip("/").split("/")[0], []).append(info)
    for name, found in sizes.items():
        if why := _why_unneeded(name, done, asked, store.protocol == "file"):
            size, age = sum(info["size"] for info in found), min(map(_age_s, found))
            yield Orphan("checkpoints", f"{ROOM}/{name}", size, age, why)
    for folder in (home_folder() / ROOM).glob("*"):
        if why := _why_unneeded(folder.name, done, asked, True):
            yield Orphan(None, str(folder), size_of(folder), time.time() - _touched(folder), why)


def _why_unneeded(name: str, done: set[str], asked: set[str], ours: bool) -> str | None:
    """Why the state of a training is not needed; None if it is, or may be another database's."""
    if name in done:
        return "state of a training that is done"
    if name not in asked and ours and named_server() is None:
        return "state of a training nobody asks for"
    return None


def _cut_short() -> Iterator[Orphan]:
    """Copies on this machine that nobody finished."""
    home = home_folder()
    for path in (home / "cache").rglob(f"*{PARTIAL}*"):
        if not any(PARTIAL in part for part in path.relative_to(home).parts[:-1]):
            age = time.time() - _touched(path)
            yield Orphan(None, str(path), size_of(path), age, "copy cut short")


def _touched(path: Path) -> float:
    """When anything in a folder, or a file, changed last (s since 1970)."""
    return max(p.lstat().st_mtime for p in [path, *path.rglob("*")])


def _remove_at_home(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_object(store: Store, path: str) -> None:
    """Remove one object; on a disk also the folders it leaves empty, below the schema's."""
    full = store._full_path(path)
    try:
        if store.fs.isdir(full):
            store.fs.rm(full, recursive=True)
        else:
            store.fs.rm_file(full)
    except FileNotFoundError:
        return
    if store.protocol != "file":
        return
    for parent in Path(full).parents:
        if len(parent.relative_to(store._full_path("")).parts) < 2:
            return
        try:
            parent.rmdir()
        except OSError:  # not empty
            return
