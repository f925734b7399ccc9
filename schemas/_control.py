"""Controls: the same score when labels, waveforms or wires are not what they seem."""

from typing import Any

import numpy as np

from . import analysis, prediction
from ._abnormality import KIND, abnormality_of
from ._analyse import Scores, gather, request, score_rows
from ._calibration import KIND as CALIBRATION
from ._calibration import calibration_of
from ._copies import count_signals
from ._infer import load_model
from ._relabel import balanced_accuracy, relabelled

DRAWS = 200


def control(task: dict[str, Any], **options: Any) -> tuple[dict[str, Any], Scores]:
    """The row of one Control and its scores."""
    kinds = {
        "permuted_labels": _permuted,
        "phase_randomised": _phase_randomised,
        "relabelled": relabelled,
        "independent_channels": _independent_channels,
        KIND: abnormality_of,
        CALIBRATION: calibration_of,
    }
    kind = task["control_kind"].partition(":")[0]
    text, scores = kinds[kind](task, **options)
    return {"control_text": text[:1024]}, scores


def _permuted(task: dict[str, Any], **_: Any) -> tuple[str, Scores]:
    """Balanced accuracy with the channels' labels shuffled within each session."""
    from pipeline.evaluation import as_labels
    from pipeline.evaluation.controls import permuted_labels
    from pipeline.evaluation.scorers import average_windows

    asked = request(analysis.EvaluationTask, analysis.EvaluationInput, _key(task, "evaluation"))
    kind, outputs, targets, groups = gather(asked)
    text = f"labels of channels shuffled within each session, {DRAWS} times"
    if kind != "classes":
        return text, [_none("balanced_accuracy", "the model answers no classes")]
    proba, labels, frame = average_windows(outputs.proba, as_labels(targets), groups)
    rng = np.random.default_rng(task["control_seed"])
    values = []
    for _draw in range(DRAWS):
        shuffled = permuted_labels(labels, frame["session"], rng)
        values.append(_balanced(shuffled, proba, outputs.classes))
    found = np.array([v for v in values if v is not None])
    if not len(found):
        return text, [_none("balanced_accuracy", "no labelled channel")]
    observed = _balanced(labels, proba, outputs.classes)
    known = [label for label in labels if label is not None]
    return text, [_summary(found, observed, 1 / len(set(known)), len(known), "channel")]


def _phase_randomised(task: dict[str, Any], device: str = "cpu", **_: Any) -> tuple[str, Scores]:
    """The evaluation again, on windows with the same spectrum and random phases."""
    from dataclasses import replace

    from pipeline.evaluation import SCORERS
    from pipeline.evaluation.controls import phase_randomise_windows
    from pipeline.training.inference import predict_windows

    asked = request(analysis.EvaluationTask, analysis.EvaluationInput, _key(task, "evaluation"))
    rng = np.random.default_rng(task["control_seed"])

    def again(windowset, row, test):
        lfp = np.array(windowset.lfp)
        lfp[test] = phase_randomise_windows(lfp[test], rng)
        found = predict_windows(
            load_model(row["training"], device),
            replace(windowset, lfp=lfp, valid=windowset.valid & test[:, None]),
            device=device,
        )
        return found.outputs, found.window, found.channel

    kind, outputs, targets, groups = gather(asked, again)
    params = analysis.EvalParamSet.get(asked["task"])
    rows = [r for r in SCORERS[kind](outputs, targets, groups, params) if not r.detail]
    text = "every test window given random phases: same spectrum, no waveform"
    return text, score_rows(rows, int(groups["subject"].nunique()))


def _independent_channels(task: dict[str, Any], **_: Any) -> tuple[str, Scores]:
    """How many different signals each region rests on, over all held-out recordings."""
    from pipeline.evaluation.copies import SAME_SIGNAL

    asked = request(analysis.EvaluationTask, analysis.EvaluationInput, _key(task, "evaluation"))
    text = f"channels of a session whose signals correlate at {SAME_SIGNAL:g} or more count once"
    members = [{"prediction": item["prediction"]} for item in asked["inputs"]]
    names = (prediction.PredictionTask & members).to_arrays("windows")
    found = count_signals(asked["task"]["eval_split"], names)
    scores: Scores = []
    for row in found.to_dict("records"):
        said = {"level": "channel", "detail": row["region"], "chance": None, "n": row["channels"]}
        said |= {"n_groups": row["subjects"], "low": None, "high": None}
        said["score_reason"] = text
        scores.append({**said, "metric": "independent_channels", "value": row["independent"]})
        alone = np.isnan(row["largest_r"])
        value = {"value": None if alone else row["largest_r"]}
        scores.append({**said, "metric": "largest_correlation", **value})
    return text, scores or [_none("independent_channels", "no labelled channel with a signal")]


def _summary(values, observed, chance, n: int, level: str) -> dict[str, Any]:
    low, high = np.percentile(values, [2.5, 97.5])
    told = "undefined" if observed is None else f"{observed:.3f}"
    return {
        "level": level,
        "metric": "balanced_accuracy",
        "detail": f"observed {told}",
        "value": float(np.mean(values)),
        "chance": chance,
        "n": n,
        "n_groups": len(values),
        "low": float(low),
        "high": float(high),
        "score_reason": "interval: spread over the repetitions",
    }


def _balanced(labels, proba, classes) -> float | None:
    from pipeline.evaluation import most_likely

    return balanced_accuracy(labels, most_likely(proba, classes))


def _none(metric: str, reason: str) -> dict[str, Any]:
    return {
        "level": "channel", "metric": metric, "detail": None, "value": None, "chance": None,
        "n": 0, "n_groups": None, "low": None, "high": None, "score_reason": reason,
    }  # fmt: skip


def _key(task: dict[str, Any], name: str) -> dict[str, str]:
    if task[name] is None:
        raise LookupError(
            f"the control {task['control_kind']} stands beside a {name.replace('_', ' ')}; "
            "the task names none"
        )
    return {name: task[name]}
