"""Channels that carry one signal: a region on copies of one wire is a sample of one."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

SAME_SIGNAL = 0.99
"""Correlation (absolute) from which two channels are taken for one signal."""

COLUMNS = ("region", "channels", "independent", "largest_r", "sessions", "subjects")


@dataclass(frozen=True)
class Recorded:
    """Channels of one session: who, which region each is in, and how alike each pair is.

    Attributes
    ----------
    correlation
        Pearson correlation of each pair over all its windows; NaN where there is none.
    """

    session: str
    subject: str
    regions: np.ndarray
    correlation: Float[np.ndarray, "channel channel"]


def correlate_channels(
    windows: Float[np.ndarray, "window time channel"], valid: Bool[np.ndarray, "window channel"]
) -> Float[np.ndarray, "channel channel"]:
    """Pearson correlation of each pair of channels over the windows in which both are valid.

    Each window's mean is taken out first. NaN for a pair that shares no window, or one of which
    is constant.
    """
    n = windows.shape[2]
    products, squares = np.zeros((n, n)), np.zeros((n, n))
    for window, usable in zip(windows, valid, strict=True):
        x = window[:, usable].astype(np.float64)
        x -= x.mean(axis=0)
        at = np.ix_(usable, usable)
        products[at] += x.T @ x
        squares[at] += (x**2).sum(axis=0)[:, None]  # of the row's channel, where both are valid
    scale = np.sqrt(squares * squares.T)
    return np.divide(products, scale, out=np.full((n, n), np.nan), where=scale > 0)


def signal_groups(
    correlation: Float[np.ndarray, "channel channel"], threshold: float = SAME_SIGNAL
) -> Int[np.ndarray, " channel"]:
    """Number of the signal each channel carries; copies of copies count as one."""
    same = np.nan_to_num(np.abs(correlation)) >= threshold
    return connected_components(csr_matrix(same), directed=False)[1].astype(np.int64)


def independent_channels(
    recorded: Iterable[Recorded], threshold: float = SAME_SIGNAL
) -> pd.DataFrame:
    """How many channels, and how many different signals, each region rests on.

    Returns
    -------
    DataFrame
        ``region``, ``channels``, ``independent`` (signals among them), ``largest_r`` (greatest
        correlation, absolute, between two channels of the region; NaN for one channel),
        ``sessions``, ``subjects``; the region of most channels first.
    """
    rows = []
    for one in recorded:
        for region in sorted({r for r in one.regions if isinstance(r, str)}):
            at = np.flatnonzero(one.regions == region)
            part = np.abs(one.correlation[np.ix_(at, at)])
            pairs = part[np.triu_indices(len(at), 1)]
            rows.append(
                {
                    "region": region,
                    "channels": len(at),
                    "independent": len(set(signal_groups(part, threshold))),
                    "largest_r": np.nanmax(pairs) if np.isfinite(pairs).any() else np.nan,
                    "sessions": one.session,
                    "subjects": one.subject,
                }
            )
    if not rows:
        return pd.DataFrame(columns=list(COLUMNS))
    found = pd.DataFrame(rows).groupby("region", as_index=False).agg(
        {
            "channels": "sum", "independent": "sum", "largest_r": "max",
            "sessions": "nunique", "subjects": "nunique",
        }
    )  # fmt: skip
    order = found.sort_values(["channels", "region"], ascending=[False, True])
    return order[list(COLUMNS)].reset_index(drop=True)
