"""Samples of a packed recording on the session's clock."""

from dataclasses import dataclass

import h5py
import numpy as np
from jaxtyping import Float, Float64

from ..nwb.sizes import check_column
from ..nwb.tables import as_number

GAP = 1.5  # a step of more than this many sampling intervals is a gap


@dataclass(frozen=True)
class PackClock:
    """Sample numbers to seconds: through knots where there are any, else at one rate.

    Attributes
    ----------
    rate
        Measured against the session's clock, else as declared (Hz).
    zero_s
        Time of the first sample at that rate (s).
    known
        Whether the session's clock is known; else times count from the first sample.
    at, times_s
        Knots: sample numbers and their times (s), increasing; may be empty.
    """

    rate: float
    zero_s: float
    known: bool
    at: Float64[np.ndarray, " knot"]
    times_s: Float64[np.ndarray, " knot"]

    def times(self, samples: Float[np.ndarray, " sample"]) -> Float64[np.ndarray, " sample"]:
        """Times (s): between knots along them, beyond the ends at the measured rate."""
        samples = np.asarray(samples, float)
        line = self.zero_s + samples / self.rate
        if len(self.at) < 2:
            return line
        inside = (samples >= self.at[0]) & (samples <= self.at[-1])
        return np.where(inside, np.interp(samples, self.at, self.times_s), line)


def clock_of_pack(meta: h5py.Group, rate: float) -> PackClock:
    """The clock of a recording, by the attributes and knots of its header."""
    measured, zero = (as_number(meta.attrs.get(name)) for name in ("fs_sync", "t0_sync"))
    knots = [meta.get(name) for name in ("sync_samples", "sync_times")]
    at, times = np.zeros(0), np.zeros(0)
    if all(isinstance(data, h5py.Dataset) and data.ndim == 1 for data in knots):
        at, times = (check_column(data)[()].astype(np.float64) for data in knots)
        rises = len(at) == len(times) and (np.diff(at) > 0).all() and (np.diff(times) > 0).all()
        if not (rises and np.isfinite(at).all() and np.isfinite(times).all()):
            at, times = np.zeros(0), np.zeros(0)
    known = zero is not None or len(at) > 1
    usable = measured if measured and measured > 0 else rate
    return PackClock(usable, zero or 0.0, known, at, times)
