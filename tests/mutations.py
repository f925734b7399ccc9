"""Seeded damage to NWB files: whatever a disk, a network, a bug or an ill will makes of one.

`mutate` copies a file and damages the copy; equal seeds make equal damage. What leads out of a
file leads into the folder `outside` beside the copy, whose every text and number is marked.
"""

import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np

MARK, MARKED = "OUTSIDE-OF-THE-FILE", 424242.0
"""A text and a number that no recording holds, and that stand in what lies outside of it."""

Damage = Callable[[Path, np.random.Generator], str | None]
"""Damages a file in place and says how; None, the file as it was, where it has no such thing."""
KINDS: dict[str, Damage] = {}
SIGNATURES = (b"TREE", b"SNOD", b"HEAP", b"OHDR", b"FRHP", b"BTHD", b"GCOL", b"FADB", b"FAHD")


@dataclass(frozen=True)
class Mutation:
    """One damaged copy: what was done to it, and how to do it again."""

    path: Path
    kind: str
    seed: int
    what: str


def kind(damage: Damage) -> Damage:
    """Register a kind of damage under its function's name."""
    KINDS[damage.__name__] = damage
    return damage


def mutate(source: Path, folder: Path, name: str, seed: int) -> Mutation | None:
    """A damaged copy of `source` in `folder`; None where the file has nothing of the sort."""
    path = folder / f"{name}-{seed}.nwb"
    shutil.copyfile(source, path)
    os.chmod(path, 0o600)
    write_outside(folder / "outside")
    what = KINDS[name](path, np.random.default_rng([seed, zlib.crc32(name.encode())]))
    if what is None:
        path.unlink()
        return None
    return Mutation(path, name, seed, what)


def mutations(
    source: Path, folder: Path, n: int, *, seed: int = 0, only: tuple[str, ...] = ()
) -> Iterator[Mutation]:
    """`n` damaged copies of a file, kind after kind; each is removed when the next is asked for."""
    names = only or tuple(KINDS)
    made, turn = 0, seed
    while made < n and turn < seed + 20 * (n + len(names)):
        one = mutate(source, folder, names[turn % len(names)], turn)
        turn += 1
        if one is not None:
            made += 1
            yield one
            one.path.unlink(missing_ok=True)


def write_outside(folder: Path) -> None:
    """What no reading of a file may ever see: HDF5, raw bytes, and a pipe that never answers."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    (folder / "raw.bin").write_bytes(MARK.encode().ljust(32) * 4096)
    os.mkfifo(folder / "pipe")
    with h5py.File(folder / "other.nwb", "w") as file:
        file["text"] = MARK
        file["texts"] = [MARK] * 400
        file["numbers"] = np.full(20_000, MARKED)
        file["signal"] = np.full((20_000, 8), MARKED)
        series = file.create_group("series")
        series["data"] = file["signal"]
        series.attrs["neurodata_type"] = "ElectricalSeries"
        series.create_dataset("starting_time", data=0.0).attrs["rate"] = 1250.0


def _change_bytes(path: Path, change: Callable[[bytearray], str | None]) -> str | None:
    data = bytearray(path.read_bytes())
    what = change(data)
    if what is not None:
        path.write_bytes(data)
    return what


def _flip(data: bytearray, places: np.ndarray, rng: np.random.Generator) -> None:
    for place in places.tolist():
        data[place] ^= int(rng.integers(1, 256))


@kind
def cut_anywhere(path, rng):
    size = int(rng.integers(0, path.stat().st_size))
    os.truncate(path, size)
    return f"cut to {size} bytes"


@kind
def cut_at_the_end(path, rng):
    lost = int(rng.integers(1, 4096))
    os.truncate(path, max(0, path.stat().st_size - lost))
    return f"the last {lost} bytes cut off"


@kind
def cut_and_filled(path, rng):
    size = path.stat().st_size
    kept = int(rng.integers(512, size))
    os.truncate(path, kept)
    os.truncate(path, size)
    return f"zeros from byte {kept}"


@kind
def flipped_bytes(path, rng):
    def change(data):
        places = rng.integers(0, len(data), int(rng.integers(1, 65)))
        _flip(data, places, rng)
        return f"{len(places)} bytes flipped"

    return _change_bytes(path, change)


@kind
def flipped_superblock(path, rng):
    def change(data):
        places = rng.integers(0, 2048, int(rng.integers(1, 5)))
        _flip(data, places, rng)
        return f"bytes {places.tolist()} flipped"

    return _change_bytes(path, change)


@kind
def flipped_structure(path, rng):
    """Near the signatures of HDF5's trees, heaps and headers, where flips hurt most."""

    def change(data):
        found = [p for mark in SIGNATURES for p in _places(data, mark)]
        if not found:
            return None
        heads = rng.choice(found, min(len(found), int(rng.integers(1, 6))), replace=False)
        places = np.minimum(heads + rng.integers(4, 400, len(heads)), len(data) - 1)
        _flip(data, places, rng)
        return f"bytes {sorted(places.tolist())} flipped"

    return _change_bytes(path, change)


def _places(data: bytearray, mark: bytes) -> list[int]:
    found, at = [], data.find(mark)
    while at >= 0:
        found.append(at)
        at = data.find(mark, at + 1)
    return found


@kind
def zeroed_block(path, rng):
    def change(data):
        at, size = int(rng.integers(0, len(data))), int(rng.integers(16, 8192))
        data[at : at + size] = bytes(min(size, len(data) - at))
        return f"zeros at {at}, {size} bytes"

    return _change_bytes(path, change)


@kind
def swapped_blocks(path, rng):
    def change(data):
        a, b = (int(x) // 4096 * 4096 for x in rng.integers(0, len(data) - 4096, 2))
        data[a : a + 4096], data[b : b + 4096] = data[b : b + 4096], data[a : a + 4096]
        return f"blocks at {a} and {b} swapped"

    return _change_bytes(path, change)


@kind
def inserted_bytes(path, rng):
    def change(data):
        at = int(rng.integers(0, len(data)))
        data[at:at] = rng.bytes(int(rng.integers(1, 64)))
        return f"bytes inserted at {at}"

    return _change_bytes(path, change)


@kind
def noise_with_a_head(path, rng):
    def change(data):
        data[96:] = rng.bytes(min(len(data), 1 << 16))
        return "noise after the first 96 bytes"

    return _change_bytes(path, change)


for module in ("inside", "bombs", "links", "values"):  # each registers its kinds
    import_module(f"mutations_{module}")
