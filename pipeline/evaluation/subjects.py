"""The score of every single subject, which few subjects deserve and paired tests need."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from .metrics import most_likely
from .scorers import ClassOutputs, EvalParams, level_rows
from .scores import ScoreRow, as_labels

METRICS = {"subject_balanced_accuracy": "balanced_accuracy", "subject_accuracy": "accuracy"}
"""Metric of one subject, and what it is over all of them."""


def subject_scores(
    outputs: ClassOutputs, targets: Iterable[object], groups: pd.DataFrame, params: EvalParams
) -> list[ScoreRow]:
    """Accuracy of each subject, raw and balanced; nothing where there is one subject.

    Chance is as everywhere: one over the classes the subject has, or the share of its commonest;
    none where it has one class. ``detail`` is the subject. Arguments are as of ``score_classes``.
    """
    truth, groups = as_labels(targets), groups.reset_index(drop=True)
    if groups["subject"].nunique() < 2:
        return []
    rows: list[ScoreRow] = []
    for level in params.levels:
        proba, labels, frame = level_rows(level, outputs.proba, truth, groups)
        said = most_likely(proba, outputs.classes)
        for subject, mine in frame.groupby("subject", sort=True).indices.items():
            rows += _one(str(subject), level, labels[mine], said[mine])
    return rows


def _one(subject: str, level: str, labels: np.ndarray, said: np.ndarray) -> list[ScoreRow]:
    known = np.array([label is not None for label in labels], dtype=bool)
    names, true = np.unique(labels[known].astype(str), return_inverse=True)
    k, n = len(names), int(known.sum())
    if not n:
        reason = "no sample of this subject has a label"
        return [ScoreRow(m, level, None, None, 0, reason=reason, detail=subject) for m in METRICS]
    right = said[known] == labels[known]
    support, hits = np.bincount(true, minlength=k), np.bincount(true[right], minlength=k)
    reason, alone = "one subject", f"one class in this subject: {names[0]}"
    balanced = None if k < 2 else float((hits / support).mean())
    return [
        ScoreRow("subject_balanced_accuracy", level, balanced, None if k < 2 else 1 / k, n,
                 reason=alone if k < 2 else reason, detail=subject),
        ScoreRow("subject_accuracy", level, float(hits.sum() / n),
                 None if k < 2 else float(support.max() / n), n, reason=reason, detail=subject),
    ]  # fmt: skip
