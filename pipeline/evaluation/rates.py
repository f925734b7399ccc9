"""Scores of predicted spike counts: bits per spike, pooled and per unit, and Poisson D2."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer

from .intervals import Clusters, IntervalParams, choose_clusters, resample
from .scores import ScoreRow

RATE_FLOOR = 1e-9
"""Counts per bin; stands in for a rate of zero, as in the Neural Latents Benchmark."""


@dataclass(frozen=True)
class UnitSums:
    """What the scores of each unit are made of (nats, summed over the entries predicted)."""

    spikes: Float[np.ndarray, " unit"]
    entries: Float[np.ndarray, " unit"]
    model: Float[np.ndarray, " unit"]
    saturated: Float[np.ndarray, " unit"]

    def null(self, rate: Float[np.ndarray, " unit"]) -> Float[np.ndarray, " unit"]:
        """Negative log-likelihood of a constant rate (counts per bin)."""
        rate = np.maximum(rate, RATE_FLOOR)
        return self.entries * rate - self.spikes * np.log(rate)


def sum_units(
    log_rates: Float[np.ndarray, "window bin unit"],
    counts: Integer[np.ndarray, "window bin unit"],
) -> UnitSums:
    """Poisson negative log-likelihoods per unit, without the term all models share.

    Parameters
    ----------
    log_rates
        Natural log of expected counts per bin; NaN where a model predicts nothing, which leaves
        the entry out.
    """
    if log_rates.shape != counts.shape:
        raise ValueError(f"log rates {log_rates.shape} and counts {counts.shape} differ in shape")
    sums = np.zeros((4, counts.shape[2]))
    for log_rate, count in zip(log_rates, counts, strict=True):  # one window: bounded memory
        seen = np.isfinite(log_rate)
        log_rate = np.maximum(np.where(seen, log_rate, 0).astype(np.float64), np.log(RATE_FLOOR))
        y = np.where(seen, count, 0).astype(np.float64)
        sums[0] += y.sum(axis=0)
        sums[1] += seen.sum(axis=0)
        sums[2] += (np.where(seen, np.exp(log_rate), 0) - y * log_rate).sum(axis=0)
        sums[3] += (y - y * np.log(np.maximum(y, 1))).sum(axis=0)
    return UnitSums(*sums)


def rates_scores(
    log_rates: Sequence[np.ndarray],
    counts: Sequence[np.ndarray],
    units: pd.DataFrame,
    *,
    null_rate: str = "test",
    metric: str = "co_bps",
    interval: IntervalParams | None = None,
) -> list[ScoreRow]:
    """Bits per spike over a constant rate: pooled, as a mean over units, and Poisson D2.

    Parameters
    ----------
    log_rates, counts
        One array ``(window, bin, unit)`` per session.
    units
        One row per unit in the order of the sessions: ``session``, ``unit``, maybe ``subject``;
        ``null_rate`` (counts per bin) where the null comes from training.
    null_rate
        ``test``: each unit's mean over the entries scored, as the Neural Latents Benchmark, MtM
        and NEDS do; ``train``: the column ``null_rate``.
    metric
        Name of the pooled score; the mean over units is ``<metric>_unit_mean``.

    Notes
    -----
    Units without a spike among the scored entries are left out of the mean over units. Intervals
    resample subjects, else sessions, else units, and the row says which.

    Source: Pei et al. 2021, NeurIPS Datasets (co-bps); Zhang et al. 2024 (mean over units).
    """
    interval = interval or IntervalParams()
    parts = [sum_units(r, c) for r, c in zip(log_rates, counts, strict=True)]
    sums = UnitSums(*(np.concatenate([getattr(p, f) for p in parts]) for f in _FIELDS))
    if len(units) != len(sums.spikes):
        raise ValueError(f"{len(units)} unit rows for {len(sums.spikes)} predicted units")
    null = sums.null(_null_rates(sums, units, null_rate))
    gain = (null - sums.model) / np.log(2)
    active = sums.spikes > 0
    n = int(active.sum())
    if n == 0:
        reason = f"none of {len(units)} units fired in the entries scored"
        names = (metric, f"{metric}_unit_mean", "poisson_d2")
        return [ScoreRow(m, "unit", None, None, 0, reason=reason) for m in names]
    per_unit = np.divide(gain, sums.spikes, out=np.zeros_like(gain), where=active)
    scale = (null - sums.saturated) / np.log(2)
    columns = np.stack([gain, sums.spikes, per_unit, active, scale], axis=1).astype(float)
    kinds = [k for k in ("lab", "subject", "session", "unit") if k in units]
    clusters = choose_clusters(units.assign(**{"unit": range(len(units))}), [*kinds], 3)
    return _rows(columns, clusters, metric, null_rate, n, interval)


_FIELDS = ("spikes", "entries", "model", "saturated")


def _null_rates(sums: UnitSums, units: pd.DataFrame, source: str) -> np.ndarray:
    if source == "test":
        return sums.spikes / np.maximum(sums.entries, 1)
    if source != "train":
        raise ValueError(f"null rate from {source!r}; it can come from 'test' or 'train'")
    if "null_rate" not in units:
        raise KeyError(
            f"units have no column 'null_rate' (counts per bin); there are {list(units)}"
        )
    return units["null_rate"].to_numpy(dtype=float)


def _rows(
    columns: np.ndarray, clusters: Clusters, metric: str, source: str, n: int,
    interval: IntervalParams,
) -> list[ScoreRow]:  # fmt: skip
    def statistic(sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            pooled, unit_mean = sums[:, 0] / sums[:, 1], sums[:, 2] / sums[:, 3]
            return np.stack([pooled, unit_mean, sums[:, 0] / sums[:, 4]], axis=1)

    value = statistic(columns.sum(axis=0)[None])[0]
    ends = resample(clusters, clusters.total(columns), statistic, interval)
    rows = []
    for i, name in enumerate((metric, f"{metric}_unit_mean", "poisson_d2")):
        low, high = (
            (None, None) if isinstance(ends, str) else (float(ends[0][i]), float(ends[1][i]))
        )
        reason = ends if isinstance(ends, str) else clusters.note
        rows.append(
            ScoreRow(name, "unit", float(value[i]), 0.0, n, low, high, reason, f"null:{source}")
        )
    return rows
