"""Trainings in progress: after each epoch their state lies where another worker finds it.

Every try has a folder of its own, named after its lease, below ``unfinished/<training>`` in the
store of checkpoints. So one that lost its lease without knowing cannot overwrite what its
successor writes, and the successor begins with the furthest state that is whole.
"""

import hashlib
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datajoint as dj

from . import _lease
from ._home import home_folder
from ._stores import Store, store_named

ROOM = "unfinished"
STATE = "state.json"
PUSH_S = float(os.environ.get("FIELDBASE_PUSH", 60))


@dataclass
class Workplace:
    """Where one try of a training works.

    Attributes
    ----------
    folder
        On a disk of this machine: in the store itself where that is one.
    resumed_from
        Epochs of an earlier try that it goes on from.
    """

    training: str
    folder: Path
    store: Store
    resumed_from: int = 0
    _pushed: float = field(default_factory=time.monotonic)

    def keep(self, *, now: bool = False) -> None:
        """Bring the state to a store that is not on this machine, not more often than it pays."""
        if self.store.protocol == "file":
            return
        if now or time.monotonic() - self._pushed >= PUSH_S:
            place = _place(self.training, self.folder.name)
            files = _files_of(self.folder)
            for name in sorted(files, key=lambda name: name == STATE):  # the state names the rest
                self.store.put_file(self.folder / name, f"{place}/{name}")
            self._pushed = time.monotonic()


def open_workplace(training: str) -> Workplace:
    """A folder for this try of a training, with the furthest state an earlier one left."""
    lease = _lease.held()
    owner = str(lease.number) if lease is not None else "alone"
    store = store_named("checkpoints", dj.config)
    local = _local(store)
    root = home_folder() if local is None else local
    folder = root / ROOM / training / owner
    folder.mkdir(parents=True, exist_ok=True)
    found = Workplace(training, folder, store)
    found.resumed_from = _adopt(training, folder, store)
    return found


def clear(training: str) -> None:
    """Remove what the tries of a training left; its row is there."""
    store = store_named("checkpoints", dj.config)
    local = _local(store)
    shutil.rmtree((local or home_folder()) / ROOM / training, ignore_errors=True)
    if local is None:
        with suppress(Exception):  # what stays, gc finds
            store.remove_folder(f"{ROOM}/{training}")


def _adopt(training: str, folder: Path, store: Store) -> int:
    """Copy the furthest whole state of the other tries into this one's folder; its epochs."""
    own = _whole(folder)
    for epochs, owner in _tries(training, folder, store):
        if epochs <= own:
            break
        partial = folder.with_name(f"{folder.name}.adopting")
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):  # its owner may go on, and replace its files meanwhile
            _fetch(training, owner, partial, store)
        if _whole(partial) >= epochs:
            shutil.rmtree(folder)
            partial.rename(folder)
            return epochs
        shutil.rmtree(partial, ignore_errors=True)
    return own


def _tries(training: str, folder: Path, store: Store) -> list[tuple[int, str]]:
    """Epochs and owner of the other tries, the furthest first."""
    if store.protocol == "file":
        owners = [path.name for path in folder.parent.iterdir() if path.is_dir()]
    else:
        place = store._full_path(_place(training, ""))
        store.fs.invalidate_cache()
        there = store.fs.ls(place, detail=False) if store.fs.exists(place) else []
        owners = [name.rstrip("/").rpartition("/")[2] for name in there]
    found = []
    for owner in set(owners) - {folder.name}:
        with suppress(FileNotFoundError, ValueError):
            state = json.loads(store.get_buffer(f"{_place(training, owner)}/{STATE}"))
            found.append((len(state["epochs"]), owner))
    return sorted(found, reverse=True)


def _fetch(training: str, owner: str, target: Path, store: Store) -> None:
    target.mkdir(parents=True)
    place = _place(training, owner)
    state = json.loads(store.get_buffer(f"{place}/{STATE}"))
    for name in state["files"]:
        store.get_file(f"{place}/{name}", target / name)
    (target / STATE).write_text(json.dumps(state))


def _whole(folder: Path) -> int:
    """Epochs of the state in a folder if every file of it is what it should be, else 0."""
    state = _read(folder / STATE)
    for name, digest in state.get("files", {}).items():
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            return 0
    return len(state.get("epochs", ()))


def _files_of(folder: Path) -> list[str]:
    return [*_read(folder / STATE).get("files", {}), STATE]


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def _place(training: str, owner: str) -> str:
    return f"{ROOM}/{training}/{owner}".rstrip("/")


def _local(store: Store) -> Path | None:
    """Folder of a store that lies on a disk of this machine."""
    return Path(store._full_path("")) if store.protocol == "file" else None
