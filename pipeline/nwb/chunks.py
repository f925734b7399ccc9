"""HDF5 chunks decoded in parallel: HDF5 hands out the bytes, isal inflates them in threads.

HDF5 itself inflates one chunk at a time under a global lock, and again for every slice that
touches the chunk. Here each chunk is fetched raw, decoded once, outside that lock.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from math import prod

import h5py
import numpy as np

_DEFLATE, _SHUFFLE = 1, 2
_IN_FLIGHT_BYTES = 32 << 20

Placer = Callable[[tuple[int, ...], np.ndarray], None]


def decodable(data: h5py.Dataset) -> bool:
    """Whether a dataset is made of plain, deflated or shuffled-and-deflated chunks."""
    if data.chunks is None or data.dtype.kind not in "iuf":
        return False
    return set(_filters(data)) <= {_DEFLATE, _SHUFFLE}


def decode_chunks(data: h5py.Dataset, offsets: Iterable[tuple[int, ...]], place: Placer) -> None:
    """Decode the chunks at some offsets, each once, and hand them to ``place`` in threads.

    ``place(offset, chunk)`` gets chunks clipped to the dataset's extent, in any order; writing
    to disjoint parts of one array is safe. At most 32 MB of chunks wait at any moment.
    """
    filters, dtype, shape, chunk = _filters(data), data.dtype, data.shape, data.chunks
    size = prod(chunk) * dtype.itemsize
    waiting: deque[Future[None]] = deque()
    limit = max(2 * _workers(), min(256, _IN_FLIGHT_BYTES // max(size, 1)))

    def work(offset: tuple[int, ...], raw: bytes, mask: int) -> None:
        block = np.frombuffer(_decode(raw, filters, mask, size, dtype), dtype).reshape(chunk)
        clip = tuple(slice(0, n - o) for n, o in zip(shape, offset, strict=True))
        place(offset, block[clip])

    try:
        for offset in offsets:
            found = _raw(data, offset)
            if found is None:
                spot = tuple(slice(o, o + n) for o, n in zip(offset, chunk, strict=True))
                place(offset, data[spot])
                continue
            if len(waiting) >= limit:
                waiting.popleft().result()
            waiting.append(_pool().submit(work, offset, *found))
        while waiting:
            waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def read_rows(data: h5py.Dataset, start: int, stop: int) -> np.ndarray:
    """``data[start:stop]`` of a one-dimensional dataset, decoded in parallel where possible."""
    if not decodable(data) or stop - start < 2 * data.chunks[0]:
        return data[start:stop]
    out = np.empty(stop - start, data.dtype)

    def place(offset: tuple[int, ...], chunk: np.ndarray) -> None:
        a, b = max(start, offset[0]), min(stop, offset[0] + len(chunk))
        out[a - start : b - start] = chunk[a - offset[0] : b - offset[0]]

    step = data.chunks[0]
    decode_chunks(data, ((o,) for o in range(start // step * step, stop, step)), place)
    return out


def _raw(data: h5py.Dataset, offset: tuple[int, ...]) -> tuple[bytes, int] | None:
    try:
        mask, raw = data.id.read_direct_chunk(offset)
    except (RuntimeError, OSError):  # never written: HDF5 gives the fill value, or the true error
        return None
    return raw, mask


def _decode(
    raw: bytes, filters: tuple[int, ...], mask: int, size: int, dtype: np.dtype
) -> bytes | np.ndarray:
    from isal import isal_zlib

    for place in reversed(range(len(filters))):
        if mask >> place & 1:
            continue
        if filters[place] == _DEFLATE:
            raw = isal_zlib.decompress(raw, bufsize=size)
        else:
            planes = np.frombuffer(raw, np.uint8).reshape(dtype.itemsize, -1)
            raw = np.ascontiguousarray(planes.T).ravel()
    return raw


def _filters(data: h5py.Dataset) -> tuple[int, ...]:
    made = data.id.get_create_plist()
    return tuple(made.get_filter(i)[0] for i in range(made.get_nfilters()))


def _workers() -> int:
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_workers(), thread_name_prefix="nwb-chunks")
