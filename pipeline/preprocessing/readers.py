"""Where the chain takes its samples from: any file reader, or an array in memory."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32


@runtime_checkable
class LfpSource(Protocol):
    """What the chain asks of a reader; ``pipeline.nwb`` has the one for files.

    Attributes
    ----------
    rate
        Measured sampling rate (Hz).
    gaps
        Samples that are the first after a break in the clock.
    """

    rate: float
    n_samples: int
    n_channels: int
    gaps: np.ndarray

    def time_of(self, sample: int) -> float: ...

    def sample_at(self, t: float) -> int: ...

    def read(self, start: int, stop: int) -> np.ndarray: ...


class ArrayReader:
    """An array that answers like a file reader, and counts what was read from it.

    Parameters
    ----------
    data
        Voltage (µV).
    rate
        Sampling rate (Hz); measured from the timestamps when they are given instead.
    start_s
        Time of the first sample (s), without timestamps.
    timestamps
        Time of every sample (s, increasing).
    """

    def __init__(
        self,
        data: Float32[np.ndarray, "time channel"],
        rate: float | None = None,
        *,
        start_s: float = 0.0,
        timestamps: Float[np.ndarray, " time"] | None = None,
    ) -> None:
        if (rate is None) == (timestamps is None):
            raise ValueError("give either a rate or timestamps: one clock, not two")
        self.data = data
        self.n_samples, self.n_channels = data.shape
        self.timestamps = timestamps
        self.start_s = start_s
        self.samples_read = 0
        self.largest_read = 0
        if timestamps is None:
            self.rate, self.gaps = float(rate), np.zeros(0, np.int64)
        else:
            steps = np.diff(timestamps)
            self.rate = 1 / float(np.median(steps))
            self.gaps = np.flatnonzero(steps > 1.5 / self.rate) + 1

    def time_of(self, sample: int) -> float:
        """Time of a sample (s)."""
        if self.timestamps is None:
            return self.start_s + sample / self.rate
        return float(self.timestamps[sample])

    def sample_at(self, t: float) -> int:
        """The sample nearest to a time (s), within the recording."""
        if self.timestamps is None:
            sample = round((t - self.start_s) * self.rate)
        else:
            right = int(np.searchsorted(self.timestamps, t))
            left = max(right - 1, 0)
            right = min(right, self.n_samples - 1)
            near = abs(self.timestamps[left] - t) < abs(self.timestamps[right] - t)
            sample = left if near else right
        return min(max(sample, 0), self.n_samples - 1)

    def read(self, start: int, stop: int) -> Float32[np.ndarray, "time channel"]:
        """Samples ``start`` to ``stop`` (µV)."""
        self.samples_read += stop - start
        self.largest_read = max(self.largest_read, stop - start)
        return self.data[start:stop]


def runs(source: LfpSource) -> list[tuple[int, int]]:
    """Stretches of samples without a break in the clock, as (first, past the last)."""
    edges = [0, *(int(gap) for gap in source.gaps), source.n_samples]
    found = [(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a]
    return found or [(0, 0)]
