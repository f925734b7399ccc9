"""A study's best model gets a name, so that `locate` finds it."""

from typing import Any

from schemas import analysis, dataset, training
from schemas._registered import register_model

from .study.models import final_trainings
from .study.spec import StudyError, StudySpec

CONTROLS = ("position_only", "amplitude_only", "external", "ibl_trees", "ibl_transformer")
"""Families that stand beside a model to be compared with; none of them is registered."""

METRIC = "balanced_accuracy"
LEVELS = ("channel", "window")


def register_study_model(study: str, name: str | None = None) -> dict[str, Any] | None:
    """Register the model of a study that does best on all held-out folds together.

    Of its trainings the one that saw most data is taken (then the first fold and seed): never
    the fold that happened to score best.

    Parameters
    ----------
    name
        What to call it; None takes ``register`` from the study, and does nothing without one.

    Returns
    -------
    dict
        The model's card, with ``registered``, ``study`` and ``score``; None if not asked for.

    Raises
    ------
    StudyError
        If the study is not there or has no finished model that reads LFP.
    ValueError
        If the name stands for another training.
    """
    rows = (dataset.Study & {"study": study}).to_dicts()
    if not rows:
        raise StudyError(f"no study {study!r} in the database; run it first")
    name = name or rows[0]["toml"]["study"].get("register")
    if name is None:
        return None
    spec = StudySpec.model_validate(rows[0]["toml"])
    candidates = _candidates(spec)
    if not candidates:
        raise StudyError(
            f"study {study!r} has no finished model that reads LFP and names regions: nothing to "
            f"register as {name!r}"
        )
    model, score = _best(spec, candidates)
    trained = _fullest(candidates[model])
    chosen = {"registered": name, "study": study, "study_model": model, "score": score}
    return register_model(name, trained["training"], chosen=chosen)


def _candidates(spec: StudySpec) -> dict[str, list[dict[str, Any]]]:
    """Finished last stages of each model that hears LFP and names regions."""
    from pipeline.models import MODELS

    families = {model.name: model.family for model in spec.model}
    found: dict[str, list[dict[str, Any]]] = {}
    for final in final_trainings(spec):
        family = families[final["name"]]
        if family in CONTROLS or MODELS[family].output != "classes":
            continue
        done = training.Training.proj("n_samples_train", "classes") & {
            "training": final["training"]
        }
        for row in done.to_dicts():
            if row["classes"]:
                rows = {**final, "n": row["n_samples_train"]}
                found.setdefault(final["name"], []).append(rows)
    return found


def _best(spec: StudySpec, candidates) -> tuple[str, dict[str, Any] | None]:
    """Name and pooled score of the best model; the first one if none was evaluated."""
    scores = {name: _score(spec.study.name, name) for name in candidates}
    known = {name: score for name, score in scores.items() if score is not None}
    if not known:
        return next(model.name for model in spec.model if model.name in candidates), None
    best = max(known, key=lambda name: known[name]["value"])
    return best, known[best]


def _score(study: str, model: str) -> dict[str, Any] | None:
    """Balanced accuracy over all folds, mean over seeds; of channels, else of windows."""
    members = dataset.StudyMember.proj(evaluation="member") & {
        "study": study, "member_table": "evaluation_task"
    }  # fmt: skip
    marks = [{"evaluation": row["evaluation"]} for row in members.to_dicts()]
    tasks = analysis.EvaluationTask & marks & {"eval_model": model[:64]} & "eval_fold is null"
    columns = ("value", "chance", "n", "n_groups", "low", "high")
    for level in LEVELS:
        rows = (
            analysis.Evaluation.Score & tasks.proj() & {"metric": METRIC, "level": level}
            & "value is not null"
        ).to_dicts()  # fmt: skip
        if marks and rows:
            one = {name: rows[0][name] for name in columns}
            value = sum(row["value"] for row in rows) / len(rows)
            return {"metric": METRIC, "level": level, **one, "value": value}
    return None


def _fullest(finals: list[dict[str, Any]]) -> dict[str, Any]:
    return min(finals, key=lambda final: (-final["n"], final["fold"], final["seed"]))
