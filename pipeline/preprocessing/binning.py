"""Spikes and behaviour on the clock of windows."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt16
from pydantic import Field

from ..params import Params


class BinParams(Params):
    """How spike times become counts and behaviour becomes one value per bin."""

    bin_s: float = Field(0.02, gt=0, description="bin width (s)")
    max_gap_s: float = Field(1.0, gt=0, description="behaviour is NaN in longer gaps (s)")


def bin_edges(
    window_starts_s: Float[np.ndarray, " window"], window_s: float, bin_s: float
) -> Float64[np.ndarray, "window edge"]:
    """Edges of the bins of each window (s).

    Raises
    ------
    ValueError
        If the window is not a whole number of bins.
    """
    n_bins = round(window_s / bin_s)
    if n_bins < 1 or abs(n_bins * bin_s - window_s) > 1e-6 * window_s:
        raise ValueError(
            f"a window of {window_s:g} s is no whole number of bins of {bin_s:g} s: "
            f"choose bin_s = {window_s / max(n_bins, 1):g}"
        )
    return window_starts_s[:, None] + np.arange(n_bins + 1) * bin_s


def bin_spikes(
    times: Sequence[Float[np.ndarray, " _"]],
    window_starts_s: Float[np.ndarray, " window"],
    window_s: float,
    bin_s: float,
) -> UInt16[np.ndarray, "window bin unit"]:
    """Count the spikes of each unit in each bin: from its left edge up to, not at, its right.

    Parameters
    ----------
    times
        Spike times (s) per unit, in any order.

    Raises
    ------
    ValueError
        If the window is not a whole number of bins, or a count exceeds 65,535.
    """
    edges = bin_edges(window_starts_s, window_s, bin_s)
    counts = np.empty((len(edges), edges.shape[1] - 1, len(times)), np.uint16)
    for u, spikes in enumerate(times):
        found = np.diff(np.searchsorted(np.sort(spikes), edges, side="left"), axis=1)
        if found.size and found.max() > np.iinfo(np.uint16).max:
            raise ValueError(f"unit {u} has {found.max()} spikes in one bin; counts end at 65535")
        counts[:, :, u] = found
    return counts


def resample_behavior(
    times: Float[np.ndarray, " sample"],
    values: Float[np.ndarray, "sample variable"],
    window_starts_s: Float[np.ndarray, " window"],
    window_s: float,
    bin_s: float,
    *,
    max_gap_s: float = 1.0,
) -> Float32[np.ndarray, "window bin variable"]:
    """One value per bin: the mean of the samples in it, or the line between its neighbours.

    The line serves empty bins, and every bin where samples are farther apart than bins.

    Parameters
    ----------
    times
        Sample times (s, increasing); `values` may hold NaN, which is left out.
    max_gap_s
        A bin in a gap longer than this, or beyond the ends, becomes NaN.
    """
    edges = bin_edges(window_starts_s, window_s, bin_s)
    out = np.empty((len(edges), edges.shape[1] - 1, values.shape[1]), np.float32)
    for v in range(values.shape[1]):
        here = np.isfinite(values[:, v])
        out[:, :, v] = _bin_means(times[here], values[here, v], edges, max_gap_s)
    return out


def _bin_means(times: np.ndarray, values: np.ndarray, edges: np.ndarray, gap: float) -> np.ndarray:
    if len(times) == 0 or len(edges) == 0:
        return np.full((len(edges), edges.shape[1] - 1), np.nan)
    at = np.searchsorted(times, edges, side="left")
    n = np.diff(at, axis=1)
    level = values.mean()
    sums = np.diff(np.concatenate([[0.0], np.cumsum(values - level)])[at], axis=1)
    means = level + sums / np.maximum(n, 1)
    centres = (edges[:, :-1] + edges[:, 1:]) / 2
    between = np.interp(centres, times, values, left=np.nan, right=np.nan)
    right = np.clip(np.searchsorted(times, centres), 1, max(len(times) - 1, 1))
    if len(times) > 1:
        between[np.diff(times)[right - 1] > gap] = np.nan
    slow = len(times) > 1 and np.median(np.diff(times)) >= edges[0, 1] - edges[0, 0]
    return between if slow else np.where(n > 0, means, between)
