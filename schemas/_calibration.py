"""The control "calibration": stored answers, and those about validation subjects, made again."""

from typing import Any

import numpy as np
import pandas as pd

from . import analysis, training
from ._analyse import Scores, add_lab, gather, request, score_rows, where
from ._answers import predictions_of
from ._infer import load_model
from ._names import clip
from ._roles import subjects_of
from ._train import SUPERVISED_ROLES, load_role

KIND = "calibration"


def calibration_of(task: dict[str, Any], device: str = "cpu", **_: Any) -> tuple[str, Scores]:
    """Reliability and calibration error of an evaluation's answers, and temperatures."""
    from pipeline.evaluation.calibration_control import calibration_scores

    asked = request(
        analysis.EvaluationTask, analysis.EvaluationInput, {"evaluation": task["evaluation"]}
    )
    text = (
        "confidence beside accuracy; temperatures of validation subjects (in-lab) and, as a "
        "diagnostic, of those tested"
    )
    params = analysis.EvalParamSet.get(asked["task"])
    whole = _by_training(asked)
    known = [gather({**asked, "inputs": members}) for members in whole.values()]
    if {kind for kind, *_ in known} != {"classes"}:
        return text, [_none("the model answers no classes")]
    checked = [validation_answers(name, device) for name in whole]
    heard = {
        f"fold {members[0]['input_fold']}": _trained_too(name, answers[1])
        for (name, members), answers in zip(whole.items(), checked, strict=True)
    }
    tested = "laboratory" if "lab" in known[0][3] else "subjects"
    scores: Scores = []
    for level in params.levels:
        folds = [
            _at_level(level, f"fold {members[0]['input_fold']}", found, answers)
            for members, found, answers in zip(whole.values(), known, checked, strict=True)
        ]
        rows = calibration_scores(
            folds, level=level, bins=params.calibration_bins, interval=params.interval,
            tested=tested,
        )  # fmt: skip
        of_fold = {fold.fold: fold for fold in folds}
        for row in rows:
            (score,) = score_rows([row], _subjects_of(row, of_fold))
            of_validation = row.metric == "temperature" and "validation" in row.detail
            trained = heard.get(row.detail.split(":")[0]) if of_validation else None
            said = clip("; ".join(filter(None, [score["score_reason"], trained])) or None, 512)
            scores.append({**score, "score_reason": said})
    return text, scores


def validation_answers(name: str, device: str = "cpu") -> tuple[np.ndarray, pd.DataFrame]:
    """A training's class probabilities of its validation subjects' windows, and whose each is."""
    from pipeline.training.inference import predict_windows

    asked = (training.TrainingTask & {"training": name}).fetch1()
    sets = load_role(asked["split"], asked["fold"], ("calibrate",))
    sets = sets or load_role(asked["split"], asked["fold"], ("validation",))
    if not sets:
        return np.zeros((0, 0)), pd.DataFrame()
    model, outputs, frames = load_model(name, device), [], []
    for windowset in sets:
        found = predict_windows(model, windowset, device=device)
        outputs.append(found.outputs)
        frames.append(where(windowset, found.window, found.channel))
    frame = add_lab(pd.concat(frames, ignore_index=True), asked["split"])
    return np.concatenate(outputs), frame


def _trained_too(name: str, frame: pd.DataFrame) -> str | None:
    """A remark where other windows of validation subjects trained the model."""
    fold = (training.TrainingTask & {"training": name}).fetch1("split", "fold")
    of = set(frame["subject"]) if len(frame) else set()
    n = len(of & subjects_of(*fold, SUPERVISED_ROLES))
    return f"{n} of {len(of)} trained too, with other windows" if n else None


def _by_training(asked: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Inputs of an evaluation, by the training that answered."""
    rows = predictions_of(asked["inputs"])
    found: dict[str, list[dict[str, Any]]] = {}
    for member in asked["inputs"]:
        found.setdefault(rows[member["prediction"]]["training"], []).append(member)
    return found


def _at_level(level: str, fold: str, tested, checked):
    """Answers of one fold with one row per sample of a level."""
    from pipeline.evaluation import as_labels
    from pipeline.evaluation.calibration_control import Answered, FoldAnswers
    from pipeline.evaluation.scorers import level_rows

    _, outputs, targets, groups = tested
    classes = outputs.classes
    held_out = Answered.of(*level_rows(level, outputs.proba, as_labels(targets), groups), classes)
    proba, frame = checked
    if not len(frame):
        return FoldAnswers(fold, held_out, Answered.nobody(classes))
    rows = level_rows(level, proba, as_labels(frame["region"]), frame)
    return FoldAnswers(fold, held_out, Answered.of(*rows, classes))


def _subjects_of(row, folds: dict[str, Any]) -> int:
    """How many subjects a row is of: all tested ones, or those of its fold's temperature."""
    said = [fold.tested for fold in folds.values()]
    if row.metric == "temperature":
        fold = folds[row.detail.split(":")[0]]
        said = [fold.checked if "validation" in row.detail else fold.tested]
    return len({who for one in said if len(one) for who in one.groups["subject"]})


def _none(reason: str) -> dict[str, Any]:
    return {
        "level": "window", "metric": "ece", "detail": None, "value": None, "chance": None,
        "n": 0, "n_groups": None, "low": None, "high": None, "score_reason": reason,
    }  # fmt: skip
