"""A stored prediction against labels that came later: what ``LabelScore.make`` does."""

from typing import Any

import pandas as pd

from . import analysis, prediction
from ._analyse import Scores, score_rows, where
from ._answers import score_stored, stored_answers
from ._load import load_windows
from ._registered import what_was_heard

ANSWER = "answer"
"""Level of the stored answers, "unknown" among them; the others are as in an evaluation."""


def score_labels(task: dict[str, Any]) -> tuple[dict[str, Any], Scores]:
    """The row of one LabelScore and its scores."""
    from pipeline.evaluation import SCORERS, ClassOutputs

    params = analysis.EvalParamSet.get(task)
    asked = (prediction.PredictionTask & {"prediction": task["prediction"]}).fetch1()
    row = (prediction.Prediction & {"prediction": task["prediction"]}).fetch1()
    heard = what_was_heard(asked["training"], _session_of(asked))
    if row["output"] != "classes":
        reason = "the model answers no classes"
        return {"n_labelled": 0, "heard": heard}, [_none(reason)]
    windowset = load_windows(asked["windows"], scheme=task["scheme"], label_set=task["label_set"])
    outputs, window, site = (row[n].load() for n in ("outputs", "window_index", "site_index"))
    groups = where(windowset, window, site)
    rows = SCORERS["classes"](
        ClassOutputs(outputs, tuple(row["output_classes"])),
        groups["region"].to_numpy(),
        groups,
        params,
    )
    answers = stored_answers(task["prediction"], windowset.channels)
    answers = answers.assign(session=windowset.session, subject=groups["subject"].iloc[0])
    classes = tuple(row["output_classes"])
    rows = [*rows, *score_stored(answers, classes, params)]
    rows += _score_answers(answers, classes, windowset, params)
    labelled = int(answers["region"].notna().sum())
    return {"n_labelled": labelled, "heard": heard}, score_rows(rows, 1)


def _score_answers(answers: pd.DataFrame, classes, windowset, params):
    """Each channel's stored answer, once."""
    from pipeline.evaluation import classification_scores, cluster

    return classification_scores(
        answers["region"], list(answers["predicted"]),
        cluster([windowset.session] * len(answers), "session"), classes,
        level=ANSWER, interval=params.interval,
    )  # fmt: skip


def _session_of(asked: dict[str, Any]) -> str:
    from . import windows

    return (windows.WindowsTask & {"windows": asked["windows"]}).fetch1("session")


def _none(reason: str) -> dict[str, Any]:
    return {
        "level": ANSWER, "metric": "accuracy", "detail": None, "value": None, "chance": None,
        "n": 0, "n_groups": None, "low": None, "high": None, "score_reason": reason,
    }  # fmt: skip
