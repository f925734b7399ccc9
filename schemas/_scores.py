"""One tidy view over every score."""

from typing import Any

import pandas as pd

COLUMNS = (
    "study", "table", "model", "split", "fold", "seed", "level", "scheme", "target", "metric",
    "detail", "value", "chance", "n", "n_groups", "low", "high", "reason", "published",
)  # fmt: skip


def scores(study: str | None = None) -> pd.DataFrame:
    """Every score of every study, one row each.

    Parameters
    ----------
    study
        Name of one study; None takes all.

    Returns
    -------
    DataFrame
        ``study, table, model, split, fold, seed, level, scheme, target, metric, detail, value,
        chance, n, n_groups, low, high, reason, published``. ``fold`` is NaN where all folds are
        pooled; ``value`` is NaN where it is undefined and ``reason`` says why; ``published`` is a
        paper's value for the same model, metric and level, NaN without one.
    """
    from . import analysis, dataset

    rows: list[dict[str, Any]] = []
    for table, member in (
        (analysis.Evaluation, "evaluation_task"),
        (analysis.LinearProbe, "linear_probe_task"),
        (analysis.Silhouette, "silhouette_task"),
        (analysis.Control, "control_task"),
    ):
        rows += _rows_of(table, member, study)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numeric = ["fold", "value", "chance", "n", "n_groups", "low", "high", "published"]
    frame[numeric] = frame[numeric].apply(pd.to_numeric)
    studies = (dataset.Study & ({"study": study} if study else {})).to_dicts()
    for row in studies:
        for item in row["toml"].get("published", ()):
            same = (frame["study"] == row["study"]) & (frame["model"] == item["model"])
            same &= (frame["metric"] == item["metric"]) & (frame["level"] == item["level"])
            frame.loc[same & frame["fold"].isna(), "published"] = item["value"]
    return frame.sort_values(["study", "table", "model", "fold", "seed"], ignore_index=True)


def _rows_of(table, member: str, study: str | None) -> list[dict[str, Any]]:
    from . import analysis, dataset

    key = table.tasks.key
    asked = dataset.StudyMember & {"member_table": member}
    if study is not None:
        asked = asked & {"study": study}
    studies: dict[str, list[str]] = {}
    for row in asked.to_dicts():
        studies.setdefault(row["member"], []).append(row["study"])
    if not studies:
        return []
    scored = table.Score & [{key: mark} for mark in studies]
    if table is analysis.Control:
        found = [
            row
            for parent in (analysis.EvaluationTask, analysis.LinearProbeTask)
            for row in _beside(scored, parent)
        ]
    else:
        found = (scored * table.tasks).to_dicts()
    return [_tidy(table, row, name) for row in found for name in studies[row[key]]]


def _beside(scored, parent) -> list[dict[str, Any]]:
    """Scores of the controls that stand beside rows of `parent`."""
    from . import analysis

    columns = ("eval_model", "eval_split", "eval_fold", "eval_seed", "scheme")
    tasks = analysis.ControlTask & f"{parent.key} is not null"
    return (scored * tasks * parent.proj(*columns)).to_dicts()


def _tidy(table, row: dict[str, Any], study: str) -> dict[str, Any]:
    return {
        "study": study,
        "table": table.__name__,
        "model": row["eval_model"],
        "split": row["eval_split"],
        "fold": row["eval_fold"],
        "seed": row["eval_seed"],
        "target": row.get("target") or row.get("control_kind"),
        "reason": row["score_reason"],
        **{
            name: row[name]
            for name in (
                "level", "scheme", "metric", "detail", "value", "chance", "n",
                "n_groups", "low", "high",
            )
        },
    }  # fmt: skip
