"""Where a paper's value stands among our scores: beside the same measure, or nowhere."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

READ_OUT = {"LinearProbe": "linear probe", "Silhouette": "silhouette"}
"""Table of a read-out: the level that a published value of one has."""

ROLES = ("", "test role", "all role", "train role")
"""Whose embeddings a read-out is of, best first; without a role they are of held-out sessions."""

MEAN = "mean over sessions"


def published_beside(frame: pd.DataFrame, told: Iterable[Mapping[str, Any]]) -> pd.Series:
    """A paper's value for each row of one study's scores, NaN without one.

    Model, metric, level and detail are the same: a region's abnormality stands beside that region
    alone, and a control beside no value but an abnormality. Pooled rows have it; where nothing is
    pooled, those of the only fold, and of read-outs those of every fold. A mean over sessions is of
    no row here, and a value of one arm among several is not known to be this study's.

    Parameters
    ----------
    frame
        Columns of `schemas.scores`.
    told
        Published values as the study keeps them.
    """
    beside = pd.Series(float("nan"), frame.index)
    told = sorted(told, key=lambda item: bool(item.get("statistic")))  # what is stated wins
    several = len({item.get("arm", "") for item in told}) > 1
    for item in told:
        if item.get("statistic") == MEAN or several and item.get("arm"):
            continue
        beside[_same(frame, item).index] = item["value"]
    return beside


def _same(frame: pd.DataFrame, item: Mapping[str, Any]) -> pd.DataFrame:
    """Rows that measure what a published value does."""
    rows = frame[(frame["model"] == item["model"]) & (frame["metric"] == item["metric"])]
    detail = item.get("detail", "")
    table = next((name for name, level in READ_OUT.items() if level == item["level"]), None)
    if table:
        of = rows["target"] == detail
        return answering(rows[(rows["table"] == table) & (rows["level"] == "window") & of])
    rows = rows[(rows["level"] == item["level"]) & (rows["detail"].fillna("") == detail)]
    of_animals = item["metric"].startswith("abnormality")
    rows = rows[rows["table"] == ("Control" if of_animals else "Evaluation")]
    if rows["fold"].isna().any() or rows["fold"].nunique() > 1:
        rows = rows[rows["fold"].isna()]
    return rows


def answering(rows: pd.DataFrame) -> pd.DataFrame:
    """Read-outs of the sessions that have an answer: held-out ones, else all, else trained ones.

    Silhouettes and probes by session or insertion need several of them, and a fold may hold out
    one. The choice is one for all models, so that a table compares like with like; pooled rows go
    before those of folds. What is in ``detail`` is then in ``role``, "" where it was empty.
    """
    rows = rows.assign(role=rows["detail"].fillna(""))
    kept = []
    for _, group in rows.groupby(["table", "target", "metric"], sort=False):
        named = group["role"].isin(ROLES)
        kept.append(group[~named])
        there = [role for role in ROLES if (group["role"] == role).any()]
        known = set(group.loc[group["value"].notna(), "role"])
        best = next((role for role in there if role in known), there[0] if there else None)
        mine = group[group["role"] == best]
        whole = mine["fold"].isna() & mine["value"].notna()
        kept.append(mine[whole] if whole.any() else mine)
    return pd.concat(kept) if kept else rows
