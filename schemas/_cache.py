"""Copies of remote objects on this machine: complete or absent, and bounded in size.

What DataJoint 2.3.5 fetches from S3 to map it stays in the system's temporary folder for ever,
under a name that forgets the store, and a copy cut short is read as if it were whole.
"""

import errno
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from ._home import home_folder
from ._stores import PARTIAL, StoreFull, is_store_full

DEFAULT_GB = 20.0
IN_USE_S = 60.0  # a copy just asked for is not taken away to make room
ABANDONED_S = 86_400.0  # a partial copy this old has nobody who writes it


def open_array(reference) -> np.ndarray | None:
    """A stored array, memory-mapped; one that is not on a disk here is fetched once.

    Parameters
    ----------
    reference
        What DataJoint gives for an ``<npy@…>`` column; None stays None.
    """
    if reference is None:
        return None
    backend = reference._backend
    if backend.protocol == "file":
        return reference.load(mmap_mode="r")

    def fetch(partial: Path) -> None:
        backend.get_file(reference.path, partial)

    for _ in range(3):  # another process may clear the copy between finding and opening it
        path = cached(mark_of(reference) + ".npy", "arrays", reference.nbytes, fetch)
        with suppress(FileNotFoundError):
            return np.load(path, mmap_mode="r", allow_pickle=False)
    raise FileNotFoundError(
        f"the copy of {reference.path} vanished three times; the cache bound of "
        f"{cache_bound() / 1e9:g} GB is too small for what runs here: set FIELDBASE_CACHE_GB"
    )


def open_folder(reference, name: str) -> Path:
    """A stored folder as a folder of this machine.

    Parameters
    ----------
    reference
        What DataJoint gives for an ``<object@…>`` column that holds a folder.
    name
        What the copy is called, before a mark of the object it is a copy of.
    """
    backend = reference._backend
    remote = backend._full_path(reference.path)
    if backend.protocol == "file":
        return Path(remote)

    def fetch(partial: Path) -> None:
        files = backend.fs.find(remote)
        if not files:
            raise FileNotFoundError(f"nothing is stored under {backend.get_url(reference.path)}")
        for file in files:
            local = partial / file[len(remote) :].lstrip("/")
            local.parent.mkdir(parents=True, exist_ok=True)
            backend.fs.get_file(file, str(local))

    return cached(f"{name}-{mark_of(reference)[:12]}", "checkpoints", reference.size or 0, fetch)


def mark_of(reference) -> str:
    """A name for an object of a store; a rewritten row has another."""
    return mark_of_url(reference._backend.get_url(reference.path))


def mark_of_url(url: str) -> str:
    """A name for a copy of what lies at this place of a store."""
    return hashlib.sha256(url.encode()).hexdigest()[:40]


def cached(name: str, kind: str, n_bytes: int, fetch: Callable[[Path], None]) -> Path:
    """The copy called `name`, fetched if it is not here; then others may go to keep the bound.

    Parameters
    ----------
    n_bytes
        About what it takes (bytes).
    fetch
        Writes the copy at the path it is given.
    """
    folder = cache_folder() / kind
    target = folder / name
    if target.exists():
        with suppress(OSError):
            os.utime(target)
        return target
    folder.mkdir(parents=True, exist_ok=True)
    make_room(n_bytes)
    partial = target.with_name(f"{name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        fetch(partial)
        try:
            os.utime(partial)
            partial.rename(target)
        except OSError:
            if not target.exists():  # else another process was faster
                raise
    except Exception as error:
        if is_store_full(error):
            raise StoreFull(
                errno.ENOSPC,
                f"no room to copy {n_bytes} bytes to {folder}; make room, or choose a smaller "
                "bound with FIELDBASE_CACHE_GB",
            ) from error
        raise
    finally:
        _remove(partial)
    return target


def make_room(n_bytes: int) -> None:
    """Remove the copies that were not used for longest until so many bytes fit the bound."""
    now = time.time()
    known = []
    for path in (p for folder in cache_folder().glob("*/") for p in folder.iterdir()):
        with suppress(FileNotFoundError):
            known.append((path.stat().st_mtime, size_of(path), path))
    total = sum(size for _, size, _ in known) + n_bytes
    for used, size, path in sorted(known):
        partial = path.name.endswith(PARTIAL)
        if partial and now - used < ABANDONED_S:
            continue
        if partial or (total > cache_bound() and now - used > IN_USE_S):
            _remove(path)
            total -= size


def cache_folder() -> Path:
    """Where copies lie: may be deleted whole at any time nothing runs."""
    return home_folder() / "cache" / "objects"


def cache_bound() -> float:
    """How much copies may take (bytes): ``$FIELDBASE_CACHE_GB`` × 10⁹."""
    return float(os.environ.get("FIELDBASE_CACHE_GB", DEFAULT_GB)) * 1e9


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
