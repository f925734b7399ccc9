"""Filters without phase shift, and decimation with anti-aliasing."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Float64
from scipy import signal

FIR_ZERO_CROSSINGS = 20
"""Half length of the anti-alias filter, in output samples."""


def butterworth(
    corner_hz: float, kind: Literal["highpass", "lowpass"], *, order: int, rate: float
) -> Float64[np.ndarray, "section 6"]:
    """Second-order sections of a Butterworth filter; run both ways its order doubles.

    Raises
    ------
    ValueError
        If the corner is not below half the sampling rate.
    """
    if not 0 < corner_hz < rate / 2:
        raise ValueError(
            f"{kind} at {corner_hz:g} Hz needs more than {2 * corner_hz:g} Hz sampling; "
            f"there is {rate:g} Hz: leave the step out"
        )
    return signal.butter(order, corner_hz, kind, fs=rate, output="sos")


def settling_samples(sos: Float64[np.ndarray, "section 6"], tolerance: float) -> int:
    """Samples after which the filter's memory of the past has shrunk to `tolerance`."""
    _, poles, _ = signal.sos2zpk(sos)
    slowest = np.abs(poles).max()
    return int(np.ceil(np.log(tolerance) / np.log(slowest))) if slowest > 0 else 1


def filter_both_ways(
    x: Float[np.ndarray, "time channel"],
    sos: Float64[np.ndarray, "section 6"],
    *,
    channels_at_once: int = 64,
) -> Float32[np.ndarray, "time channel"]:
    """Run a filter forwards and backwards along time, in double precision.

    A few channels at a time, so that the double-precision copy stays small.
    """
    out = np.empty(x.shape, np.float32)
    one_sided = min((sos[:, 2] == 0).sum(), (sos[:, 5] == 0).sum())
    padding = min(3 * (2 * len(sos) + 1 - int(one_sided)), len(x) - 1)  # SciPy's, unless short
    for first in range(0, x.shape[1], channels_at_once):
        some = slice(first, first + channels_at_once)
        wide = np.ascontiguousarray(x[:, some].T, dtype=np.float64)  # (channel, time)
        out[:, some] = signal.sosfiltfilt(sos, wide, axis=1, padlen=padding).T
    return out


def decimation_factor(rate: float, target_hz: float) -> int:
    """Largest whole factor that leaves at least `target_hz`; 1 where there is none.

    A measured rate a little under a multiple counts as that multiple (2499.996 / 1250 is 2).
    """
    return max(1, int(rate / target_hz * (1 + 1e-3)))


def anti_alias_taps(factor: int) -> Float64[np.ndarray, " tap"]:
    """Linear-phase low-pass for decimation: flat to 0.75, 80 dB down at the new Nyquist."""
    half = FIR_ZERO_CROSSINGS * factor
    return signal.firwin(2 * half + 1, 0.875 / factor, window=("kaiser", 7.857))


def decimate(
    padded: Float[np.ndarray, "time channel"], factor: int, n_out: int
) -> Float32[np.ndarray, "out channel"]:
    """Every `factor`-th sample after the anti-alias filter.

    Parameters
    ----------
    padded
        Input that begins `FIR_ZERO_CROSSINGS * factor` samples before the first output and
        ends as many after the last.
    n_out
        Output samples wanted.
    """
    taps = anti_alias_taps(factor)
    wide = np.ascontiguousarray(padded.T, dtype=np.float64)  # (channel, time)
    out = signal.upfirdn(taps, wide, down=factor, axis=1)
    first = 2 * FIR_ZERO_CROSSINGS
    return np.ascontiguousarray(out[:, first : first + n_out].T, dtype=np.float32)
