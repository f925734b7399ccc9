"""Intervals by resampling whole groups: windows of one subject are near copies of each other."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ..params import Params

SUBJECT = "subject"


class IntervalParams(Params):
    """How an interval is made."""

    draws: int = 1000
    confidence: float = 0.95
    minimum_groups: int = 3
    seed: int = 0


@dataclass(frozen=True)
class Clusters:
    """Which group each sample belongs to.

    Attributes
    ----------
    codes
        Group number of each sample, 0 to ``n - 1``.
    n
        Number of groups.
    kind
        What a group is: ``subject``, ``session``, ``time block``, ``unit``, ``lab``.
    """

    codes: Int[np.ndarray, " sample"]
    n: int
    kind: str

    @property
    def note(self) -> str | None:
        """What to say beside an interval that does not resample subjects."""
        return None if self.kind == SUBJECT else f"interval over {self.n} {self.kind}s"

    def take(self, keep: np.ndarray) -> "Clusters":
        """The same grouping of some of the samples."""
        return cluster(self.codes[keep], self.kind)

    def total(
        self, values: Float[np.ndarray, "sample column"]
    ) -> Float[np.ndarray, "group column"]:
        """Sum of each column within each group."""
        sums = [np.bincount(self.codes, column, minlength=self.n) for column in values.T]
        return np.stack(sums, axis=1)

    def count(
        self, index: Int[np.ndarray, " sample"], size: int
    ) -> Float[np.ndarray, "group value"]:
        """How often each group has each value of ``index``; -1 is not counted."""
        keep = index >= 0
        cell = self.codes[keep] * size + index[keep]
        return np.bincount(cell, minlength=self.n * size).reshape(self.n, size).astype(float)


def cluster(names: Iterable[object], kind: str = SUBJECT) -> Clusters:
    """Group samples by name."""
    codes, unique = pd.factorize(pd.Series(list(names), dtype=object).astype(str))
    return Clusters(codes.astype(np.int64), len(unique), kind)


def choose_clusters(groups: pd.DataFrame, kinds: Sequence[str], minimum: int) -> Clusters:
    """Group by the first column of ``kinds`` that has enough groups, else by the first there is.

    A column counts together with those before it, so that a session of one subject never meets
    one of the same name of another.
    """
    present = [kind for kind in kinds if kind in groups]
    if not present:
        raise KeyError(f"groups have none of {list(kinds)}; there are {list(groups)}")
    options, codes = [], np.zeros(len(groups), np.int64)
    for kind in present:
        names = cluster(groups[kind], kind)
        codes, unique = pd.factorize(codes * max(names.n, 1) + names.codes)
        options.append(Clusters(codes.astype(np.int64), len(unique), kind))
    return next((c for c in options if c.n >= minimum), options[0])


def resample(
    clusters: Clusters,
    totals: Float[np.ndarray, "group column"],
    statistic: Callable[[np.ndarray], np.ndarray],
    params: IntervalParams,
) -> tuple[np.ndarray, np.ndarray] | str:
    """Percentile interval of statistics of sums over groups, or the reason there is none.

    Parameters
    ----------
    totals
        What each group adds to the sums a statistic is made of.
    statistic
        From sums ``(draw, column)`` to values ``(draw, value)``; NaN where undefined.

    Source: Field and Welsh 2007, J. R. Stat. Soc. B 69:369 (cluster bootstrap).
    """
    if clusters.n < params.minimum_groups:
        plural = "" if clusters.n == 1 else "s"
        have = f"{clusters.n} {clusters.kind}{plural}"
        return f"no interval: needs {params.minimum_groups} {clusters.kind}s, there is {have}"
    rng = np.random.default_rng(params.seed)
    share = np.full(clusters.n, 1 / clusters.n)
    weights = rng.multinomial(clusters.n, share, size=params.draws)
    values = statistic(weights @ totals)
    tail = 50 * (1 - params.confidence)
    low, high = _percentiles(values, tail), _percentiles(values, 100 - tail)
    return low, high


def _percentiles(values: np.ndarray, q: float) -> np.ndarray:
    """Percentile of each column without its NaN; NaN where a column has nothing else."""
    usable = np.isfinite(values).any(axis=0)
    out = np.full(values.shape[1], np.nan)
    out[usable] = np.nanpercentile(values[:, usable], q, axis=0)
    return out
