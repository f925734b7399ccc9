"""From what a model put out to score rows: one scorer per kind of output."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field

from ..params import Params
from .calibration import expected_calibration_error
from .intervals import IntervalParams, choose_clusters
from .metrics import NO_INTERVAL, classification_scores, most_likely
from .rates import rates_scores
from .scores import ScoreRow, as_labels

Level = Literal["window", "channel", "session"]

POSTPROCESSED = "post-processed"
"""Level of one answer per channel, after post-processing along windows and shank."""

RESAMPLED = ("lab", "subject", "session", "time block")
"""What an interval resamples: the first of these that the groups have, and have enough of."""


class EvalParams(Params):
    """How predictions are scored."""

    levels: tuple[Level, ...] = Field(("window", "channel"), description="what one sample is")
    draws: int = Field(1000, ge=1, description="bootstrap draws")
    confidence: float = Field(0.95, gt=0, lt=1, description="coverage of the interval")
    minimum_groups: int = Field(3, ge=2, description="fewer groups give no interval")
    time_blocks: int = Field(10, ge=2, description="blocks per session where sessions are few")
    unknown_below: float = Field(0.0, ge=0, le=1, description="less confident answers are unknown")
    calibration_bins: int = Field(15, ge=2, description="bins of the calibration error")
    seed: int = 0

    @property
    def interval(self) -> IntervalParams:
        """The part that makes intervals."""
        return IntervalParams(
            draws=self.draws,
            confidence=self.confidence,
            minimum_groups=self.minimum_groups,
            seed=self.seed,
        )


@dataclass(frozen=True)
class ClassOutputs:
    """Probabilities of ``classes``, one row per (window, channel) or per channel."""

    proba: Float[np.ndarray, "row class"]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class RateOutputs:
    """Log of expected counts per bin, one array ``(window, bin, unit)`` per session.

    ``null_rates`` are ``(window, unit)``: each unit's mean count per bin in the training that a
    window was held out from; None leaves the scores against them out.
    """

    log_rates: Sequence[np.ndarray]
    null_rates: Sequence[np.ndarray] | None = None
    metric: str = "co_bps"


def score_classes(
    outputs: ClassOutputs, targets: Iterable[object], groups: pd.DataFrame, params: EvalParams
) -> list[ScoreRow]:
    """Score windows, and channels by the mean probability of their windows.

    Parameters
    ----------
    targets
        Region per row, None where unknown.
    groups
        One row per output row: ``subject``, ``session``, ``channel`` (unique within the session),
        maybe ``start_s``, from which time blocks are cut when subjects and sessions are few;
        ``lab`` where labs were held out.
    """
    truth, rows = as_labels(targets), []
    groups = groups.reset_index(drop=True)
    if len(groups) != len(outputs.proba) or len(truth) != len(outputs.proba):
        raise ValueError(
            f"{len(outputs.proba)} output rows, {len(truth)} targets, {len(groups)} group rows"
        )
    for level in params.levels:
        proba, labels, frame = level_rows(level, outputs.proba, truth, groups)
        if level == "window" and "start_s" in frame and np.isfinite(frame["start_s"]).all():
            frame = frame.assign(**{"time block": time_blocks(frame, params.time_blocks)})
        rows += _score_level(proba, labels, outputs.classes, frame, level, params)
    return rows


def level_rows(
    level: Level, proba: np.ndarray, labels: np.ndarray, groups: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Probabilities, labels and groups with one row per sample of a level.

    A session's row is the mean of its labelled rows, which must agree on their label.
    """
    if level == "window":
        return proba, labels, groups
    if level == "channel":
        return average_windows(proba, labels, groups)
    known = np.array([label is not None for label in labels], dtype=bool)
    whole = groups[known].drop(columns="channel", errors="ignore")
    return average_windows(proba[known], labels[known], whole)


def _score_level(proba, labels, classes, frame, level, params) -> list[ScoreRow]:
    clusters = choose_clusters(frame, RESAMPLED, params.minimum_groups)
    bins = params.calibration_bins
    rows = classification_scores(labels, proba, clusters, classes, level=level,
                                 interval=params.interval, calibration_bins=bins)  # fmt: skip
    if params.unknown_below == 0:
        return rows
    answer = most_likely(proba, classes, unknown_below=params.unknown_below)
    shy = classification_scores(labels, answer, clusters, classes, level=level,
                                interval=params.interval)  # fmt: skip
    return shy + [row for row in rows if row.metric in ("log_loss", "ece")]


def score_answers(
    answers: Iterable[object],
    confidence: Float[np.ndarray, " channel"],
    classes: Sequence[str],
    targets: Iterable[object],
    groups: pd.DataFrame,
    params: EvalParams,
) -> list[ScoreRow]:
    """Score one answer per channel, as post-processing leaves it, at the level `POSTPROCESSED`.

    Parameters
    ----------
    confidence
        Probability that each answer is given; the calibration error is about it.
    groups
        As of ``score_classes``, one row per answer.
    """
    clusters = choose_clusters(groups, RESAMPLED, params.minimum_groups)
    rows = classification_scores(targets, answers, clusters, classes, level=POSTPROCESSED,
                                 interval=params.interval)  # fmt: skip
    truth, said = as_labels(targets), as_labels(answers)
    keep = np.array([one is not None for one in truth]) & np.isfinite(confidence)
    if not keep.any():
        return rows
    right = (truth == said)[keep]
    sure = np.column_stack([confidence[keep], np.zeros(keep.sum())])
    ece = expected_calibration_error(sure, np.where(right, 0, 1), bins=params.calibration_bins)
    reason = NO_INTERVAL
    return [*rows, ScoreRow("ece", POSTPROCESSED, ece, None, int(keep.sum()), reason=reason)]


def average_windows(
    proba: np.ndarray, labels: np.ndarray, groups: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Mean probability of each channel over its windows, with its label and group.

    Raises
    ------
    ValueError
        If windows of one channel carry different labels.
    """
    groups, labels = groups.reset_index(drop=True), as_labels(labels)
    keys = [k for k in ("subject", "session", "channel") if k in groups]
    number = groups.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
    n, usable = int(number.max(initial=-1)) + 1, np.isfinite(proba).all(axis=1)
    sums = np.zeros((n, proba.shape[1]))
    np.add.at(sums, number[usable], proba[usable])
    count = np.bincount(number[usable], minlength=n)[:, None]
    mean = np.divide(sums, count, out=np.full(sums.shape, np.nan), where=count > 0)
    first = np.unique(number, return_index=True)[1]
    clash = np.flatnonzero(labels != labels[first][number])
    if len(clash):
        where = groups.loc[clash[0], keys].to_dict()
        what = f"windows of one {keys[-1]} carry different labels: {where}"
        raise ValueError(f"{what}; score windows")
    return mean, labels[first], groups.iloc[first].reset_index(drop=True)


def time_blocks(groups: pd.DataFrame, blocks: int) -> np.ndarray:
    """Number of the equal stretch of its session each row starts in."""
    start = groups["start_s"].to_numpy(dtype=float)
    session = groups["session"] if "session" in groups else pd.Series(0, index=groups.index)
    low = groups["start_s"].groupby(session).transform("min").to_numpy(dtype=float)
    high = groups["start_s"].groupby(session).transform("max").to_numpy(dtype=float)
    share = (start - low) / np.maximum(high - low, 1e-9)
    return np.minimum((share * blocks).astype(np.int64), blocks - 1)


def score_rates(
    outputs: RateOutputs, targets: Sequence[np.ndarray], groups: pd.DataFrame, params: EvalParams
) -> list[ScoreRow]:
    """Score predicted rates against counts ``(window, bin, unit)``, one array per session."""
    return rates_scores(
        outputs.log_rates,
        targets,
        groups,
        null_rates=outputs.null_rates,
        metric=outputs.metric,
        interval=params.interval,
    )


SCORERS: dict[str, Callable[..., list[ScoreRow]]] = {"classes": score_classes, "rates": score_rates}
"""Scorer by a model's kind of output."""
