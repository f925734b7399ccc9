"""HDF5 chunks decoded in parallel: HDF5 hands out the bytes, isal inflates them in threads.

HDF5 itself inflates one chunk at a time under a global lock, and again for every slice that
touches the chunk. Here each chunk is fetched raw, decoded once, outside that lock.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from math import prod

import h5py
import numpy as np
from isal import isal_zlib

from .errors import ReadError

_DEFLATE, _SHUFFLE = 1, 2
_IN_FLIGHT_BYTES = 32 << 20
_LINE_BYTES = 64

Placer = Callable[[tuple[int, ...], np.ndarray], None]


def decodable(data: h5py.Dataset) -> bool:
    """Whether a dataset is made of plain, deflated or shuffled-and-deflated chunks."""
    if data.chunks is None or data.dtype.kind not in "iuf":
        return False
    return set(_filters(data)) <= {_DEFLATE, _SHUFFLE}


def decode_chunks(data: h5py.Dataset, offsets: Iterable[tuple[int, ...]], place: Placer) -> None:
    """Decode the chunks at some offsets, each once, and hand them to ``place`` in threads.

    ``place(offset, block)`` gets blocks clipped to the dataset's extent, in any order; writing
    to disjoint parts of one array is safe. Narrow chunks side by side come as one block, so that
    a row of it fills a cache line. Some 32 MB of chunks wait at any moment.

    Raises
    ------
    ReadError
        If a chunk cannot be where or as large as the file's index says, or is damaged.
    """
    offsets = list(offsets)
    codec = Codec(data.name, _filters(data), data.dtype, data.shape, data.chunks)
    fetch = _raw if codec.filters else _sliced
    if data.file.driver == "fileobj":
        from .remote import plan_chunks

        plan_chunks(data, offsets)  # it has looked at the index, so that bytes can be had directly
        fetch = _raw
    waiting: deque[Future[None]] = deque()
    try:
        for group in _side_by_side(offsets, codec):
            raw = [fetch(data, offset) for offset in group]
            limit = max(_workers() + 1, _IN_FLIGHT_BYTES // (len(group) * codec.size))
            if len(waiting) >= limit:
                waiting.popleft().result()
            waiting.append(_pool().submit(_work, codec, group, raw, place))
        while waiting:
            waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        wait(waiting)


@dataclass(frozen=True)
class Codec:
    """What is needed to turn a chunk's bytes into numbers."""

    name: str
    filters: tuple[int, ...]
    dtype: np.dtype
    shape: tuple[int, ...]
    chunk: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of one decoded chunk."""
        return prod(self.chunk) * self.dtype.itemsize

    def decode(self, raw: bytes, mask: int) -> np.ndarray:
        """One chunk; ``mask`` has a bit set for each filter HDF5 left out.

        Raises
        ------
        ReadError
            If the bytes are not what the filters made.
        """
        try:
            return self._undo(raw, mask)
        except (isal_zlib.error, ValueError) as error:
            raise ReadError(
                "read", f"a chunk of {self.name} is damaged ({error})", "fetch the file again"
            ) from error

    def _undo(self, raw: bytes, mask: int) -> np.ndarray:
        for i in reversed(range(len(self.filters))):
            if mask >> i & 1:
                continue
            if self.filters[i] == _DEFLATE:
                raw = isal_zlib.decompress(raw, bufsize=self.size)
            else:
                planes = np.frombuffer(raw, np.uint8).reshape(self.dtype.itemsize, -1)
                raw = np.ascontiguousarray(planes.T).ravel()
        return np.frombuffer(raw, self.dtype).reshape(self.chunk)


def _side_by_side(
    offsets: Iterable[tuple[int, ...]], codec: Codec
) -> Iterator[list[tuple[int, ...]]]:
    """Runs of adjacent chunks in one row of chunks, up to a cache line wide."""
    width = codec.chunk[-1]
    most = max(1, _LINE_BYTES // (width * codec.dtype.itemsize)) if len(codec.chunk) == 2 else 1
    group: list[tuple[int, ...]] = []
    for offset in offsets:
        joins = group and len(group) < most and offset[0] == group[0][0]
        if group and not (joins and offset[1] == group[-1][1] + width):
            yield group
            group = []
        group.append(offset)
    if group:
        yield group


def _work(
    codec: Codec,
    group: list[tuple[int, ...]],
    raw: list[tuple[bytes, int] | np.ndarray],
    place: Placer,
) -> None:
    clip = tuple(slice(0, n - o) for n, o in zip(codec.shape, group[0], strict=True))
    blocks = (part if isinstance(part, np.ndarray) else codec.decode(*part) for part in raw)
    if len(group) == 1:
        place(group[0], next(blocks)[clip])
        return
    width = codec.chunk[1]
    joined = np.empty((width * len(group), codec.chunk[0]), codec.dtype)
    for i, block in enumerate(blocks):
        joined[i * width : i * width + block.shape[1], : len(block)] = block.T
    place(group[0], joined.T[clip])


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


def _raw(data: h5py.Dataset, offset: tuple[int, ...]) -> tuple[bytes, int] | np.ndarray:
    try:
        mask, raw = data.id.read_direct_chunk(offset)
    except (RuntimeError, OSError):  # never written: HDF5 gives the fill value, or the true error
        return _sliced(data, offset)
    return raw, mask


def _sliced(data: h5py.Dataset, offset: tuple[int, ...]) -> np.ndarray:
    """A chunk by HDF5's slicing, which does not believe a length that the index gives.

    `read_direct_chunk` of what no filter made reads that length into room for a chunk, and a
    damaged index ends the process.
    """
    spot = tuple(slice(o, o + n) for o, n in zip(offset, data.chunks, strict=True))
    try:
        return data[spot]
    except OSError as error:
        if "addr overflow" not in str(error):
            raise
        raise ReadError(
            "read", f"a chunk of {data.name} is said to lie beyond the end of the file",
            "its index is damaged: fetch the file again, or look for another copy",
        ) from error  # fmt: skip


def _filters(data: h5py.Dataset) -> tuple[int, ...]:
    made = data.id.get_create_plist()
    return tuple(made.get_filter(i)[0] for i in range(made.get_nfilters()))


def _workers() -> int:
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_workers(), thread_name_prefix="nwb-chunks")
