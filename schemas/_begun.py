"""What a training began with: weights or vectors made elsewhere, chance, or nothing at all."""

from typing import Any

from . import dataset, session, training, windows

NOT_STATED = "not stated"
RANDOM = "random weights"
FITTED_HERE = "nothing: a logistic regression on fixed features, fitted here"


def what_it_began_with(trained: str) -> dict[str, Any]:
    """Origin and licence of what a training did not make itself.

    Returns
    -------
    dict
        ``origin`` in words, ``licence`` (None where nothing was made elsewhere), and ``vectors``:
        of each file of vectors that its fold reads ``file, etag, model, licence, origin``.
    """
    from pipeline.models import MODELS
    from pipeline.models.parameters import LinearParams

    task = training.TrainingTask * training.ModelParamSet & {"training": trained}
    family = MODELS[task.fetch1("family")]
    if "features" in family.needs:
        vectors = vectors_of(trained)
        return {
            "origin": "; ".join(dict.fromkeys(tell_vectors(one) for one in vectors)),
            "licence": "; ".join(dict.fromkeys(one["licence"] or NOT_STATED for one in vectors)),
            "vectors": vectors,
        }
    weights = weights_of((training.Training & {"training": trained}).fetch1("weights_origin"))
    if "origin" in weights:
        licence = weights.get("licence") or NOT_STATED
        return {"origin": weights["origin"], "licence": licence, "vectors": []}
    own = FITTED_HERE if issubclass(family.params, LinearParams) else RANDOM
    return {"origin": own, "licence": None, "vectors": []}


def weights_of(origin: dict[str, Any] | None) -> dict[str, Any]:
    """Where the first weights of a line of trainings came from; empty for random ones."""
    origin = origin or {}
    while "origin" not in origin and origin.get("parent_provenance"):
        origin = origin["parent_provenance"]
    return origin


def vectors_of(trained: str) -> list[dict[str, Any]]:
    """Files of vectors that a training's fold reads, with what was said of them at ingest."""
    fold = dataset.SplitAssignment & (training.TrainingTask & {"training": trained}).proj(
        "split", "fold"
    )
    read = windows.WindowsFeatures & fold.proj("windows")
    files = (session.NwbFile & read.proj("nwb_file")).to_dicts(order_by="path, revision")
    return [
        {"file": row["path"], "etag": row["etag"]}
        | {name: (row["mapping"] or {}).get(name) for name in ("model", "licence", "origin")}
        for row in files
    ]


def tell_vectors(vectors: dict[str, Any]) -> str:
    """One file of vectors in words."""
    model, origin = (vectors[name] or NOT_STATED for name in ("model", "origin"))
    return f"vectors made elsewhere, model: {model}, origin: {origin}"
