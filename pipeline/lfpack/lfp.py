"""Samples of a packed recording, decoded by lfpack: time first, float32, µV, session clock."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from ..nwb.errors import ReadError
from .clock import GAP, PackClock, clock_of_pack
from .contents import SCALE, open_pack

UV = 1e6  # lfpack decodes to volts
KEPT = 4  # decoded chunks held: windows near each other share them
BROKEN = (OSError, RuntimeError, KeyError, ValueError, IndexError, TypeError)
"""What HDF5 and the decoder raise on damaged bytes."""


class PackedLfp:
    """One recording as the preprocessing chain asks for it (`LfpSource`).

    Attributes
    ----------
    rate
        Measured against the session's clock where it is known, else as declared (Hz).
    n_samples, n_channels
        Shape of the recording.
    gaps
        Samples before which time is missing.
    """

    def __init__(self, reader: Any, clock: PackClock, chunk: int, name: str) -> None:
        self._reader, self._chunk, self.path = reader, chunk, name
        self.n_samples, self.n_channels = int(reader.ns), int(reader.nc)
        self.rate = clock.rate
        times = clock.times(np.arange(self.n_samples, dtype=float))
        self.gaps: Int64[np.ndarray, " gap"] = (
            np.flatnonzero(np.diff(times) > GAP / clock.rate) + 1
        ).astype(np.int64)
        self._times = np.maximum.accumulate(times)  # knots may meet the line beyond them askew
        self._decoded: OrderedDict[int, np.ndarray] = OrderedDict()
        self.chunks_decoded = 0

    def time_of(self, sample: int) -> float:
        """Time of a sample (s, session clock); beyond the ends it goes on at the rate."""
        inside = min(max(sample, 0), self.n_samples - 1)
        return float(self._times[inside]) + (sample - inside) / self.rate

    def sample_at(self, time_s: float) -> int:
        """The sample nearest to a time, from 0 to ``n_samples`` (one after the last)."""
        if time_s >= self._times[-1] + 0.5 / self.rate:
            return self.n_samples
        right = int(np.searchsorted(self._times, time_s))
        left = max(right - 1, 0)
        right = min(right, self.n_samples - 1)
        near = time_s - self._times[left] < self._times[right] - time_s
        return left if near else right

    def read(self, start: int, stop: int) -> Float32[np.ndarray, "time channel"]:
        """Samples ``start`` to ``stop`` (µV); decodes the chunks they lie in and no other.

        Raises
        ------
        ValueError
            If the samples asked for are not all there.
        ReadError
            If they cannot be decoded.
        """
        if not 0 <= start <= stop <= self.n_samples:
            raise ValueError(
                f"samples {start} to {stop} asked of {self.path}; it has {self.n_samples}"
            )
        out = np.empty((stop - start, self.n_channels), np.float32)
        for number in range(start // self._chunk, -(-stop // self._chunk)):
            first = number * self._chunk
            a, b = max(start, first), min(stop, first + self._chunk)
            out[a - start : b - start] = self._decode(number)[a - first : b - first]
        return out

    def _decode(self, number: int) -> np.ndarray:
        if number in self._decoded:
            self._decoded.move_to_end(number)
            return self._decoded[number]
        first = number * self._chunk
        last = min(first + self._chunk, self.n_samples)
        try:
            volts = self._reader.read(slice(first, last), sync=False)
        except BROKEN as error:
            raise _damaged(self.path, error) from error
        if volts.shape != (last - first, self.n_channels):
            raise _damaged(self.path, f"chunk {number} decodes to {volts.shape}")
        self.chunks_decoded += 1
        self._decoded[number] = volts * np.float32(UV)
        while len(self._decoded) > KEPT:
            self._decoded.popitem(last=False)
        return self._decoded[number]


@contextmanager
def open_packed_lfp(source: str | PathLike[str], recording: str) -> Iterator[PackedLfp]:
    """Open one recording of a packed file for decoding.

    Raises
    ------
    ReadError
        If the file cannot be opened, has no such recording, or is damaged.
    ModuleNotFoundError
        If lfpack is not installed; the message says how to install it.
    """
    with open_pack(source, recording) as pack:
        clock, chunk = clock_of_pack(pack.meta, pack.rate), pack.chunk
    try:
        from lfpack import LFPackReader
    except ModuleNotFoundError as error:
        if error.name != "lfpack":
            raise
        raise ModuleNotFoundError(
            "decoding packed recordings needs lfpack: pip install 'fieldbase[ibl]'", name="lfpack"
        ) from error
    name = f"{source}::{recording}"
    try:
        reader = LFPackReader(source, recording=recording, scale=int(SCALE))
    except BROKEN as error:
        raise _damaged(name, error) from error
    try:
        yield PackedLfp(reader, clock, chunk, name)
    finally:
        reader.close()


def _damaged(name: str, error: Exception | str) -> ReadError:
    reason = " ".join(str(error).split())[:200]
    return ReadError("read", f"{name} is damaged ({reason})", "fetch the file again")
