"""Damage by size and packing: terabytes of nothing, gigabytes of zeros, chunks of noise."""

from contextlib import suppress
from functools import cache

import h5py
import numpy as np
from isal import isal_zlib
from mutations_inside import TABLES, datasets, important, inside, pick, pick_first, replace, timed

__all__: list[str] = []


@inside
def huge_shape(file, rng):
    """Terabytes declared, nothing stored."""
    path = important(file, rng)
    old = file[path]
    dtype = old.dtype if old.dtype.kind in "iufS" else h5py.string_dtype()
    rows = int(2 ** rng.integers(28, 50))
    shape = (rows, *(old.shape[1:] if old.shape else ()))
    if old.ndim == 2 and rng.random() < 0.4:
        shape = (old.shape[0], rows)
    replace(file, path, shape=shape, dtype=dtype, chunks=tuple(min(n, 1024) for n in shape))
    return f"{path} declares {shape}"


@inside
def huge_shape_everywhere(file, rng):
    """Every column of a table, or data and times of a series, declared alike: they agree."""
    rows = int(2 ** rng.integers(22, 44))
    table = pick(rng, [*TABLES[:2], *[p for p in timed(file)[:2]]])
    node = file.get(table)
    if not isinstance(node, h5py.Group):
        return None
    for name in list(node):
        old = node.get(name)
        if isinstance(old, h5py.Dataset) and old.ndim:
            dtype = old.dtype if old.dtype.kind in "iufS" else h5py.string_dtype()
            shape = (rows, *old.shape[1:])
            replace(file, old.name, shape=shape, dtype=dtype,
                    chunks=tuple(min(n, 1024) for n in shape))  # fmt: skip
    return f"{table}: {rows} rows declared"


def bomb(file, path, rng, gigabytes, chunk_bytes, dtype="f8", width=None):
    """Gigabytes of zeros in megabytes: one deflated chunk written over and over."""
    itemsize = np.dtype(dtype).itemsize
    rows = chunk_bytes // itemsize // (width or 1)
    n = max(1, (gigabytes << 30) // chunk_bytes)
    shape, chunks = ((rows * n, width), (rows, width)) if width else ((rows * n,), (rows,))
    made = replace(file, path, shape=shape, chunks=chunks, dtype=dtype, compression="gzip")
    packed = _zeros(chunk_bytes)
    for i in range(n):
        made.id.write_direct_chunk((rows * i, 0)[: len(shape)], packed)
    return f"{path}: {gigabytes} GB of zeros in chunks of {chunk_bytes >> 20} MB"


@cache
def _zeros(n_bytes):
    """That many zeros, packed by zlib's format."""
    packer, zeros = isal_zlib.compressobj(2), bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(n_bytes >> 20)) + packer.flush()


@inside
def bomb_in_a_column(file, rng):
    path = pick(rng, [p for p in datasets(file, *TABLES) if file[p].ndim == 1])
    if path is None:
        return None
    return bomb(file, path, rng, int(pick(rng, [1, 4, 16])), 1 << int(rng.integers(24, 27)),
                pick(rng, ["f8", "i8", "S64"]))  # fmt: skip


@inside
def bomb_in_a_series(file, rng):
    path = pick_first(rng, timed(file))
    if path is None:
        return None
    gigabytes, chunk = int(pick(rng, [1, 4, 16])), 1 << int(rng.integers(24, 27))
    width = file[path]["data"].shape[1] if file[path]["data"].ndim == 2 else None
    what = []
    if rng.random() < 0.7:
        what.append(bomb(file, f"{path}/data", rng, gigabytes, chunk, "i2", width))
    if "timestamps" in file[path] or rng.random() < 0.5:
        what.append(bomb(file, f"{path}/timestamps", rng, gigabytes, chunk))
    return "; ".join(what) or None


@inside
def bomb_in_one_chunk(file, rng):
    """A single chunk that inflates to more than the limit."""
    path = pick_first(rng, timed(file))
    if path is None:
        return None
    name = pick(rng, ["data", "timestamps"])
    return bomb(file, f"{path}/{name}", rng, 1, 1 << int(rng.integers(29, 31)))


@inside
def unknown_filter(file, rng):
    """Chunks packed by a filter that is nowhere to be had."""
    path = pick_first(rng, timed(file))
    if path is None:
        return None
    data = file[path]["data"]
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    shape = data.shape if data.ndim else (1,)
    chunk = tuple(min(n, 64) or 1 for n in shape)
    made.set_chunk(chunk)
    made.set_filter(32123, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    space = h5py.h5s.create_simple(shape)
    parent, dtype = data.parent, h5py.h5t.py_create(data.dtype)
    del parent["data"]
    new = h5py.h5d.create(parent.id, b"data", dtype, space, made)
    with suppress(RuntimeError, OSError):
        new.write_direct_chunk((0,) * len(shape), bytes(100))
    return f"{path}/data is packed by filter 32123"


@inside
def flipped_chunks(file, rng):
    """The signal alone: bytes inside of stored chunks; all else stays as it was."""
    series = [p for p in timed(file) if file[p]["data"].chunks and file[p]["data"].size]
    path = pick_first(rng, series)
    if path is None:
        return None
    data, spots = file[path]["data"], []
    for i in (
        rng.integers(0, data.id.get_num_chunks(), 3).tolist() if data.id.get_num_chunks() else ()
    ):
        info = data.id.get_chunk_info(i)
        spots += [info.byte_offset + int(x) for x in rng.integers(0, max(1, info.size), 3)]
    name = file.filename
    file.close()
    with open(name, "r+b") as raw:
        for spot in spots:
            raw.seek(spot)
            old = raw.read(1)
            raw.seek(spot)
            raw.write(bytes([old[0] ^ int(rng.integers(1, 256))]))
    return f"{path}/data: bytes {spots} flipped" if spots else None
