"""Controls: the same score when labels, waveforms or wires are not what they seem."""

from typing import Any

import numpy as np

from . import analysis
from ._analyse import Scores, gather, request, score_rows
from ._infer import load_model

DRAWS = 200


def control(task: dict[str, Any], **options: Any) -> tuple[dict[str, Any], Scores]:
    """The row of one Control and its scores."""
    kinds = {
        "permuted_labels": _permuted,
        "phase_randomised": _phase_randomised,
        "relabelled": _relabelled,
    }
    text, scores = kinds[task["control_kind"]](task, **options)
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
            load_model(row["training"], device), replace(windowset, lfp=lfp), device=device
        )
        return found.outputs, found.window, found.channel

    kind, outputs, targets, groups = gather(asked, again)
    params = analysis.EvalParamSet.get(asked["task"])
    rows = [r for r in SCORERS[kind](outputs, targets, groups, params) if not r.detail]
    text = "every test window given random phases: same spectrum, no waveform"
    return text, score_rows(rows, int(groups["subject"].nunique()))


def _relabelled(task: dict[str, Any], **_: Any) -> tuple[str, Scores]:
    """A linear probe again, with other channels carrying the name of the rarest region."""
    from pipeline.evaluation.probes import fit_predict
    from pipeline.evaluation.swaps import swap_control

    from ._probe import load_vectors

    key = _key(task, "linear_probe")
    asked = request(analysis.LinearProbeTask, analysis.LinearProbeInput, key)
    params = analysis.ProbeParamSet.get(asked["task"])
    scores: Scores = []
    text = "no fold has two regions"
    for vectors in load_vectors(asked):
        rows = vectors.rows
        train, test = rows["train"].to_numpy(), rows["test"].to_numpy()
        channels = rows.drop_duplicates(["session", "channel"])["region"].value_counts()
        if len(channels) < 2:
            continue
        carrier, pool = channels.index[-1], channels.index[0]

        def score(labels, x=vectors.x, train=train, test=test):
            known = np.array([label is not None for label in labels])
            fitted, asked_of = known & train, known & test
            if len(set(labels[fitted])) < 2 or not asked_of.any():
                return None
            said = fit_predict(x[fitted], labels[fitted], x[asked_of], params)
            return _balanced_accuracy(labels[asked_of], said)

        found = swap_control(
            rows["region"], rows["session"] + " " + rows["channel"], score,
            carrier=carrier, pool=pool, max_draws=DRAWS // 4, seed=task["control_seed"],
        )  # fmt: skip
        n = int(channels[carrier])
        text = (
            f"{n} channels of {pool} called {carrier}, the real {carrier} left out, in "
            f"{len(found.values)} of {found.possible} possible ways"
        )
        scores.append(_summary(found.values, found.observed, 1 / len(channels), n, "window"))
    return text, scores or [_none("balanced_accuracy", text)]


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

    return _balanced_accuracy(labels, most_likely(proba, classes))


def _balanced_accuracy(labels, said) -> float | None:
    """Mean recall over the regions among `labels`; None without any."""
    known = np.array([label is not None for label in labels])
    recalls = [np.mean(said[labels == name] == name) for name in set(labels[known])]
    return float(np.mean(recalls)) if recalls else None


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
