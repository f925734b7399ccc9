"""What must be known of a training before its answers are believed: data, splits, scores."""

from typing import Any

import numpy as np

from pipeline.preprocessing.splits import Assignment, select_windows

from . import analysis, dataset, prediction, recording, session, training, windows
from ._begun import what_it_began_with
from ._registered import training_members
from ._train import scheme_of

SAID = ("balanced_accuracy", "macro_f1", "ece", "co_bps")
"""Raw accuracy is not among them: beside balanced accuracy it is read as if it were one."""
COLUMNS = ("level", "metric", "detail", "value", "low", "high", "chance", "n", "n_groups",
           "score_reason")  # fmt: skip


def describe_training(trained: str) -> dict[str, Any]:
    """Data by role, scores with interval and chance, controls, licence of the first weights.

    Returns
    -------
    dict
        ``roles`` (role to subjects, sessions and windows of the fold), ``fold`` (its name),
        ``split_by`` (how folds were made), ``labels`` (scheme, and what the labels rest on),
        ``scores`` (pooled over the folds of its model, then of this fold; ``which`` says which),
        ``controls``; scores are dictionaries of `COLUMNS`. ``origin``, ``licence`` and
        ``vectors`` as `what_it_began_with` tells them.

    Raises
    ------
    LookupError
        If the training is not done.
    """
    key = {"training": trained}
    if not training.Training & key:
        raise LookupError(f"training {trained[:12]} is not done; populate training.Training first")
    task = (training.TrainingTask & key).fetch1()
    where = {name: task[name] for name in ("split", "fold")}
    evaluations = _evaluations(trained)
    return {
        "fold": (dataset.SplitFold & where).fetch1("fold_name"),
        "split_by": _split(task["split"]),
        "labels": _labels(task["split"]),
        "transductive": bool((dataset.SplitFold & where).fetch1("transductive")),
        "roles": _roles(where),
        "subjects_heard": _subjects(training_members(trained)),
        "scores": [row for one in evaluations for row in _scores(one)],
        "controls": [row for one in evaluations for row in _controls(one)],
        **what_it_began_with(trained),
    }


def _evaluations(trained: str) -> list[dict[str, Any]]:
    """Evaluations that its held-out answers entered, that of all folds first."""
    answered = prediction.PredictionTask & {"training": trained}
    asked = analysis.EvaluationTask & (analysis.EvaluationInput & answered.proj())
    done = asked & analysis.Evaluation.proj()
    return sorted(
        done.to_dicts(), key=lambda row: (row["eval_fold"] is not None, row["evaluation"])
    )


def _scores(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    which = "all folds" if evaluation["eval_fold"] is None else "this fold"
    rows = analysis.Evaluation.Score & {"evaluation": evaluation["evaluation"]} & _said()
    return [{"which": which, **_number(row)} for row in rows.to_dicts(order_by="score")]


def _controls(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    which = "all folds" if evaluation["eval_fold"] is None else "this fold"
    asked = analysis.ControlTask & {"evaluation": evaluation["evaluation"]}
    rows = (analysis.Control.Score & _said()) * asked
    return [
        {"which": which, "control": row["control_kind"], **_number(row)}
        for row in rows.to_dicts(order_by="control, score")
    ]


def _said() -> list[dict[str, str]]:
    return [{"metric": name} for name in SAID]


def _split(name: str) -> str:
    """How the dataset was split, in words."""
    row = (dataset.SplitTask & {"split": name}).fetch1()
    params = dataset.SplitParamSet.get(row)
    k = f" of {params.k}" if params.folds == "k-fold" else ""
    return f"{params.folds}{k} by {params.by}"


def _labels(name: str) -> str | None:
    """The scheme of the labels and their evidence, in words; None without labels."""
    scheme = scheme_of(name)
    members = dataset.DatasetMember * dataset.SplitTask.proj("dataset") & {"split": name}
    found = (recording.LabelSet & members.proj("label_set")).to_arrays("evidence")
    return (
        None if scheme is None else f"{scheme}, evidence: {', '.join(sorted({*found})) or 'none'}"
    )


def _number(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in COLUMNS}


def _roles(where: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Subjects, sessions and windows of each role of a fold."""
    parts = dataset.SplitAssignment & where
    told = parts * windows.WindowsTask.proj("session", "window_params")
    told = (
        told * windows.WindowParamSet.proj("length_s") * session.Session.proj("source", "subject")
    )
    rows = (told * windows.Windows.proj("n_windows", "window_start_s")).to_dicts()
    found: dict[str, dict[str, Any]] = {}
    for role in dict.fromkeys(row["role"] for row in rows):
        mine = [row for row in rows if row["role"] == role]
        found[role] = {
            "subjects": _subjects(mine),
            "sessions": len({row["session"] for row in mine}),
            "windows": sum(_count(mine, name) for name in {row["windows"] for row in mine}),
        }
    return found


def _count(rows: list[dict[str, Any]], name: str) -> int:
    """Windows of one recording that play a role: those in any of its stretches."""
    stretches = [row for row in rows if row["windows"] == name]
    limits = ("block_start_s", "block_stop_s", "max_windows")
    if any(all(row[limit] is None for limit in limits) for row in stretches):
        return stretches[0]["n_windows"]
    starts = np.asarray(stretches[0]["window_start_s"].load(), float)
    chosen = [
        select_windows(starts, row["length_s"], Assignment("", "", *(row[x] for x in limits)))
        for row in stretches
    ]
    return int(np.any(chosen, axis=0).sum())


def _subjects(rows: list[dict[str, Any]]) -> list[str]:
    return sorted({f"{row['source']}/{row['subject']}" for row in rows})
