"""Calibration as a control: confidence beside accuracy, before and after a temperature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64

from .calibration import TEMPERATURES, apply_temperature, bin_numbers, fit_temperature
from .intervals import Clusters, IntervalParams, choose_clusters, resample
from .scores import ScoreRow, as_labels

BEFORE, AFTER, OWN = "before", "after, in-lab temperature", "after, own temperature (diagnostic)"
"""What is said of confidences: as they are; at the temperature of validation subjects; at that of
the labels they are tested on, which nobody has beforehand."""

CONFIDENCE, ACCURACY = "bin_confidence", "bin_accuracy"
RESAMPLED = ("lab", "subject", "session")
GRID = np.geomspace(*TEMPERATURES, 121)


@dataclass(frozen=True)
class Answered:
    """Probabilities of ``classes``, the column of the true one, and who each sample is of."""

    proba: Float[np.ndarray, "sample class"]
    truth: Int64[np.ndarray, " sample"]
    groups: pd.DataFrame
    classes: tuple[str, ...]

    @classmethod
    def of(cls, proba, labels, groups: pd.DataFrame, classes: Sequence[str]) -> "Answered":
        """Samples with a probability and the label of a class that the model knows."""
        labels, column = as_labels(labels), {name: i for i, name in enumerate(classes)}
        keep = np.array([label in column for label in labels], dtype=bool)
        keep &= np.isfinite(proba).all(axis=1)
        truth = np.array([column[label] for label in labels[keep]], dtype=np.int64)
        kept = proba[keep].astype(np.float64)
        kept /= np.maximum(kept.sum(axis=1, keepdims=True), 1e-12)
        return cls(kept, truth, groups[keep].reset_index(drop=True), tuple(classes))

    @classmethod
    def nobody(cls, classes: Sequence[str]) -> "Answered":
        """No sample at all."""
        return cls(
            np.zeros((0, len(classes))), np.zeros(0, np.int64), pd.DataFrame(), tuple(classes)
        )

    @property
    def labels(self) -> np.ndarray:
        """Name of the true class of each sample."""
        return np.array(self.classes, dtype=object)[self.truth]

    def __len__(self) -> int:
        return len(self.truth)


@dataclass(frozen=True)
class FoldAnswers:
    """What one fold's model says of those it tests, and of its validation subjects."""

    fold: str
    tested: Answered
    checked: Answered


def calibration_scores(
    folds: Sequence[FoldAnswers],
    *,
    level: str,
    bins: int,
    interval: IntervalParams,
    tested: str = "subjects",
) -> list[ScoreRow]:
    """Calibration error and reliability of all folds together, and the temperatures of each.

    Parameters
    ----------
    tested
        Who is tested, for the name of the temperature they would have wanted themselves.

    Returns
    -------
    Rows ``ece`` (detail `BEFORE`, `AFTER`, `OWN`); ``temperature`` per fold, of validation subjects
    and, a diagnostic, of those tested; ``bin_confidence`` and ``bin_accuracy`` of every bin with a
    sample, before and after. Chance of a bin's accuracy is the share of its commonest label.
    """
    folds = [fold for fold in folds if len(fold.tested)]
    if not folds:
        reason = "no tested sample is of a class the model knows"
        return [ScoreRow("ece", level, None, None, 0, reason=reason, detail=BEFORE)]
    rows: list[ScoreRow] = []
    scaled: dict[str, list[np.ndarray]] = {BEFORE: [], AFTER: [], OWN: []}
    for fold in folds:
        inside = temperature(fold.checked, level, f"{fold.fold}: of validation subjects (in-lab)",
                             "no labelled validation subject", interval)  # fmt: skip
        wanted = f"{fold.fold}: wanted by the tested {tested} (diagnostic, by tested labels)"
        own = temperature(fold.tested, level, wanted, "", interval)
        rows += [inside, own]
        scaled[BEFORE].append(fold.tested.proba)
        scaled[OWN].append(apply_temperature(fold.tested.proba, own.value))
        if inside.value is not None:
            scaled[AFTER].append(apply_temperature(fold.tested.proba, inside.value))
    truth = np.concatenate([fold.tested.truth for fold in folds])
    labels = np.concatenate([fold.tested.labels for fold in folds])
    groups = pd.concat([fold.tested.groups for fold in folds], ignore_index=True)
    clusters = choose_clusters(groups, RESAMPLED, interval.minimum_groups)
    for what, parts in scaled.items():
        if len(parts) < len(folds):
            reason = f"{len(folds) - len(parts)} of {len(folds)} folds have no labelled validation "
            reason += "subject to fit a temperature on"
            rows.append(ScoreRow("ece", level, None, None, 0, reason=reason, detail=what))
            continue
        sure, best = confidences(parts)
        rows += _reliability(sure, best == truth, labels, clusters, level, what, bins, interval)
    return rows


def confidences(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and leading class of samples whose classes may differ between parts."""
    sure = np.concatenate([part.max(axis=1) for part in parts])
    return sure, np.concatenate([part.argmax(axis=1) for part in parts])


def _reliability(sure, right, labels, clusters: Clusters, level, what, bins, interval):
    """The calibration error, and unless it is the diagnostic, the bins."""
    place = bin_numbers(sure, bins)
    columns = np.zeros((len(sure), 3 * bins))
    at = np.arange(len(sure))
    columns[at, place], columns[at, bins + place], columns[at, 2 * bins + place] = 1, sure, right
    totals = clusters.total(columns)

    def statistic(sums: np.ndarray) -> np.ndarray:
        n, confidence, correct = np.split(sums, 3, axis=1)
        error = np.abs(correct - confidence).sum(axis=1) / np.maximum(n.sum(axis=1), 1)
        means = [np.divide(part, n, out=np.full(n.shape, np.nan), where=n > 0)
                 for part in (confidence, correct)]  # fmt: skip
        return np.concatenate([error[:, None], *means], axis=1)

    value = statistic(totals.sum(axis=0)[None])[0]
    ends = resample(clusters, totals, statistic, interval)
    rows = [_row("ece", level, what, value[0], None, len(sure), ends, 0, clusters)]
    for i in np.unique(place) if what != OWN else ():
        mine = place == i
        named = f"{what}, {i / bins:.2f} to {(i + 1) / bins:.2f}"
        chance = float(np.unique(labels[mine], return_counts=True)[1].max() / mine.sum())
        for metric, k, guess in ((CONFIDENCE, 1 + i, None), (ACCURACY, 1 + bins + i, chance)):
            n = int(mine.sum())
            rows.append(_row(metric, level, named, value[k], guess, n, ends, k, clusters))
    return rows


def temperature(
    answered: Answered, level: str, detail: str, missing: str, interval: IntervalParams
) -> ScoreRow:
    """The temperature that fits these labels best, with an interval over subjects."""
    n = len(answered)
    if not n:
        return ScoreRow("temperature", level, None, None, 0, reason=missing, detail=detail)
    value = fit_temperature(answered.proba, answered.truth)
    clusters = choose_clusters(answered.groups, RESAMPLED[1:], interval.minimum_groups)
    loss = np.stack([_loss_by_group(answered, clusters, t) for t in GRID], axis=1)
    ends = resample(clusters, loss, _best_on_grid, interval)
    made = _row("temperature", level, detail, value, None, n, ends, 0, clusters)
    if not TEMPERATURES[0] * 1.01 < value < TEMPERATURES[1] / 1.01:
        edge = f"at the end of the range tried, {TEMPERATURES[0]:g} to {TEMPERATURES[1]:g}"
        reason = "; ".join(filter(None, [made.reason, edge]))
        made = ScoreRow(made.metric, level, value, None, n, made.low, made.high, reason, detail)
    return made


def _loss_by_group(answered: Answered, clusters: Clusters, value: float) -> np.ndarray:
    scaled = apply_temperature(answered.proba, float(value))
    chosen = scaled[np.arange(len(answered)), answered.truth]
    return np.bincount(clusters.codes, -np.log(np.maximum(chosen, 1e-300)), clusters.n)


def _best_on_grid(loss: Float[np.ndarray, "draw grid"]) -> Float[np.ndarray, "draw 1"]:
    """Temperature of least loss, between points of the grid by a parabola."""
    at = np.clip(loss.argmin(axis=1), 1, len(GRID) - 2)
    draw = np.arange(len(loss))
    before, here, after = (loss[draw, at + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.divide(before - after, 2 * bend, out=np.zeros(len(loss)), where=bend > 0)
    step = np.log(GRID[1] / GRID[0])
    return (GRID[at] * np.exp(step * np.clip(shift, -1, 1)))[:, None]


def _row(metric, level, detail, value, chance, n, ends, k, clusters: Clusters) -> ScoreRow:
    low = high = None
    reason = ends if isinstance(ends, str) else clusters.note
    if not isinstance(ends, str):
        low, high = float(ends[0][k]), float(ends[1][k])
        if not np.isfinite(low):
            low, high, reason = None, None, "no interval: undefined in every draw"
    return ScoreRow(metric, level, float(value), chance, n, low, high, reason, detail)
