"""One tidy view over every score."""

from typing import Any

import pandas as pd

from ._published import published_beside

COLUMNS = (
    "study", "table", "model", "split", "fold", "seed", "level", "scheme", "target", "metric",
    "detail", "value", "chance", "n", "n_groups", "low", "high", "reason", "published",
)  # fmt: skip


def scores(study: str | None = None) -> pd.DataFrame:
    """Every score of every study, one row each.

    Parameters
    ----------
    study
        Name of one study; None takes all, and what `locate` answered outside any study.

    Returns
    -------
    DataFrame
        ``study, table, model, split, fold, seed, level, scheme, target, metric, detail, value,
        chance, n, n_groups, low, high, reason, published``. ``fold`` is NaN where all folds are
        pooled; ``value`` is NaN where it is undefined and ``reason`` says why; ``published`` is a
        paper's value for the same model, metric, level and detail, NaN without one.
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
    rows += _against_later_labels(study)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numeric = ["fold", "value", "chance", "n", "n_groups", "low", "high", "published"]
    frame[numeric] = frame[numeric].apply(pd.to_numeric)
    studies = (dataset.Study & ({"study": study} if study else {})).to_dicts()
    for row in studies:
        mine = frame[frame["study"] == row["study"]]
        frame.loc[mine.index, "published"] = published_beside(
            mine, row["toml"].get("published", ())
        )
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
        found = (scored * table.tasks).to_dicts(order_by=[key, "score"])
    return [_tidy(table, row, name) for row in found for name in studies[row[key]]]


def _beside(scored, parent) -> list[dict[str, Any]]:
    """Scores of the controls that stand beside rows of `parent`."""
    from . import analysis

    columns = ("eval_model", "eval_split", "eval_fold", "eval_seed", "scheme")
    tasks = analysis.ControlTask & f"{parent.key} is not null"
    return (scored * tasks * parent.proj(*columns)).to_dicts()


def _against_later_labels(study: str | None) -> list[dict[str, Any]]:
    """Scores of stored predictions against labels that came later; ``target`` says whose labels."""
    from . import analysis, dataset, prediction, recording, training

    asked = dataset.StudyMember & {"member_table": "prediction_task"}
    askers: dict[str, list[tuple[str, str]]] = {}
    for row in asked.to_dicts():
        askers.setdefault(row["member"], []).append((row["study"], row["member_name"]))
    named = training.RegisteredModel.to_dicts()
    names = {row["training"]: row["registered_model"] for row in named}
    answered = prediction.PredictionTask.proj("training") * training.TrainingTask
    labels = recording.LabelSet.proj("origin", "evidence")
    scored = analysis.LabelScore.Score * analysis.LabelScoreTask * answered * labels
    found = []
    for row in scored.to_dicts():
        alone = (None, names.get(row["training"], row["model"]))
        for asker, model in askers.get(row["prediction"], [alone]):
            if study is None or asker == study:
                about = {"eval_model": model, "target": f"{row['origin']} ({row['evidence']})"}
                about |= {f"eval_{name}": row[name] for name in ("split", "fold", "seed")}
                found.append(_tidy(analysis.LabelScore, row | about, asker))
    return found


def _tidy(table, row: dict[str, Any], study: str | None) -> dict[str, Any]:
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
