"""Whether laboratories can be told apart from a representation, on subjects a probe never saw."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int64

from .intervals import IntervalParams, cluster, resample
from .metrics import classification_scores
from .probes import ProbeParams, choose_rows, fit_probabilities
from .scores import ScoreRow, as_labels

METRICS = ("auc", "balanced_accuracy")


def told_apart(
    features: Float[np.ndarray, "sample dim"],
    labs: Iterable[object],
    subjects: Iterable[object],
    params: ProbeParams | None = None,
    *,
    level: str = "window",
    detail: str = "",
) -> list[ScoreRow]:
    """How well a linear probe names the laboratory of subjects that it was not fitted on.

    Every fold leaves out subjects of each laboratory. The area under the curve (each laboratory
    against the others, their mean) compares samples of one fold only, because another fold's probe
    has another scale. A laboratory with one subject cannot be both fitted and tested: it is left
    out, and the reason says so.

    Parameters
    ----------
    labs, subjects
        Of each sample; a sample without a laboratory is left out.
    params
        ``max_folds``, ``max_rows``, the penalty and the interval, which resamples subjects.

    Returns
    -------
    Rows ``auc`` (chance 0.5) and ``balanced_accuracy`` (chance one over the laboratories).

    Raises
    ------
    ValueError
        If a subject is in two laboratories.
    """
    params = params or ProbeParams()
    labs, subjects = as_labels(labs), np.array([str(s) for s in subjects], dtype=object)
    rows = choose_rows(features, labs, params)
    kept, left_out = _with_two_subjects(labs[rows], subjects[rows])
    names = sorted(set(labs[rows][kept]))
    if len(names) < 2:
        reason = "; ".join([_too_few(labs[rows], subjects[rows]), *left_out])
        return [ScoreRow(m, level, None, None, 0, reason=reason, detail=detail) for m in METRICS]
    x, y, who = (values[rows][kept] for values in (features, labs, subjects))
    fold = matched_folds(y, who, params.max_folds, params.seed)
    proba = np.zeros((len(y), len(names)))
    for k in range(int(fold.max()) + 1):
        _, proba[fold == k] = fit_probabilities(x[fold != k], y[fold != k], x[fold == k], params)
    said = np.array(names, dtype=object)[proba.argmax(axis=1)]
    scored = classification_scores(y, said, cluster(who), level=level, interval=params.interval)
    (balanced,) = [row for row in scored if row.metric == "balanced_accuracy"]
    how = f"{int(fold.max()) + 1} folds, each leaves out subjects of every laboratory"
    made = [_auc(proba, y, names, who, fold, params.interval, level), balanced]
    return [_explained(row, [how, *left_out], detail) for row in made]


def matched_folds(
    labs: np.ndarray, subjects: np.ndarray, most: int, seed: int
) -> Int64[np.ndarray, " sample"]:
    """Number of the fold that tests each sample: every fold has subjects of every laboratory.

    There are as many folds as the laboratory with fewest subjects has, at most ``most``.
    """
    of = {lab: np.unique(subjects[labs == lab].astype(str)) for lab in sorted(set(labs))}
    n_folds = min(most, *(len(names) for names in of.values()))
    rng, number = np.random.default_rng(seed), {}
    for lab, names in of.items():
        for place, name in enumerate(rng.permutation(names)):
            number[lab, str(name)] = place % n_folds
    return np.array([number[pair] for pair in zip(labs, subjects, strict=True)], dtype=np.int64)


def _with_two_subjects(labs: np.ndarray, subjects: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Which samples are of a laboratory with two subjects, and a sentence on the others."""
    count = {lab: len(set(subjects[labs == lab])) for lab in sorted(set(labs))}
    if sum(count.values()) > len(set(subjects)):
        raise ValueError("a subject is in two laboratories; give it a name of its own in each")
    alone = [lab for lab, n in count.items() if n < 2]
    told = [f"left out, one subject each: {', '.join(alone)}"] if alone else []
    return np.array([count[lab] > 1 for lab in labs], dtype=bool), told


def _too_few(labs: np.ndarray, subjects: np.ndarray) -> str:
    there = sorted(set(labs))
    named = f"{len(there)} laborator{'y' if len(there) == 1 else 'ies'} ({', '.join(there)})"
    return (
        "a probe for the laboratory needs 2 with 2 subjects each; there "
        f"{'is' if len(there) == 1 else 'are'} {named}, {len(set(subjects))} subjects in all"
    )


def _auc(proba, y, names, who, fold, interval: IntervalParams, level: str) -> ScoreRow:
    """Mean area under the curve of each laboratory against the others."""
    people = sorted(set(who))
    wins, pairs = np.zeros((2, len(names), len(people), len(people)))
    for k in np.unique(fold):
        mine = {p: (who == name) & (fold == k) for p, name in enumerate(people)}
        there = {p: m for p, m in mine.items() if m.any()}
        for p, first in there.items():
            lab = names.index(y[first][0])
            for q, second in there.items():
                if y[second][0] != names[lab]:
                    wins[lab, p, q] += count_wins(proba[first, lab], proba[second, lab])
                    pairs[lab, p, q] += first.sum() * second.sum()

    def statistic(weights: np.ndarray) -> np.ndarray:
        won, all_ = (
            np.stack([((weights @ each) * weights).sum(axis=1) for each in m], axis=1)
            for m in (wins, pairs)
        )
        area = np.divide(won, all_, out=np.full(won.shape, np.nan), where=all_ > 0)
        return area.mean(axis=1, keepdims=True)  # a draw without one laboratory says nothing

    groups = cluster(people)
    value = float(statistic(np.ones((1, len(people))))[0, 0])
    found = resample(groups, np.eye(len(people)), statistic, interval)
    if isinstance(found, str):
        return ScoreRow("auc", level, value, 0.5, len(y), reason=found)
    low, high = float(found[0][0]), float(found[1][0])
    if not np.isfinite(low):
        return ScoreRow("auc", level, value, 0.5, len(y), reason="no interval: undefined")
    return ScoreRow("auc", level, value, 0.5, len(y), low, high)


def count_wins(a: Float[np.ndarray, " _"], b: Float[np.ndarray, " _"]) -> float:
    """Pairs in which ``a`` is above ``b``; ties count half (Mann and Whitney's U)."""
    b = np.sort(b)
    below, upto = np.searchsorted(b, a, side="left"), np.searchsorted(b, a, side="right")
    return float(0.5 * (below + upto).sum())


def _explained(row: ScoreRow, notes: list[str], detail: str) -> ScoreRow:
    reason = "; ".join([*([row.reason] if row.reason else []), *notes])
    return ScoreRow(
        row.metric, row.level, row.value, row.chance, row.n, row.low, row.high, reason, detail
    )
