"""Tables of scores as the report shows them."""

import numpy as np
import pandas as pd

from pipeline.analyses.report_data import Headline


def evaluations(scores: pd.DataFrame) -> pd.DataFrame:
    rows = scores[(scores["table"] == "Evaluation") & scores["metric"].isin(
        ["balanced_accuracy", "accuracy", "macro_f1", "recall", "ece", "coverage", "co_bps",
         "co_bps_unit_mean", "poisson_d2", "co_bps_train_null", "co_bps_train_null_unit_mean"]
    )].drop(columns="split")  # fmt: skip
    rows["metric"] = np.where(
        rows["detail"].notna(), rows["metric"] + " " + rows["detail"].fillna(""), rows["metric"]
    )
    return rows


def silhouettes(scores: pd.DataFrame) -> pd.DataFrame:
    rows = scores[(scores["table"] == "Silhouette") & (scores["level"] == "window")]
    made = mean_over_folds(rows, ["model", "target", "detail"])
    return _by_target(made).rename(columns={"target": "grouping"})


def probes(scores: pd.DataFrame) -> pd.DataFrame:
    shown = scores["metric"].isin(["balanced_accuracy", "auc"])
    rows = scores[(scores["table"] == "LinearProbe") & shown]
    pooled = rows[(rows["target"] != "region") | rows["fold"].isna()]
    pooled = pooled if (pooled["target"] == "region").any() else rows
    return _by_target(mean_over_folds(pooled, ["model", "target", "detail", "metric"]))


TARGETS = ("region", "session", "insertion", "lab")
SESSIONS = {"test role": "held out", "all role": "all", "train role": "trained"}
"""Roles in the words of a report; a probe of regions has none and is tested on held-out ones."""


def _by_target(made: pd.DataFrame) -> pd.DataFrame:
    """What embeddings should hold first, then what they should not; ``role`` is whose they are."""
    told = made["detail"].map(lambda role: SESSIONS.get(role, role))
    regions = (made["target"] == "region") & told.isna()
    place = {target: at for at, target in enumerate(TARGETS)}
    made = made.drop(columns="detail").assign(role=told.mask(regions, SESSIONS["test role"]))
    return made.sort_values("target", key=lambda names: names.map(place), kind="stable")


def mean_over_folds(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """One row per combination of ``by``: a single row as it is, else the mean over trainings.

    The interval of a mean is the range over trainings, and the reason says so. Test roles of folds
    are of different windows, so their counts add up; other roles share theirs.
    """
    made = []
    for names, group in rows.groupby(by, dropna=False, sort=False):
        known = group[group["value"].notna()]
        row = dict(zip(by, names, strict=True)) | _counts(group if known.empty else known)
        row["chance"] = known["chance"].mean()
        if len(known) == 1 and len(group) == 1:
            row |= {k: known.iloc[0][k] for k in ("value", "low", "high", "reason")}
        elif len(known):
            row |= {"value": known["value"].mean(), "low": known["value"].min()}
            row |= {"high": known["value"].max(), "reason": _averaged(known, group)}
        else:
            row |= {"value": None, "low": None, "high": None, "reason": group["reason"].iloc[0]}
        made.append(row)
    return pd.DataFrame(made, columns=None if made else [*by, *_MEAN_COLUMNS])


_MEAN_COLUMNS = ("n", "n_groups", "chance", "value", "low", "high", "reason")


def _counts(group: pd.DataFrame) -> dict[str, float]:
    """Samples and groups of several folds: of one seed, added up where folds share none."""
    apart = group["detail"].fillna("test").str.startswith("test").all()
    each = group[group["seed"] == group["seed"].iloc[0]]
    how = "sum" if apart else "max"
    return {name: each[name].agg(how) for name in ("n", "n_groups")}


def _averaged(known: pd.DataFrame, group: pd.DataFrame) -> str:
    """What a mean and its range are of: "mean and range of 2 of 3 folds, 3 seeds each"."""
    folds, asked = known["fold"].nunique(), group["fold"].nunique()
    seeds = known["seed"].nunique()
    some = f"{folds} of {asked}" if folds < asked else f"{folds}"
    each = f", {seeds} seeds each" if seeds > 1 else ""
    return f"mean and range of {some} fold{'s' * (asked > 1)}{each}"


def controls(scores: pd.DataFrame, headline: Headline) -> pd.DataFrame:
    rows = scores[(scores["table"] == "Control") & (scores["metric"] == "balanced_accuracy")].copy()
    same = (rows["level"] == headline.level) | (rows["target"] != "phase_randomised")
    rows = rows[same]
    own = ("relabelled", "independent_channels")  # have tables of their own
    rows = rows[~rows["target"].isin(own)]
    rows["control"] = rows["target"].str.replace("_", " ")
    told = rows["detail"].fillna("").str.extract(r"observed ([0-9.]+)")[0]
    rows["observed"] = pd.to_numeric(told)
    evaluated = scores[
        (scores["table"] == "Evaluation") & (scores["metric"] == "balanced_accuracy")
    ]
    pooled = evaluated[evaluated["fold"].isna()].groupby(["model", "level"])["value"].mean()
    known = pooled.reindex(pd.MultiIndex.from_frame(rows[["model", "level"]])).to_numpy()
    rows["observed"] = rows["observed"].fillna(pd.Series(known, rows.index))
    names = [
        "model",
        "control",
        "level",
        "metric",
        "value",
        "chance",
        "observed",
        "n",
        "low",
        "high",
        "reason",
    ]
    return rows[names]
