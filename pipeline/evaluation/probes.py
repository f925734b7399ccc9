"""Linear probes: what a straight line can read out of a representation, on data it never saw."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field
from threadpoolctl import threadpool_info, threadpool_limits

from ..params import Params
from .folds import ProbeFold, held_out_groups, session_blocks, time_block_folds
from .intervals import Clusters, IntervalParams, cluster
from .metrics import classification_scores
from .scores import ScoreRow, as_labels
from .softmax import SMALL, class_scores, fit_softmax

Division = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Features, labels, which samples are fitted on, which are tested."""


class ProbeParams(Params):
    """How a linear probe is fitted and tested."""

    scheme: Literal["held-out groups", "time blocks"] = "held-out groups"
    c: float = Field(1.0, gt=0, description="inverse strength of the L2 penalty")
    class_weight: Literal["balanced", "none"] = "balanced"
    max_iterations: int = Field(2000, ge=1, description="steps of the solver")
    max_rows: int = Field(
        20000, ge=10, description="more samples are drawn from, without replacement"
    )
    max_folds: int = Field(100, ge=2, description="more groups are tested several at a time")
    blocks: int = Field(5, ge=2, description="time blocks per session, each tested once")
    gap_s: float = Field(30.0, ge=0, description="left out on both sides of a tested block (s)")
    draws: int = Field(1000, ge=1, description="bootstrap draws")
    minimum_groups: int = Field(3, ge=2, description="fewer groups give no interval")
    seed: int = 0

    @property
    def interval(self) -> IntervalParams:
        """The part that makes intervals."""
        return IntervalParams(draws=self.draws, minimum_groups=self.minimum_groups, seed=self.seed)


@dataclass(frozen=True)
class ProbeResult:
    """Scores of a probe and what they were made from.

    Attributes
    ----------
    scores
        Pooled over the held-out predictions of all folds, then per fold.
    predicted
        Held-out prediction per sample, None where never tested.
    folds
        ``fold``, ``held_out``, ``n_train``, ``n_test``, ``n_classes``, ``reason`` (if left out).
    """

    scores: list[ScoreRow]
    predicted: np.ndarray
    folds: pd.DataFrame = field(default_factory=pd.DataFrame)


def linear_probe(
    features: Float[np.ndarray, "sample dim"],
    labels: Iterable[object],
    groups: Iterable[object],
    params: ProbeParams | None = None,
    *,
    start_s: Float[np.ndarray, " sample"] | None = None,
    group_kind: str = "subject",
) -> ProbeResult:
    """Multinomial logistic regression on standardised features, tested on held-out data.

    Parameters
    ----------
    labels
        What to read out; samples labelled None or ``unknown`` are left out.
    groups
        Held-out groups: the subject, session or lab each fold leaves out.
        Time blocks: the session (or insertion) whose clock ``start_s`` runs on.
    start_s
        Window starts (s), needed by time blocks.
    group_kind
        What a group is, for the name of the interval.

    Notes
    -----
    The pooled score is that of all held-out predictions together; each fold has a row with a
    chance of its own. Where labels have fewer than two classes the value is None with a reason.
    A class that training does not have counts as wrong in the test.

    Raises
    ------
    ValueError
        If lengths differ, or time blocks come without ``start_s``.
    """
    params = params or ProbeParams()
    truth, names = as_labels(labels), np.array([str(g) for g in groups], dtype=object)
    if not len(features) == len(truth) == len(names):
        raise ValueError(f"{len(features)} samples, {len(truth)} labels, {len(names)} groups")
    if params.scheme == "time blocks" and start_s is None:
        raise ValueError("time blocks need start_s, the window starts (s)")
    chosen = choose_rows(features, truth, params)
    classes = sorted({t for t in truth[chosen]})
    if len(classes) < 2:
        reason = f"{len(classes)} class in {len(chosen)} labelled samples; a probe needs 2"
        return ProbeResult(_undefined(reason, len(chosen)), np.full(len(truth), None))
    x, y, g = features[chosen], truth[chosen], names[chosen]
    if params.scheme == "held-out groups":
        folds, resampled = (
            list(held_out_groups(g, params.max_folds, params.seed)),
            cluster(g, group_kind),
        )
    else:
        block = session_blocks(start_s[chosen], g, params.blocks)
        folds = list(time_block_folds(start_s[chosen], g, block, params.gap_s))
        resampled = cluster([f"{a}\x1f{b}" for a, b in zip(g, block, strict=True)], "time block")
    said, table = _run(x, y, folds, params)
    predicted = np.full(len(truth), None)
    predicted[chosen] = said
    return ProbeResult(_scores(y, said, folds, table, resampled, params), predicted, table)


def _undefined(reason: str, n: int) -> list[ScoreRow]:
    metrics = ("accuracy", "balanced_accuracy", "macro_f1")
    return [ScoreRow(m, "pooled", None, None, n, reason=reason) for m in metrics]


def choose_rows(features: np.ndarray, truth: np.ndarray, params: ProbeParams) -> np.ndarray:
    """Labelled, finite samples, at most ``max_rows`` of them, in their order."""
    labelled = np.array([t is not None for t in truth], dtype=bool)
    rows = np.flatnonzero(labelled & np.isfinite(features).all(axis=1))
    if len(rows) > params.max_rows:
        rng = np.random.default_rng(params.seed)
        rows = np.sort(rng.choice(rows, params.max_rows, replace=False))
    return rows


def _run(
    x: np.ndarray, y: np.ndarray, folds: list[ProbeFold], params: ProbeParams
) -> tuple[np.ndarray, pd.DataFrame]:
    said, rows, fitted = np.full(len(y), None), [], []
    for fold in folds:
        known = sorted({t for t in y[fold.train]})
        reason = None if len(known) > 1 else f"training holds {len(known)} class; a probe needs 2"
        if reason is None:
            fitted.append(fold)
        counts = {"n_train": int(fold.train.sum()), "n_test": int(fold.test.sum())}
        rows.append({"fold": fold.name, **counts, "n_classes": len(known), "reason": reason})
    answers = fit_predict_each([(x, y, fold.train, fold.test) for fold in fitted], params)
    for fold, answer in zip(fitted, answers, strict=True):
        said[fold.test] = answer
    table = pd.DataFrame(rows)
    table["reason"] = pd.Series([row["reason"] for row in rows], dtype=object)  # None, not NaN
    return said, table


def fit_predict_each(divisions: Sequence[Division], params: ProbeParams) -> list[np.ndarray]:
    """``fit_predict`` of each division: features, labels, what is fitted on and what is tested.

    Large ones are fitted side by side, as many as BLAS has threads and each with one: matrices
    with few columns gain little from several.
    """

    def answer(division: Division) -> np.ndarray:
        x, y, train, test = division
        return fit_predict(x[train], y[train], x[test], params)

    at_once = min(_blas_threads(), len(divisions))
    if at_once < 2 or max(x.size for x, *_ in divisions) <= SMALL:
        return [answer(division) for division in divisions]
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(answer, divisions))


def _blas_threads() -> int:
    pools = [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]
    return max(pools, default=1)


def fit_predict(
    train: Float[np.ndarray, "sample dim"],
    labels: np.ndarray,
    test: Float[np.ndarray, "other dim"],
    params: ProbeParams,
) -> np.ndarray:
    """Standardise on the training samples, fit, and name the class of each test sample."""
    classes, scores = _fit_scores(train, labels, test, params)
    return classes[scores.argmax(axis=1)].astype(object)


def fit_probabilities(
    train: Float[np.ndarray, "sample dim"],
    labels: np.ndarray,
    test: Float[np.ndarray, "other dim"],
    params: ProbeParams,
) -> tuple[np.ndarray, Float[np.ndarray, "other klass"]]:
    """As ``fit_predict``: the classes in order, and the probability of each."""
    classes, scores = _fit_scores(train, labels, test, params)
    weight = np.exp(scores - scores.max(axis=1, keepdims=True))
    return classes, weight / weight.sum(axis=1, keepdims=True)


def _fit_scores(train, labels, test, params: ProbeParams) -> tuple[np.ndarray, np.ndarray]:
    classes, known = np.unique(labels.astype(str), return_inverse=True)
    dtype = np.float64 if train.size <= SMALL else np.float32
    center, spread = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    spread = np.where(spread > 0, spread, 1)

    def standardised(x: np.ndarray) -> np.ndarray:
        return ((x - center) / spread).astype(dtype)

    coef, intercept = fit_softmax(
        standardised(train),
        known,
        len(classes),
        c=params.c,
        balanced=params.class_weight == "balanced",
        max_iterations=params.max_iterations,
    )
    return classes, class_scores(standardised(test), coef, intercept)


def _scores(
    y: np.ndarray, said: np.ndarray, folds: list[ProbeFold], table: pd.DataFrame,
    resampled: Clusters, params: ProbeParams,
) -> list[ScoreRow]:  # fmt: skip
    tested = np.array([s is not None for s in said], dtype=bool)
    if not tested.any():
        return _undefined(f"no fold could be fitted: {table['reason'].iloc[0]}", len(y))
    rows = classification_scores(
        y[tested], said[tested], resampled.take(tested), level="pooled", interval=params.interval
    )
    for fold, reason in zip(folds, table["reason"], strict=True):
        rows += _fold_rows(y[fold.test], said[fold.test], fold.name, reason)
    return rows


def _fold_rows(y: np.ndarray, said: np.ndarray, name: str, reason: str | None) -> list[ScoreRow]:
    metrics = ("accuracy", "balanced_accuracy")
    if reason or not len(y):
        reason = reason or "no labelled sample in this fold"
        return [
            ScoreRow(m, "fold", None, None, len(y), reason=reason, detail=name) for m in metrics
        ]
    rows = classification_scores(y, said, level="fold", interval=IntervalParams(draws=1))
    single = "one fold; the pooled row has the interval"
    return [
        ScoreRow(r.metric, "fold", r.value, r.chance, r.n, reason=single if r.value is not None
                 else r.reason, detail=name)
        for r in rows if r.metric in metrics
    ]  # fmt: skip
