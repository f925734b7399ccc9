"""A model card per model of a study, from the tables."""

from typing import Any

import pandas as pd

from pipeline.analyses.report_data import ModelCard
from schemas import training
from schemas._model_card import describe_training

from .heard import shown_names
from .models import final_trainings
from .spec import Model, StudySpec

WEIGHTS = ("training", "weights_digest", "best_epoch", "fit_seconds", "n_parameters",
           "synthetic_training", "classes")  # fmt: skip

STAGES = {"none": "fitted once, no epochs"}


def model_cards(spec: StudySpec) -> list[ModelCard]:
    """A card for every model that is trained, in the study's order."""
    finals = final_trainings(spec)
    names = shown_names(spec)
    asked = [{"training": final["training"]} for final in finals]
    done = {} if not asked else {
        row["training"]: row for row in (training.Training & asked).proj(*WEIGHTS[1:]).to_dicts()
    }  # fmt: skip
    made = []
    for model in spec.model:
        mine = [f for f in finals if f["name"] == model.name and f["training"] in done]
        if mine:
            made.append(_card(model, names[model.name], mine, done))
    return made


def _card(
    model: Model, name: str, finals: list[dict[str, Any]], done: dict[str, dict[str, Any]]
) -> ModelCard:
    about = describe_training(finals[0]["training"])
    first = done[finals[0]["training"]]
    warnings = []
    if first["synthetic_training"]:
        warnings.append("Trained on simulated recordings: what it says of a brain means nothing.")
    if name != model.name:
        warnings.append("Transductive: self-supervision heard subjects that it is tested on.")
    facts = [
        ("family", model.family),
        ("parameters", f"{first['n_parameters']:,}"),
        (
            "stages",
            ", ".join(STAGES.get(stage.objective, stage.objective) for stage in model.stages),
        ),
        ("regions", ", ".join(first["classes"])),
        ("labels", about["labels"] or ""),
        ("split", about["split_by"]),
        ("began with", about["origin"]),
        ("licence", about["licence"] or "no weights or vectors made elsewhere"),
    ]
    roles = [
        {"role": role, "subjects": len(what["subjects"]), **what_counts(what)}
        for role, what in sorted(about["roles"].items())
    ]
    return ModelCard(
        name=name,
        fold=about["fold"],
        facts=facts,
        roles=pd.DataFrame(roles),
        scores=pd.DataFrame(about["scores"]),
        controls=pd.DataFrame(about["controls"]),
        trainings=pd.DataFrame([_row(final, done[final["training"]]) for final in finals]),
        warnings=warnings,
    )


def what_counts(role: dict[str, Any]) -> dict[str, int]:
    """Sessions and windows of a role."""
    return {name: role[name] for name in ("sessions", "windows")}


def _row(final: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    return {
        "fold": str(final["fold"]),
        "seed": final["seed"],
        "training": final["training"][:12],
        "weights": row["weights_digest"][:12],
        "best": row["best_epoch"],
        "seconds": row["fit_seconds"],
    }
