"""Taking out what all channels share."""

import numpy as np
from jaxtyping import Bool, Float32, Integer


def common_average(
    lfp: Float32[np.ndarray, "time channel"], good: Bool[np.ndarray, " channel"]
) -> Float32[np.ndarray, "time channel"]:
    """Subtract the mean of the good channels from every channel (µV).

    Raises
    ------
    ValueError
        If fewer than two channels are good.

    Source: Ludwig et al. 2009, J. Neurophysiol. 101:1679.
    """
    _need_two(good, "common average")
    return lfp - lfp[:, good].mean(axis=1, keepdims=True)


def common_median(
    lfp: Float32[np.ndarray, "time channel"], good: Bool[np.ndarray, " channel"]
) -> Float32[np.ndarray, "time channel"]:
    """Subtract the median of the good channels, sample by sample, from every channel (µV).

    Raises
    ------
    ValueError
        If fewer than two channels are good.
    """
    _need_two(good, "common median")
    return lfp - np.median(lfp[:, good], axis=1, keepdims=True).astype(np.float32)


def bipolar_partners(
    order: Integer[np.ndarray, " channel"], shank: Integer[np.ndarray, " channel"]
) -> Integer[np.ndarray, " channel"]:
    """The next channel along each shank; the last one of a shank takes the one before it.

    Parameters
    ----------
    order
        Channels sorted along the shanks, e.g. the argsort of depth.
    shank
        Shank of each channel. A channel alone on its shank is its own partner.
    """
    partners = np.arange(len(order))
    for one in np.unique(shank):
        along = order[shank[order] == one]
        if len(along) > 1:
            partners[along[:-1]] = along[1:]
            partners[along[-1]] = along[-2]
    return partners


def bipolar(
    lfp: Float32[np.ndarray, "time channel"], partners: Integer[np.ndarray, " channel"]
) -> Float32[np.ndarray, "time channel"]:
    """Each channel minus its partner (µV); the number of channels stays."""
    return lfp - lfp[:, partners]


def _need_two(good: Bool[np.ndarray, " channel"], what: str) -> None:
    if good.sum() < 2:
        raise ValueError(f"{what} needs 2 good channels, got {good.sum()} of {good.size}")
