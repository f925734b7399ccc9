"""A stated risk from the tables: where its threshold comes from, and what became of it."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from pipeline.recording import WindowSet

from . import prediction, training
from ._answers import predictions_of, stored_answers
from ._doubt import find_doubts
from ._names import clip
from ._roles import subjects_of
from ._train import SUPERVISED_ROLES

UNCHECKED = "no validation subject with a label: the risk asked is not kept, answers below the "
UNCHECKED += "fixed confidence {least:g} are unknown"


def with_abstention(learned, checked: list[tuple[WindowSet, Any]], trained: str, params):
    """What was learned, with the threshold that validation subjects give; else with a note why not.

    Parameters
    ----------
    learned
        A Learned, without a threshold.
    checked
        Recordings of validation subjects, and the model's answers about each.
    trained
        The training that answered.
    """
    from pipeline.analyses.abstain import learn_abstention

    from ._learned import all_labels

    frames, truth, subjects = [], [], []
    for windowset, said in checked:
        answers = answers_at_any_confidence(windowset, said, trained, params, learned)
        frames.append(answers)
        truth += all_labels(windowset)
        subjects += [f"{windowset.source}/{windowset.subject}"] * len(answers)
    found = None
    if frames:
        answers = pd.concat(frames, ignore_index=True)
        found = learn_abstention(answers, truth, subjects, params.risk)
    if found is not None:
        fold = (training.TrainingTask & {"training": trained}).fetch1("split", "fold")
        heard = len(set(subjects) & subjects_of(*fold, SUPERVISED_ROLES))
        found = found.model_copy(update={"n_heard": heard})
        return learned.model_copy(update={"abstain": found})
    note = UNCHECKED.format(least=params.unknown_below)
    return learned.model_copy(update={"note": "; ".join(filter(None, [learned.note, note]))})


def answers_at_any_confidence(windowset: WindowSet, said, trained: str, params, learned):
    """One answer per channel, as a tested recording gets it, but for the least confidence."""
    from pipeline.analyses.novelty import refuse_new
    from pipeline.analyses.regions import channel_predictions

    domain = (training.Training & {"training": trained}).proj("domain", "classes").fetch1()
    doubts = find_doubts(windowset, domain, None)
    answers = channel_predictions(
        said.outputs, said.window, said.channel, domain["classes"], windowset.channels,
        params.model_copy(update={"unknown_below": 0.0}), learned=learned,
        domain_quantile=None if doubts.domain is None else doubts.domain.channel_quantile,
    )  # fmt: skip
    if doubts.novelty is not None:
        answers = refuse_new(answers, doubts.novelty, params.known_kept)
    return answers


def abstention_rows(asked: dict[str, Any], params) -> list:
    """Scores of an evaluation whose answers were given at a stated risk; none where none was."""
    from pipeline.analyses.abstain import score_abstention
    from pipeline.analyses.postprocess import UNKNOWN
    from pipeline.evaluation.intervals import choose_clusters
    from pipeline.evaluation.scorers import POSTPROCESSED, RESAMPLED

    from ._analyse import add_lab
    from ._learned import all_labels
    from ._roles import members_windows

    rows = predictions_of(asked["inputs"])
    risk = {name: prediction.PostprocessParamSet.get(row).risk for name, row in rows.items()}
    if not rows or None in risk.values():
        return []
    split = asked["task"]["eval_split"]
    windowsets = members_windows(split, {row["windows"] for row in rows.values()})
    parts = []
    for member in asked["inputs"]:
        windowset = windowsets[rows[member["prediction"]]["windows"]]
        channels = windowset.channels.assign(region=all_labels(windowset))
        said = stored_answers(member["prediction"], channels)
        subject = f"{windowset.source}/{windowset.subject}"
        parts.append(said.assign(session=windowset.session, subject=subject))
    frame = add_lab(pd.concat(parts, ignore_index=True), split)
    frame = frame[(frame["n_voting"] > 0) | (frame["predicted"] != UNKNOWN)]
    target = next(iter(risk.values())).target
    groups = choose_clusters(frame, RESAMPLED, params.minimum_groups)
    return score_abstention(frame["predicted"], frame["region"], groups, target,
                             level=POSTPROCESSED, interval=params.interval)  # fmt: skip


def threshold_scores(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The least confidence of each fold's answers, and the validation subjects it was chosen on.

    None where no risk was asked.
    """
    from pipeline.analyses.learned import Learned
    from pipeline.evaluation.scorers import POSTPROCESSED

    rows = predictions_of(asked["inputs"])
    found = {}
    for member in sorted(asked["inputs"], key=lambda one: one["input_fold"]):
        row = rows[member["prediction"]]
        risk = prediction.PostprocessParamSet.get(row).risk
        if risk is None or row["learned"] is None:
            continue
        learned = Learned.from_json(row["learned"])
        detail, chosen = f"asked {risk.target:g}, fold {member['input_fold']}", learned.abstain
        reason = learned.note if chosen is None else chosen.told()
        found[detail] = {
            "level": POSTPROCESSED, "metric": "threshold", "detail": detail,
            "value": None if chosen is None else chosen.least, "chance": None,
            "n": 0 if chosen is None else chosen.n,
            "n_groups": 0 if chosen is None else chosen.n_subjects,
            "low": None, "high": None, "score_reason": clip(reason, 512),
        }  # fmt: skip
    return list(found.values())


def tell_abstention(names: Iterable[str]) -> list[str]:
    """Sentences on the risk that predictions were answered at; none where none was asked."""
    from pipeline.analyses.learned import Learned

    keys = [{"prediction": name} for name in names]
    asked = prediction.Prediction * prediction.PredictionTask & keys & "learned is not null"
    told: dict[str, None] = {}
    for row in asked.proj("learned", "postprocess_params", "training").to_dicts():
        if prediction.PostprocessParamSet.get(row).risk is None:
            continue
        learned = Learned.from_json(row["learned"])
        said = learned.note if learned.abstain is None else learned.abstain.told()
        told[f"{said}; {tell_held_out(row)}"] = None
    return list(told)


def tell_held_out(row: dict[str, Any]) -> str:
    """What became of the risk on subjects that the study of a training held out, in words.

    Parameters
    ----------
    row
        ``training`` and ``postprocess_params``.
    """
    from . import analysis

    used = analysis.EvaluationInput * prediction.PredictionTask & {"training": row["training"]}
    named = [{"evaluation": name} for name in set(used.to_arrays("evaluation"))]
    scored = analysis.Evaluation.Score * analysis.EvaluationTask.proj("eval_fold") & (
        named or "0=1"
    )
    scored = scored & {"level": "post-processed"} & ["metric = 'risk'", "metric = 'coverage'"]
    found: dict[str, dict[str, Any]] = {}
    for one in scored.to_dicts(order_by="evaluation, score"):
        if (one["detail"] or "").startswith("asked ") and "value" in one:
            if one["metric"] not in found or one["eval_fold"] is None:
                found[one["metric"]] = one
    if set(found) != {"risk", "coverage"} or found["coverage"]["value"] is None:
        return "not measured on held-out subjects"
    risk, coverage = found["risk"], found["coverage"]
    asked = {one["postprocess_params"] for one in used.to_dicts()}
    also = "" if row["postprocess_params"] in asked else ", without asking there for new regions"
    if risk["value"] is None:
        return f"on {coverage['n_groups']} held-out subjects nothing is answered{also}"
    return (
        f"on {coverage['n_groups']} held-out subjects {_share(coverage)} of {coverage['n']:,} "
        f"labelled channels are answered and {_share(risk)} of these answers wrong{also}"
    )


def _share(row: dict[str, Any]) -> str:
    if row["low"] is None:
        return f"{row['value']:.1%} ({row['score_reason']})"
    return f"{row['value']:.1%} (95 % {row['low']:.1%} to {row['high']:.1%})"
