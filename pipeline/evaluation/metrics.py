"""Scores of predicted classes against labels, each with chance, count and interval."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .calibration import expected_calibration_error
from .intervals import Clusters, IntervalParams, cluster, resample
from .scores import ScoreRow, as_labels

SUMMARIES = ("accuracy", "balanced_accuracy", "macro_f1")
NO_INTERVAL = "no interval is made for this score"


@dataclass(frozen=True)
class Tally:
    """Counts per class present in the labels; leading axes are free (draws of a bootstrap)."""

    hits: np.ndarray
    support: np.ndarray
    predicted: np.ndarray

    def accuracy(self) -> np.ndarray:
        """Correct over all."""
        return _ratio(self.hits.sum(-1), self.support.sum(-1))

    def recall(self) -> np.ndarray:
        """Correct over all of each class; NaN for an absent one."""
        return _ratio(self.hits, self.support)

    def balanced_accuracy(self) -> np.ndarray:
        """Mean recall of the classes that are present."""
        present = self.support > 0
        return _ratio(np.where(present, self.recall(), 0).sum(-1), present.sum(-1))

    def macro_f1(self) -> np.ndarray:
        """Mean F1 of the classes that are present."""
        present = self.support > 0
        f1 = _ratio(2 * self.hits, self.support + self.predicted)
        return _ratio(np.where(present, f1, 0).sum(-1), present.sum(-1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def classification_scores(
    y_true: Iterable[object],
    predicted: Iterable[object],
    groups: Iterable[object] | Clusters | None = None,
    classes: Sequence[str] | None = None,
    *,
    level: str = "window",
    interval: IntervalParams | None = None,
    calibration_bins: int = 15,
) -> list[ScoreRow]:
    """Raw and balanced accuracy, macro-F1, recall per class and the cells of the confusion matrix.

    Parameters
    ----------
    y_true
        Region per sample; samples without one (None, ``unknown``) are left out.
    predicted
        Region per sample, None or ``unknown`` where the model does not answer (never correct), or
        probabilities ``(sample, class)`` with ``classes`` naming the columns.
    groups
        Group per sample (subject) or Clusters: what the interval resamples.
    classes
        Everything the model can say.

    Notes
    -----
    Classes absent from the labels do not enter balanced accuracy or macro-F1. Chance is the
    majority class's share for raw accuracy, one over the classes present for balanced accuracy
    and recall, and what naming the majority always earns for macro-F1.

    Raises
    ------
    ValueError
        If lengths differ, or probabilities come without the names of their columns.
    """
    interval = interval or IntervalParams()
    truth = as_labels(y_true)
    proba = predicted if isinstance(predicted, np.ndarray) and predicted.ndim == 2 else None
    answer = as_labels(predicted) if proba is None else most_likely(proba, classes)
    if len(truth) != len(answer):
        raise ValueError(f"{len(truth)} labels for {len(answer)} predictions; they must be equal")
    if not isinstance(groups, Clusters):
        groups = cluster(np.zeros(len(truth), int) if groups is None else groups)
    keep = np.array([label is not None for label in truth], dtype=bool)
    if not keep.any():
        reason = f"none of {len(truth)} samples has a label"
        return [ScoreRow(m, level, None, None, 0, reason=reason) for m in SUMMARIES]
    truth, answer, groups = truth[keep], answer[keep], groups.take(keep)
    names = sorted(set(truth))
    rows = _summary_rows(truth, answer, names, groups, level, interval)
    rows += _absent_rows(names, classes or (), level)
    rows += _confusion_rows(truth, answer, level) + _coverage_rows(truth, answer, level)
    if proba is not None:
        rows += _probability_rows(truth, proba[keep], classes or (), level, calibration_bins)
    return rows


def most_likely(
    proba: np.ndarray, classes: Sequence[str] | None, *, unknown_below: float = 0.0
) -> np.ndarray:
    """The likeliest class of each row, None where it stays below ``unknown_below`` or is NaN."""
    if classes is None or proba.shape[1] != len(classes):
        named = "none" if classes is None else len(classes)
        raise ValueError(f"{proba.shape[1]} probability columns, {named} class names; name each")
    finite = np.isfinite(proba).all(axis=1)
    best = np.where(finite, np.nan_to_num(proba).argmax(axis=1), 0)
    sure = finite & (proba[np.arange(len(proba)), best] >= unknown_below)
    answer = np.empty(len(proba), dtype=object)
    answer[:] = [classes[b] if s else None for b, s in zip(best, sure, strict=True)]
    return answer


def _summary_rows(truth, answer, names, groups, level, interval) -> list[ScoreRow]:
    k = len(names)
    index = {name: i for i, name in enumerate(names)}
    true = np.array([index[t] for t in truth], dtype=np.int64)
    said = np.array([index.get(a, -1) for a in answer], dtype=np.int64)
    counted = (np.where(said == true, true, -1), true, said)
    totals = np.concatenate([groups.count(c, k) for c in counted], axis=1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        tally = Tally(*np.split(sums, 3, axis=-1))
        summary = [getattr(tally, metric)()[..., None] for metric in SUMMARIES]
        return np.concatenate([*summary, tally.recall()], axis=-1)

    value = statistic(totals.sum(axis=0)[None])[0]
    ends = resample(groups, totals, statistic, interval)
    support = np.bincount(true, minlength=k)
    majority = support.max() / support.sum()
    chances = [majority, 1 / k, 2 * majority / (1 + majority) / k] + [1 / k] * k
    keys = [(m, "", len(truth)) for m in SUMMARIES]
    keys += [("recall", name, int(n)) for name, n in zip(names, support, strict=True)]
    rows = []
    for i, (metric, detail, n) in enumerate(keys):
        if k < 2 and metric in ("balanced_accuracy", "macro_f1"):
            reason = f"one class in the test fold: {names[0]}"
            rows.append(ScoreRow(metric, level, None, None, n, reason=reason))
            continue
        low, high, reason = _ends(ends, i, groups)
        number, chance = float(value[i]), float(chances[i])
        rows.append(ScoreRow(metric, level, number, chance, n, low, high, reason, detail))
    return rows


def _ends(
    ends: tuple[np.ndarray, np.ndarray] | str, i: int, groups: Clusters
) -> tuple[float | None, float | None, str | None]:
    if isinstance(ends, str):
        return None, None, ends
    low, high = float(ends[0][i]), float(ends[1][i])
    if not np.isfinite(low):
        return None, None, "no interval: undefined in every draw"
    return low, high, groups.note


def _absent_rows(present: Sequence[str], classes: Sequence[str], level: str) -> list[ScoreRow]:
    absent = [name for name in classes if name not in present]
    reason = "absent from the test fold"
    return [ScoreRow("recall", level, None, None, 0, reason=reason, detail=c) for c in absent]


def _confusion_rows(truth: np.ndarray, answer: np.ndarray, level: str) -> list[ScoreRow]:
    said = np.array([a or "unknown" for a in answer], dtype=object)
    pairs, counts = np.unique([f"{t} > {s}" for t, s in zip(truth, said, strict=True)],
                              return_counts=True)  # fmt: skip
    reason = "a count of samples"
    return [
        ScoreRow("confusion", level, float(n), None, len(truth), reason=reason, detail=str(pair))
        for pair, n in zip(pairs, counts, strict=True)
    ]


def _coverage_rows(truth: np.ndarray, answer: np.ndarray, level: str) -> list[ScoreRow]:
    """Only where the model left something unanswered."""
    answered = np.array([a is not None for a in answer], dtype=bool)
    if answered.all():
        return []
    n, reason = int(answered.sum()), "the model answered nothing"
    right = float((truth == answer)[answered].mean()) if n else None
    return [
        ScoreRow("coverage", level, float(answered.mean()), None, len(truth), reason=NO_INTERVAL),
        ScoreRow("accuracy_answered", level, right, None, n, reason=NO_INTERVAL if n else reason),
    ]


def _probability_rows(truth, proba, classes, level, bins) -> list[ScoreRow]:
    column = {name: i for i, name in enumerate(classes)}
    keep = np.array([t in column for t in truth], dtype=bool) & np.isfinite(proba).all(axis=1)
    if not keep.any():
        reason = "no test sample is of a class the model knows"
        return [ScoreRow(m, level, None, None, 0, reason=reason) for m in ("log_loss", "ece")]
    index = np.array([column[t] for t in truth[keep]], dtype=np.int64)
    kept, n = proba[keep].astype(float), int(keep.sum())
    kept /= np.maximum(kept.sum(axis=1, keepdims=True), 1e-12)
    loss = -np.log(np.maximum(kept[np.arange(n), index], 1e-12)).mean()
    share = np.bincount(index) / n
    base = -(share[share > 0] * np.log(share[share > 0])).sum()
    ece = expected_calibration_error(kept, index, bins=bins)
    return [
        ScoreRow("log_loss", level, float(loss), float(base), n, reason=NO_INTERVAL),
        ScoreRow("ece", level, float(ece), None, n, reason=NO_INTERVAL),
    ]
