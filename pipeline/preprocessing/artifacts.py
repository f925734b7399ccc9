"""Bad channels and bad stretches, by rules that fit any probe."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, UInt8

DEAD, NOISY, OUTSIDE = 1, 2, 3
"""Labels of a channel that is not good (0); the numbers are IBL's."""


def label_channels(
    snippets: Sequence[Float32[np.ndarray, "time channel"]],
    *,
    dead_ratio: float,
    noisy_ratio: float,
) -> UInt8[np.ndarray, " channel"]:
    """Tell dead and noisy channels by comparison with the others of their recording.

    Dead: standard deviation below `dead_ratio` times the median channel's. Noisy: sample-to-sample
    jumps above `noisy_ratio` times the median channel's. Both as the median over the snippets.

    Parameters
    ----------
    snippets
        Short stretches (µV) of the same channels, spread over the recording.
    """
    spread = np.stack([s.std(axis=0) for s in snippets])
    jumps = np.stack([np.diff(s, axis=0).std(axis=0) for s in snippets])
    labels = np.zeros(spread.shape[1], np.uint8)
    labels[_relative(jumps) > noisy_ratio] = NOISY
    labels[_relative(spread) < dead_ratio] = DEAD
    return labels


def artifact_windows(
    peaks: Float32[np.ndarray, "window channel"],
    valid: Bool[np.ndarray, "window channel"],
    *,
    limit_uv: float | None,
    ratio: float | None,
) -> Bool[np.ndarray, "window channel"]:
    """Windows whose peak is beyond a limit, or far beyond what their channel usually shows.

    Parameters
    ----------
    peaks
        Largest distance from the window's mean (µV).
    valid
        Pairs that count for what is usual.
    limit_uv
        Absolute limit (µV); None for none.
    ratio
        Limit as a multiple of the channel's median peak; None for none. Needs three valid windows.
    """
    found = np.zeros(peaks.shape, bool)
    if limit_uv is not None:
        found |= peaks > limit_uv
    if ratio is not None:
        enough = valid.sum(axis=0) >= 3
        usual = np.ma.median(np.ma.masked_array(peaks, ~valid), axis=0).filled(0)
        found |= enough & (usual > 0) & (peaks > ratio * usual)
    return found & valid


def _relative(values: np.ndarray) -> np.ndarray:
    """Each channel's value over the median channel's, as the median over snippets; 1 if flat."""
    usual = np.median(values, axis=1, keepdims=True)
    return np.median(np.divide(values, usual, out=np.ones_like(values), where=usual > 0), axis=0)
