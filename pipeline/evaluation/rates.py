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
    trained: Float[np.ndarray, " unit"]

    @property
    def constant(self) -> Float[np.ndarray, " unit"]:
        """Negative log-likelihood of each unit's mean over the entries scored."""
        rate = np.maximum(self.spikes / np.maximum(self.entries, 1), RATE_FLOOR)
        return self.entries * rate - self.spikes * np.log(rate)


def sum_units(
    log_rates: Float[np.ndarray, "window bin unit"],
    counts: Integer[np.ndarray, "window bin unit"],
    null_rates: Float[np.ndarray, "window unit"] | None = None,
) -> UnitSums:
    """Poisson negative log-likelihoods per unit, without the term all models share.

    Parameters
    ----------
    log_rates
        Natural log of expected counts per bin; NaN where a model predicts nothing, which leaves
        the entry out.
    null_rates
        Each unit's mean count per bin in the training of the fold a window is held out in.
    """
    if log_rates.shape != counts.shape:
        raise ValueError(f"log rates {log_rates.shape} and counts {counts.shape} differ in shape")
    sums = np.zeros((5, counts.shape[2]))
    if null_rates is None:
        null_rates = np.ones((len(counts), counts.shape[2]))
    null_rates = np.maximum(null_rates, RATE_FLOOR)
    for log_rate, count, null in zip(log_rates, counts, null_rates, strict=True):  # bounded memory
        seen = np.isfinite(log_rate)
        log_rate = np.maximum(np.where(seen, log_rate, 0).astype(np.float64), np.log(RATE_FLOOR))
        y = np.where(seen, count, 0).astype(np.float64)
        sums[0] += y.sum(axis=0)
        sums[1] += seen.sum(axis=0)
        sums[2] += (np.where(seen, np.exp(log_rate), 0) - y * log_rate).sum(axis=0)
        sums[3] += (y - y * np.log(np.maximum(y, 1))).sum(axis=0)
        sums[4] += seen.sum(axis=0) * null - y.sum(axis=0) * np.log(null)
    return UnitSums(*sums)


def rates_scores(
    log_rates: Sequence[np.ndarray],
    counts: Sequence[np.ndarray],
    units: pd.DataFrame,
    *,
    null_rates: Sequence[np.ndarray] | None = None,
    metric: str = "co_bps",
    interval: IntervalParams | None = None,
) -> list[ScoreRow]:
    """Bits per spike over a constant rate: pooled, as a mean over units, and Poisson D2.

    Parameters
    ----------
    log_rates, counts
        One array ``(window, bin, unit)`` per session.
    units
        One row per unit in the order of the sessions: ``session``, ``unit``, maybe ``subject``.
    null_rates
        Per session ``(window, unit)`` counts per bin, each unit's mean in training.
    metric
        Name of the pooled score; the mean over units is ``<metric>_unit_mean``.

    Notes
    -----
    The null of ``<metric>`` is each unit's mean over the entries scored, as in the Neural Latents
    Benchmark, MtM and NEDS: it knows what no model can, so no other constant rate gives less. With
    ``null_rates`` there is ``<metric>_train_null`` beside it.

    Units without a spike among the scored entries are left out of the mean over units. Intervals
    resample subjects, else sessions, else units, and the row says which.

    Source: Pei et al. 2021, NeurIPS Datasets (co-bps); Zhang et al. 2024 (mean over units).
    """
    interval = interval or IntervalParams()
    nulls = [None] * len(counts) if null_rates is None else null_rates
    parts = [sum_units(*part) for part in zip(log_rates, counts, nulls, strict=True)]
    sums = UnitSums(*(np.concatenate([getattr(p, f) for p in parts]) for f in _FIELDS))
    if len(units) != len(sums.spikes):
        raise ValueError(f"{len(units)} unit rows for {len(sums.spikes)} predicted units")
    names = [metric, f"{metric}_unit_mean", "poisson_d2"]
    if null_rates is not None:
        names += [f"{metric}_train_null", f"{metric}_train_null_unit_mean"]
    active = sums.spikes > 0
    n = int(active.sum())
    if n == 0:
        reason = f"none of {len(units)} units fired in the entries scored"
        return [ScoreRow(m, "unit", None, None, 0, reason=reason) for m in names]
    gains = np.stack([sums.constant, sums.trained, sums.constant + sums.model - sums.saturated])
    gain, trained, scale = (gains - sums.model) / np.log(2)
    each, apart = (g / np.maximum(sums.spikes, 1) * active for g in (gain, trained))
    columns = np.stack([gain, each, trained, apart, sums.spikes, active, scale], axis=1)
    kinds = [k for k in ("lab", "subject", "session", "unit") if k in units]
    numbered = units.assign(unit=range(len(units)))
    clusters = choose_clusters(numbered, kinds, interval.minimum_groups)
    return _rows(columns, clusters, names, n, interval)


_FIELDS = ("spikes", "entries", "model", "saturated", "trained")


def _rows(
    columns: np.ndarray, clusters: Clusters, names: list[str], n: int, interval: IntervalParams
) -> list[ScoreRow]:
    def statistic(sums: np.ndarray) -> np.ndarray:
        gain, each, trained, apart, spikes, units, scale = sums.T
        parts = [(gain, spikes), (each, units), (gain, scale), (trained, spikes), (apart, units)]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.stack([a / b for a, b in parts], axis=1)

    value = statistic(columns.sum(axis=0)[None])[0]
    ends = resample(clusters, clusters.total(columns), statistic, interval)
    rows = []
    for i, name in enumerate(names):
        low, high = (
            (None, None) if isinstance(ends, str) else (float(ends[0][i]), float(ends[1][i]))
        )
        reason = ends if isinstance(ends, str) else clusters.note
        rows.append(ScoreRow(name, "unit", float(value[i]), 0.0, n, low, high, reason))
    return rows
