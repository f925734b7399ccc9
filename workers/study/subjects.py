"""Scores of single subjects and of regions of diseased animals, for the report."""

import pandas as pd

from pipeline.analyses.report_data import Headline, SubjectValues
from pipeline.analyses.report_subjects import short_subjects
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
