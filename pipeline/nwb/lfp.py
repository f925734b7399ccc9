"""Field potential out of a file: time first, float32, µV, on the session's clock."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import index
from os import PathLike
from typing import Any, SupportsFloat, SupportsIndex

import h5py
import numpy as np
from jaxtyping import Float32, Int64

from .chunks import decodable, decode_chunks
from .clock import clock_of
from .errors import ReadError
from .layouts import layout_of
from .open import open_nwb
from .series import scale_of
from .sizes import check_size

_BLOCK_BYTES = 16 << 20
_TILE = 512

Placer = Callable[[int, int, np.ndarray], None]
"""Gets (first sample, first column, stored numbers), once for every chunk."""


class LfpReader:
    """One electrical series of an open file.

    Attributes
    ----------
    rate
        Measured sampling rate where there are timestamps, else as declared (Hz).
    n_samples, n_channels
        Shape of the series.
    gaps
        Samples before which time is missing.
    start_s, stop_s
        Time of the first sample, and one interval after the last (s, session clock).
    """

    def __init__(self, series: h5py.Group, declared_rate: float | None = None):
        self.path = series.name.strip("/")
        self._data = series["data"]
        self.n_channels = self._data.shape[1] if self._data.ndim == 2 else 1
        self._clock = clock_of(series, self._data.shape[0], declared_rate)
        self.rate, self.n_samples = self._clock.rate, self._clock.n_samples
        self.start_s, self.stop_s = self._clock.start_s, self._clock.stop_s
        if not np.isfinite([self.rate, self.start_s]).all():
            raise ReadError(
                "read", f"{self.path} has no clock: its rate is {self.rate:g} Hz, it starts at "
                f"{self.start_s:g} s", "mend its timestamps or its rate, or leave the series out",
            )  # fmt: skip
        check_size(self._data)
        scale = scale_of(series, self.n_channels, [])
        # float32 is exact enough for what came in as at most 24 bits
        wide = self._data.dtype.itemsize > 4 or self._data.dtype.kind in "iu"
        wide = wide and self._data.dtype.itemsize > 2
        self._dtype = np.float64 if wide else np.float32
        self._factor, self._offset = scale.factor.astype(self._dtype), self._dtype(scale.offset)

    @property
    def gaps(self) -> Int64[np.ndarray, " gap"]:
        """Samples before which more than 1.5 sampling intervals are missing."""
        return self._clock.gaps

    def time_of(self, sample: SupportsIndex) -> float:
        """Time of a sample (s, session clock)."""
        return self._clock.time_of(sample)

    def sample_at(self, time_s: SupportsFloat) -> int:
        """The sample nearest to a time; ``n_samples`` from the end on."""
        return self._clock.sample_at(time_s)

    def read(
        self,
        start: SupportsIndex,
        stop: SupportsIndex,
        channels: Sequence[int] | np.ndarray | None = None,
    ) -> Float32[np.ndarray, "time channel"]:
        """Samples ``start`` to ``stop`` of some columns (µV).

        Raises
        ------
        ValueError
            If the samples or columns asked for are not all there.
        """
        start, stop = index(start), index(stop)
        self._check(start, stop)
        columns = self._columns(channels)
        out = np.empty((stop - start, len(columns)), np.float32)

        def place(first: int, column: int, block: np.ndarray) -> None:
            a, b = max(start, first), min(stop, first + len(block))
            self._put(block[a - first : b - first], column, columns, out[a - start : b - start])

        self._each_chunk([(start, stop)], columns, place)
        return out

    def read_windows(
        self,
        starts: Sequence[int] | np.ndarray,
        n_samples: SupportsIndex,
        channels: Sequence[int] | np.ndarray | None = None,
    ) -> Float32[np.ndarray, "window time channel"]:
        """Windows of equal length, each chunk of the file decoded once (µV).

        Windows may overlap and come in any order. Memory is the output plus some 50 MB.

        Raises
        ------
        ValueError
            If a window or column is not all there.
        """
        starts, n_samples = np.asarray(starts, dtype=np.int64), index(n_samples)
        columns = self._columns(channels)
        out = np.empty((len(starts), n_samples, len(columns)), np.float32)
        if not out.size:
            return out
        self._check(int(starts.min()), int(starts.max()) + n_samples)
        order = np.argsort(starts, kind="stable")
        ordered = starts[order]

        def place(first: int, column: int, block: np.ndarray) -> None:
            last = first + len(block)
            low = np.searchsorted(ordered, first - n_samples, side="right")
            for i in range(low, np.searchsorted(ordered, last)):
                s = int(ordered[i])
                a, b = max(s, first), min(s + n_samples, last)
                self._put(
                    block[a - first : b - first], column, columns, out[order[i], a - s : b - s]
                )

        self._each_chunk([(int(s), int(s) + n_samples) for s in ordered], columns, place)
        return out

    def _each_chunk(self, spans: list[tuple[int, int]], columns: np.ndarray, place: Placer) -> None:
        """Hand every chunk that meets a span (sorted by start) and a column to ``place``, once."""
        data = self._data
        if not len(columns) or not any(b > a for a, b in spans):
            return
        if not decodable(data):
            return self._each_slice(spans, columns, place)
        tall = data.chunks[0]
        wide = data.chunks[1] if data.ndim == 2 else 1
        rows = sorted({r for a, b in spans for r in range(a // tall, -(-b // tall))})
        cols = sorted({int(c) // wide for c in columns})
        offsets = ((r * tall, c * wide)[: data.ndim] for r in rows for c in cols)
        decode_chunks(data, offsets, lambda o, block: place(o[0], (*o, 0)[1], _two_d(block)))

    def _each_slice(self, spans: list[tuple[int, int]], columns: np.ndarray, place: Placer) -> None:
        """The same through HDF5's own slicing, for storage that is not decoded here."""
        low, high = int(columns.min()), int(columns.max()) + 1
        unit = self._data.chunks[0] if self._data.chunks else 1
        tall = max(1, _BLOCK_BYTES // max(1, (high - low) * self._data.dtype.itemsize))
        tall = -(-tall // unit) * unit
        for a, b in _merged([(a // unit * unit, -(-b // unit) * unit) for a, b in spans]):
            for first in range(a, min(b, self.n_samples), tall):
                rows = slice(first, min(b, first + tall, self.n_samples))
                spot = (rows, slice(low, high))[: self._data.ndim]
                place(first, low, _two_d(self._data[spot]))

    def _put(self, block: np.ndarray, column: int, columns: np.ndarray, out: np.ndarray) -> None:
        """Write the wanted columns of a chunk into ``out`` as µV."""
        wanted = np.flatnonzero((columns >= column) & (columns < column + block.shape[1]))
        if not len(wanted):
            return
        inside = columns[wanted] - column
        whole = np.array_equal(wanted, np.arange(wanted[0], wanted[-1] + 1))
        if whole and np.array_equal(inside, np.arange(inside[0], inside[-1] + 1)):
            block = block[:, inside[0] : inside[-1] + 1]
            view = out[:, wanted[0] : wanted[-1] + 1]
            factor = self._factor[columns[wanted]]
            for i in range(0, len(view), _TILE):  # a tile stays in cache while it is turned
                part = view[i : i + _TILE]
                np.multiply(block[i : i + _TILE], factor, out=part, casting="same_kind")
                if self._offset:
                    part += self._offset
        else:
            values = block[:, inside].astype(self._dtype) * self._factor[columns[wanted]]
            out[:, wanted] = values + self._offset

    def _columns(self, channels: Any) -> np.ndarray:
        columns = np.arange(self.n_channels) if channels is None else np.asarray(channels, int)
        if len(columns) and not 0 <= columns.min() <= columns.max() < self.n_channels:
            raise ValueError(
                f"columns {columns.min()} to {columns.max()} asked of {self.path};"
                f" it has {self.n_channels}"
            )
        return columns

    def _check(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.n_samples:
            raise ValueError(
                f"samples {start} to {stop} asked of {self.path}; it has {self.n_samples}"
            )


@contextmanager
def open_lfp(source: str | PathLike[str], series: str) -> Iterator[LfpReader]:
    """Open one series of a file, by its path inside.

    Raises
    ------
    ReadError
        If the file cannot be opened, or the series has no clock or cannot be as large as it says.
    KeyError
        If it has no such series.
    """
    with open_nwb(source) as file:
        layout = layout_of(file)
        group = file.get(series)
        if not isinstance(group, h5py.Group) or "data" not in group:
            from .series import series_paths

            raise KeyError(f"no series {series!r} in {source}; there are {series_paths(layout)}")
        yield LfpReader(group, layout.declared_rate(group))


def _two_d(block: np.ndarray) -> np.ndarray:
    return block if block.ndim == 2 else block[:, None]


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for a, b in spans:
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, b))
    return merged
