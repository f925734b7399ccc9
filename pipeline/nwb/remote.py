"""A file behind a URL as a file object: HDF5 reads it by ranges, in bounded memory.

Small reads (HDF5's own book-keeping) go through a cache of blocks. Chunks of signals are announced
by `plan_chunks`, fetched exactly, neighbours together and some ahead, and dropped once read.
"""

import bisect
import gc
import io
import itertools
import logging
import threading
from collections import OrderedDict
from collections.abc import Container, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from math import prod
from weakref import WeakValueDictionary

import h5py

from .errors import ContentChanged, ReadError
from .http import Served, ask_about, fetch_range

log = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 14  # nodes of an index lie far apart
BLOCKS_CACHED = 2048  # 32 MB
FIRST_BLOCKS, MOST_BLOCKS = 16, 64  # fetched at once: at the start of a file, in a long run
WIDE_BYTES = 1 << 18
PIECE_BYTES = 4 << 20
AHEAD_BYTES = 32 << 20
MOST_CHUNK_BYTES = 1 << 30  # 250 times what is usual; a chunk is in memory as a whole
JOIN_BYTES = 1 << 14  # a hole this small is cheaper to fetch than to step over
_STORED_MORE = 1 << 16  # what deflating noise adds (bytes), and an eighth
_NUMBER = itertools.count()
_OPEN: WeakValueDictionary[str, "RemoteFile"] = WeakValueDictionary()


class _Piece:
    """Neighbouring ranges fetched as one; gone when all of them were read."""

    def __init__(self, start: int, stop: int):
        self.start, self.stop, self.left = start, stop, stop - start
        self.future: Future[bytes] | None = None


class _Collector:
    """Python's collector of cycles, off while a remote file is open.

    What it finds may belong to h5py, and freeing that takes the lock which the thread that reads
    holds while it waits for our threads: were it to run in one of them, both would wait for ever.
    """

    def __init__(self) -> None:
        self._lock, self._holders, self._was_on = threading.Lock(), 0, False

    def hold(self) -> None:
        with self._lock:
            if not self._holders:
                self._was_on = gc.isenabled()
                gc.disable()
            self._holders += 1

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if not self._holders and self._was_on:
                gc.enable()


_COLLECTOR = _Collector()


class RemoteFile(io.RawIOBase):
    """A file behind a URL; while it is open, cycles are collected only when a read is planned.

    Attributes
    ----------
    served
        What the server said of it.
    fetched
        Bytes that came over the network so far.
    failed
        The error that ended reading, if any; every later read raises it again.
    """

    def __init__(self, url: str):
        self._open = False
        self.served: Served = ask_about(url)
        if not self.served.ranges or self.served.bytes is None:
            raise ReadError(
                "open", f"the server of {url} answers no range requests",
                "download the file and ingest the local copy",
            )  # fmt: skip
        self.url, self.size = url, self.served.bytes
        self.fetched, self.failed = 1, None
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._run, self._run_end = 1, -1
        self._order: list[_Piece] = []  # as they will be read
        self._pieces: list[_Piece] = []  # as they lie in the file
        self._waiting: list[_Piece] = []  # not asked for yet, the next one last
        self._ahead = 0
        self._name = f"<remote file {next(_NUMBER)}>"
        _COLLECTOR.hold()
        self._open = True
        _OPEN[self._name] = self

    def __repr__(self) -> str:
        return self._name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:
        view = memoryview(buffer).cast("B")
        stop = min(self._at + len(view), self.size)
        data = self.read_at(self._at, stop) if stop > self._at else b""
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def read_at(self, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop``: from a planned piece, a cached block, or the server."""
        if self.failed is not None:
            raise self.failed
        try:
            piece = self._piece_of(start, stop)
            if piece is not None:
                return self._take(piece, start, stop)
            if stop - start >= WIDE_BYTES:
                return self._fetch_wide(start, stop)
            return self._from_blocks(start, stop)
        except ReadError as error:
            self.failed = error
            raise

    def plan(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Announce ranges (start, stop) in the order in which they will be read."""
        self._drop_plan()
        gc.collect(1)
        for start, stop in ranges:
            last = self._order[-1] if self._order else None
            joins = last is not None and 0 <= start - last.stop <= JOIN_BYTES
            if joins and stop - last.start <= PIECE_BYTES:
                last.stop = stop
                last.left += stop - start
            else:
                self._order.append(_Piece(start, stop))
        self._pieces = sorted(self._order, key=lambda piece: piece.start)
        self._waiting = self._order[::-1]

    def close(self) -> None:
        if self._open:
            self._open = False
            self._drop_plan()
            self._blocks.clear()
            log.debug("%s: %d bytes fetched of %d", self.url, self.fetched, self.size)
            _COLLECTOR.release()
        super().close()

    def _piece_of(self, start: int, stop: int) -> _Piece | None:
        at = bisect.bisect_right(self._pieces, start, key=lambda piece: piece.start) - 1
        piece = self._pieces[at] if at >= 0 else None
        return piece if piece is not None and stop <= piece.stop and piece.left > 0 else None

    def _take(self, piece: _Piece, start: int, stop: int) -> bytes:
        if piece.future is None:
            self._submit(piece)
        self._look_ahead()
        data = piece.future.result()[start - piece.start : stop - piece.start]
        piece.left -= stop - start
        if piece.left <= 0:
            piece.future = None
            self._ahead -= piece.stop - piece.start
        return data

    def _look_ahead(self) -> None:
        while self._waiting and self._ahead < AHEAD_BYTES:
            piece = self._waiting.pop()
            if piece.future is None and piece.left > 0:
                self._submit(piece)

    def _submit(self, piece: _Piece) -> None:
        self._ahead += piece.stop - piece.start
        piece.future = _pool().submit(self._fetch, piece.start, piece.stop)

    def _fetch(self, start: int, stop: int) -> bytes:
        self.fetched += stop - start
        served = self.served
        try:
            return fetch_range(served.url, start, stop, of=served)
        except ReadError as error:
            if error.stage != "refused" or served.url == self.url:
                raise
        again = ask_about(self.url)  # a signed link that has expired
        if (again.bytes, again.etag) != (served.bytes, served.etag):
            raise ContentChanged(
                "changed", f"{self.url} changed while it was read", "ingest it again with --revise"
            )
        self.served = again
        return fetch_range(again.url, start, stop, of=again)

    def _fetch_wide(self, start: int, stop: int) -> bytes:
        """A long range, in parts side by side."""
        edges = [*range(start, stop, PIECE_BYTES), stop]
        parts = [_pool().submit(self._fetch, a, b) for a, b in itertools.pairwise(edges)]
        return b"".join(part.result() for part in parts)

    def _from_blocks(self, start: int, stop: int) -> bytes:
        first, last = start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES
        missing = [n for n in range(first, last + 1) if n not in self._blocks]
        if missing:
            self._read_blocks(missing[0], missing[-1])
        for number in range(first, last + 1):
            self._blocks.move_to_end(number)
        data = b"".join(self._blocks[number] for number in range(first, last + 1))
        while len(self._blocks) > BLOCKS_CACHED:
            self._blocks.popitem(last=False)
        return data[start - first * BLOCK_BYTES : stop - first * BLOCK_BYTES]

    def _read_blocks(self, first: int, last: int) -> None:
        """Fetch blocks, and ever more after them while reading goes on where it ended."""
        goes_on = first == self._run_end
        self._run = min(2 * self._run, MOST_BLOCKS) if goes_on else 1 if first else FIRST_BLOCKS
        self._run_end = max(last + 1, first + self._run)
        start, stop = first * BLOCK_BYTES, min(self._run_end * BLOCK_BYTES, self.size)
        data = self._fetch(start, stop)
        for at in range(0, len(data), BLOCK_BYTES):
            self._blocks[first + at // BLOCK_BYTES] = data[at : at + BLOCK_BYTES]

    def _drop_plan(self) -> None:
        for piece in self._order:
            if piece.future is not None:
                piece.future.cancel()
        self._order, self._pieces, self._waiting, self._ahead = [], [], [], 0


def plan_chunks(data: h5py.Dataset, offsets: Sequence[tuple[int, ...]]) -> None:
    """Tell the file behind a dataset which chunks will be read; nothing for a local file.

    Raises
    ------
    ReadError
        If a chunk is too large to be fetched, or is none that this file can hold.
    """
    remote = _OPEN.get(data.file.filename)
    if remote is None:
        return
    decoded = prod(data.chunks) * data.dtype.itemsize
    if decoded > MOST_CHUNK_BYTES:
        raise ReadError(
            "read", f"{data.name} of {remote.url} has chunks of {decoded:,} bytes; "
            f"{MOST_CHUNK_BYTES:,} at most are read over the network",
            "download the file and ingest the local copy",
        )  # fmt: skip
    filtered = data.id.get_create_plist().get_nfilters() > 0
    sizes = range(decoded + decoded // 8 + _STORED_MORE) if filtered else (decoded,)
    ranges = []
    for offset in offsets:
        try:
            chunk = data.id.get_chunk_info_by_coord(offset)
        except (RuntimeError, OSError):  # it was never written, or the index is damaged
            continue
        if chunk.byte_offset is not None and chunk.size:
            _refuse_impossible(data.name, chunk.byte_offset, chunk.size, decoded, sizes, remote)
            ranges.append((chunk.byte_offset, chunk.byte_offset + chunk.size))
    remote.plan(ranges)


def _refuse_impossible(
    name: str, offset: int, stored: int, decoded: int, sizes: Container[int], remote: RemoteFile
) -> None:
    if offset + stored > remote.size:
        told = f"{offset:,} to {offset + stored:,}, and the file is {remote.size:,} bytes long"
        told = f"a chunk of {name} is said to lie at bytes {told}"
    elif stored not in sizes:
        told = (
            f"a chunk of {name} is said to take {stored:,} bytes, and {decoded:,} when it is read"
        )
    else:
        return
    raise ReadError(
        "read", f"{remote.url}: {told}",
        "its index is damaged: tell who published it, or look for another copy",
    )  # fmt: skip


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, thread_name_prefix="nwb-ranges")
