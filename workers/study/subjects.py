"""Scores of single subjects and of regions of diseased animals, for the report."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from pipeline.analyses.report_data import Headline, SubjectValues
from pipeline.analyses.report_subjects import short_subjects
from pipeline.evaluation.intervals import IntervalParams, cluster, resample
from pipeline.evaluation.paired import spread
from schemas._abnormality import KIND

COLUMNS = ["model", "seed", "subject", "value", "chance"]


def subject_values(
    scores: pd.DataFrame, headline: Headline, models: list[str]
) -> SubjectValues | None:
    """Every subject's own value at the headline's level: balanced accuracy where it has classes."""
    rows = _of_subjects(scores)
    rows = rows[rows["level"] == headline.level]
    for metric in ("subject_balanced_accuracy", "subject_accuracy"):
        mine = rows[(rows["metric"] == metric) & rows["value"].notna()]
        if not len(mine):
            continue
        found = mine.rename(columns={"detail": "subject"})[COLUMNS]
        known = [name for name in models if name in set(found["model"])]
        name = metric.removeprefix("subject_")
        return SubjectValues(name, headline.level, short_subjects(found), known)
    return None


def subject_spread(scores: pd.DataFrame) -> dict[tuple[str, str, str], float | None]:
    """Standard deviation between subjects, without what seeds add: by model, level and metric."""
    found = {}
    rows = _of_subjects(scores)
    for (model, level, metric), group in rows.groupby(["model", "level", "metric"]):
        grid = group.pivot_table(index="seed", columns="detail", values="value")
        if grid.size:
            apart = spread(grid.to_numpy(float)).subject_sd
            found[(model, level, metric.removeprefix("subject_"))] = apart
    return found


def means_of_subjects(scores: pd.DataFrame, wanted: Collection[tuple[str, str]]) -> pd.DataFrame:
    """Means of subjects' own values, every subject alike, one row per seed.

    Where a metric has no values of subjects, folds that test one subject each stand for them. The
    interval resamples them; chance is the mean of theirs, and one that has none does not count.

    Parameters
    ----------
    wanted
        Level and metric of what is asked.
    """
    single = _of_subjects(scores)
    single = single.assign(
        metric=single["metric"].str.removeprefix("subject_"), unit=single["detail"]
    )
    made, keys = [], ["model", "level", "metric"]
    done = set(single[keys].itertuples(index=False, name=None))
    for rows, counted in ((single, "subject"), (_of_folds(scores), "fold")):
        for key, group in rows.groupby(keys, sort=False):
            if key[1:] in wanted and (counted == "subject" or key not in done):
                made += _means(group, dict(zip(keys, key, strict=True)), counted)
    columns = [*keys, "detail", "seed", "study", "value", "low", "high", "chance", "n",
               "n_groups", "counted", "how", "subject_sd"]  # fmt: skip
    return pd.DataFrame(made, columns=columns)


def _means(group: pd.DataFrame, names: dict[str, str], counted: str) -> list[dict]:
    group = group[group["value"].notna() & group["chance"].notna()]
    if group.empty:
        return []
    by_unit = group.groupby("unit")["value"].mean()
    low, high, reason = _interval(by_unit.to_numpy(float), counted)
    apart = spread(group.pivot_table(index="seed", columns="unit", values="value").to_numpy(float))
    return [
        names
        | {"detail": "", "seed": seed, "study": mine["study"].iloc[0], "low": low, "high": high}
        | {"value": mine["value"].mean(), "chance": mine["chance"].mean(), "n": mine["n"].sum()}
        | {"n_groups": len(by_unit), "counted": counted, "how": reason}
        | {"subject_sd": apart.subject_sd}
        for seed, mine in group.groupby("seed")
    ]


def _interval(values: np.ndarray, counted: str) -> tuple[float | None, float | None, str]:
    """Ends for the mean of values, one per subject, or why there are none."""
    totals = np.stack([values, np.ones_like(values)], axis=1)
    ends = resample(
        cluster(range(len(values)), counted), totals, lambda t: t[:, :1] / t[:, 1:],
        IntervalParams(),
    )  # fmt: skip
    if isinstance(ends, str):
        return None, None, ends
    return float(ends[0][0]), float(ends[1][0]), ""


def _of_folds(scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of single folds, where each fold tests one subject."""
    rows = scores[(scores["table"] == "Evaluation") & scores["detail"].isna()]
    rows = rows[rows["fold"].notna()]
    alone = rows.groupby(["model", "level", "metric"])["n_groups"].transform("max") == 1
    several = rows.groupby(["model", "level", "metric"])["fold"].transform("nunique") > 1
    return rows[alone & several].assign(unit=rows["fold"])


def _of_subjects(scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of one subject each: of pooled evaluations, or where there are none of each fold's."""
    rows = scores[(scores["table"] == "Evaluation") & scores["metric"].str.startswith("subject_")]
    return rows[rows["fold"].isna()] if rows["fold"].isna().any() else rows


def abnormality_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of the control that permutes who is diseased."""
    asked = scores["target"].fillna("").str.startswith(KIND)
    return scores[asked & (scores["table"] == "Control") & scores["detail"].notna()]


def in_order(rows: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Rows by model in this order, otherwise as they were."""
    place = {name: at for at, name in enumerate(models)}
    return rows.sort_values("model", key=lambda names: names.map(place), kind="stable")
