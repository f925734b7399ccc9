"""A series' samples on the session's clock."""

from dataclasses import dataclass, field
from operator import index
from typing import SupportsFloat, SupportsIndex

import h5py
import numpy as np
from jaxtyping import Float64, Int64

from .chunks import read_rows
from .sizes import check_size
from .tables import as_number

GAP = 1.5  # a step of more than this many sampling intervals is a gap
_BLOCK = 1 << 20
_COARSE = 1 << 14


@dataclass(frozen=True)
class Clock:
    """Sample numbers to seconds and back.

    Attributes
    ----------
    n_samples
        Length of the series.
    rate
        Measured from timestamps where there are any, else as declared (Hz); NaN if neither.
    start_s, stop_s
        Time of the first sample, and one interval after the last (s, session clock).
    measured
        Whether ``rate`` comes from timestamps.
    gaps
        Samples before which more than 1.5 intervals are missing.
    backward
        Steps that go back in time or nowhere, or are no number.
    """

    n_samples: int
    rate: float
    start_s: float
    stop_s: float
    measured: bool = False
    gaps: Int64[np.ndarray, " gap"] = field(default_factory=lambda: np.zeros(0, np.int64))
    backward: int = 0
    timestamps: h5py.Dataset | None = None
    coarse: Float64[np.ndarray, " mark"] = field(default_factory=lambda: np.zeros(0))

    @property
    def irregular(self) -> bool:
        """Events rather than samples: more than one step in twenty is no sampling interval."""
        return len(self.gaps) + self.backward > max(1, self.n_samples // 20)

    def time_of(self, sample: SupportsIndex) -> float:
        """Time of a sample (s); beyond the ends it goes on at the measured rate."""
        sample = index(sample)
        if self.timestamps is None or self.n_samples == 0:
            return self.start_s + sample / self.rate
        inside = min(max(sample, 0), self.n_samples - 1)
        return float(self.timestamps[inside]) + (sample - inside) / self.rate

    def sample_at(self, time_s: SupportsFloat) -> int:
        """The sample nearest to a time, from 0 to ``n_samples`` (one after the last)."""
        time_s = float(time_s)
        if time_s >= self.stop_s - 0.5 / self.rate:
            return self.n_samples
        if self.timestamps is None:
            return max(0, round((time_s - self.start_s) * self.rate))
        mark = max(0, int(np.searchsorted(self.coarse, time_s, side="right")) - 1)
        first = mark * _COARSE
        times = self.timestamps[first : min(first + _COARSE + 1, self.n_samples)]
        after = int(np.searchsorted(times, time_s))
        if after == 0:
            return first
        if after == len(times):
            return first + after - 1
        return first + (after if times[after] - time_s < time_s - times[after - 1] else after - 1)


def is_rate(value: float | int | None) -> bool:
    """Whether anything is sampled at this rate (Hz): from once in days to a gigahertz."""
    return value is not None and 1e-6 <= value <= 1e9


def clock_of(series: h5py.Group, n_samples: int, declared: float | None) -> Clock:
    """The clock of a time series: its timestamps, else its starting time and rate.

    The rate is the number of regular steps over the time they take: neither jitter nor gaps
    move it. Timestamps are read once, a million at a time.
    """
    stamps = series.get("timestamps")
    timed = isinstance(stamps, h5py.Dataset) and stamps.ndim == 1 and stamps.dtype.kind in "iuf"
    if timed and len(stamps) and n_samples:
        return _measured(stamps, n_samples, declared)
    node = series.get("starting_time")
    single = isinstance(node, h5py.Dataset) and node.shape in ((), (1,))
    start = (as_number(node[()]) if single else None) or 0.0
    rate = declared if is_rate(declared) else float("nan")
    return Clock(n_samples, rate, start, start + n_samples / rate)


def _measured(stamps: h5py.Dataset, n_samples: int, declared: float | None) -> Clock:
    check_size(stamps, whole=True)
    n = min(len(stamps), n_samples)
    first = read_rows(stamps, 0, min(n, _BLOCK))
    steps = np.diff(first)
    regular = steps[np.isfinite(steps) & (steps > 0)]
    typical = float(np.median(regular)) if len(regular) else 1.0 / (declared or float("nan"))
    count, total, backward = 0, 0.0, 0
    gaps, coarse = [], []
    for start in range(0, n, _BLOCK):
        block = first if start == 0 else read_rows(stamps, start - 1, min(n, start + _BLOCK))
        steps = np.diff(block)
        good = (steps > 0) & (steps <= GAP * typical)
        count, total = count + int(good.sum()), total + float(steps[good].sum())
        backward += int((~(steps > 0)).sum())
        own = start if start == 0 else start - 1
        gaps.append(np.flatnonzero(steps > GAP * typical) + own + 1)
        coarse.append(block[start - own :: _COARSE])
    rate = count / total if count else 1.0 / typical
    rate = rate if is_rate(rate) else float("nan")
    last = float(stamps[n - 1]) if n else float("nan")
    return Clock(
        n_samples=n,
        rate=rate,
        start_s=float(first[0]),
        stop_s=last + 1.0 / rate,
        measured=count > 0 and bool(np.isfinite(rate)),
        gaps=np.concatenate(gaps).astype(np.int64),
        backward=backward,
        timestamps=stamps,
        coarse=np.concatenate(coarse).astype(np.float64),
    )
