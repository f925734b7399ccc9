"""Controls: what the same pipeline scores when the thing it claims to read is not there."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from .scores import as_labels


def permuted_labels(
    labels: Iterable[object], groups: Iterable[object], rng: np.random.Generator
) -> np.ndarray:
    """Labels shuffled within each group, so that every group keeps its counts of classes.

    Samples without a label stay without.
    """
    truth, names = as_labels(labels), np.array([str(g) for g in groups], dtype=object)
    labelled = np.array([t is not None for t in truth], dtype=bool)
    for group in np.unique(names):
        rows = np.flatnonzero((names == group) & labelled)
        truth[rows] = truth[rng.permutation(rows)]
    return truth


def permuted_units(
    labels: Iterable[object],
    groups: Iterable[object],
    units: Iterable[object],
    rng: np.random.Generator,
) -> np.ndarray:
    """Labels shuffled over whole units (channels) within each group.

    All samples of one channel keep one label: the null for a score whose samples are windows of
    channels, which a shuffle of windows would make too easy.
    """
    truth = as_labels(labels)
    names = [f"{g}\x1f{u}" for g, u in zip(groups, units, strict=True)]
    unique, first, index = np.unique(names, return_index=True, return_inverse=True)
    owner = [name.split("\x1f")[0] for name in unique]
    return permuted_labels(truth[first], owner, rng)[index]


def phase_randomise(
    signal: Float[np.ndarray, "time ..."], rng: np.random.Generator, *, shared: bool = True
) -> Float[np.ndarray, "time ..."]:
    """The signal with random phases: same amplitude spectrum, no temporal structure beyond it.

    Parameters
    ----------
    signal
        Time first; any further axes.
    shared
        One set of phases for all series, which keeps the cross-spectra; else one per series.

    Source: Theiler et al. 1992, Physica D 58:77; Prichard and Theiler 1994, PRL 73:951 (shared).
    """
    n = len(signal)
    spectrum = np.fft.rfft(signal.astype(np.float64), axis=0)
    shape = (len(spectrum), *([1] * (signal.ndim - 1) if shared else signal.shape[1:]))
    turn = np.exp(2j * np.pi * rng.random(shape))
    turn[0] = 1
    if n % 2 == 0:
        turn[-1] = 1  # the Nyquist bin must stay real
    return np.fft.irfft(spectrum * turn, n=n, axis=0).astype(signal.dtype)


def phase_randomise_windows(
    windows: Float[np.ndarray, "window time channel"], rng: np.random.Generator
) -> Float[np.ndarray, "window time channel"]:
    """Each window with random phases of its own, shared by its channels."""
    return np.stack([phase_randomise(window, rng) for window in windows])
