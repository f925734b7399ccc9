"""The scores that stand for a whole study, one row per model and measure: what a paper compares."""

from collections.abc import Collection

import pandas as pd

from schemas._published import READ_OUT, answering

from .score_tables import mean_over_folds
from .subjects import abnormality_scores, means_of_subjects, subject_spread

LED = ("balanced_accuracy", "macro_f1", "accuracy", "ece", "silhouette", "auc", "abnormality")
POOLED, MEAN, ONE = "pooled", "mean", ""
"""How many folds became one value; a read-out or an abnormality is there in one way only."""
MEASURE = ["model", "level", "metric", "detail", "statistic"]


def leading(scores: pd.DataFrame, means: Collection[tuple[str, str]] = ()) -> pd.DataFrame:
    """One row per model, level, metric, detail and statistic; of several seeds the mean.

    Parameters
    ----------
    scores
        Of one study, as `schemas.scores` gives them.
    means
        Level and metric of which the mean of subjects is asked, too.

    Returns
    -------
    DataFrame
        ``model, level, metric, detail, statistic, value, low, high, chance, n, n_groups, counted,
        how, study, seeds, seed_sd, subject_sd``. ``statistic`` is "pooled" (all held-out samples
        together, or those of the only fold) or "mean" (of subjects' own values, or of folds that
        test one subject each); ``counted`` is what ``n_groups`` are, and ``how`` what a reader
        must know: whose embeddings, how many folds, or why there is no value.
    """
    parts = [_pooled(scores), _read_outs(scores), _abnormality(scores)]
    wanted = set(means)
    if wanted:
        mine = means_of_subjects(scores, wanted)
        parts.append(mine.assign(statistic=MEAN))
    rows = pd.concat([part for part in parts if len(part)] or parts[:1])
    return rows.groupby(MEASURE, sort=False, as_index=False).agg(
        value=("value", "mean"), low=("low", "mean"), high=("high", "mean"),
        chance=("chance", "mean"), n=("n", "first"), n_groups=("n_groups", "first"),
        counted=("counted", "first"), how=("how", "first"), study=("study", "first"),
        seeds=("seed", "nunique"), seed_sd=("value", "std"), subject_sd=("subject_sd", "first"),
    )  # fmt: skip


def _pooled(scores: pd.DataFrame) -> pd.DataFrame:
    """Evaluations pooled over folds, or of the only one."""
    kept = (scores["table"] == "Evaluation") & scores["metric"].isin(LED)
    rows = scores[kept & scores["value"].notna() & scores["detail"].isna()].copy()
    keys = ["model", "level", "metric"]
    single = rows.groupby([*keys, "seed"])["fold"].transform("nunique") == 1
    pooled = rows[rows["fold"].isna() | single].sort_values("fold", na_position="first")
    pooled = pooled.drop_duplicates([*keys, "seed"])
    apart = subject_spread(scores)
    where = zip(*(pooled[name] for name in keys), strict=True)
    spreads = [apart.get(key) for key in where]
    return pooled.assign(detail="", statistic=POOLED, counted="subject", how="", subject_sd=spreads)


def _read_outs(scores: pd.DataFrame) -> pd.DataFrame:
    """Linear probes and silhouettes; ``detail`` is their target and ``level`` their kind."""
    kept = scores["table"].isin(READ_OUT) & scores["metric"].isin(LED)
    rows = answering(scores[kept & (scores["level"] == "window")])
    if not len(rows):
        return rows
    by = ["study", "model", "seed", "table", "target", "metric", "role"]
    made = mean_over_folds(rows, by)
    of_sessions = (made["table"] == "LinearProbe") & made["target"].isin(["session", "insertion"])
    named = [
        target if role in CALLED else f"{target}: {role}"
        for target, role in zip(made["target"], made["role"], strict=True)
    ]
    return made.assign(
        level=made["table"].map(READ_OUT),
        detail=named,
        statistic=ONE,
        counted=of_sessions.map({True: "session", False: "subject"}),
        subject_sd=None,
        how=[
            "; ".join(part for part in (CALLED.get(role, ""), reason) if part)
            for role, reason in zip(
                made["role"], made["reason"].astype(object).fillna(""), strict=True
            )
        ],
    )


CALLED = {
    "": "",
    "test role": "held-out sessions",
    "all role": "all sessions, trained ones among them",
    "train role": "sessions that trained",
}
"""What the role of a read-out is called where people read; "" is of held-out ones, too."""


def _abnormality(scores: pd.DataFrame) -> pd.DataFrame:
    ill = abnormality_scores(scores)
    ill = ill[(ill["metric"] == "abnormality") & ill["value"].notna()]
    return ill.assign(statistic=ONE, counted="session", how="", subject_sd=None)
