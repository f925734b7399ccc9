"""A trained model over stored windows: what ``Embedding`` and ``Prediction`` do."""

import time
from typing import Any

import numpy as np

from pipeline.recording import WindowSet

from . import embedding, prediction, training
from ._digests import digest_arrays, digest_content
from ._doubt import Doubts, find_doubts, finite
from ._learned import learned_for
from ._load import load_windows
from ._names import clip
from ._roles import role_masks
from ._train import checkpoint_folder

BATCH = 64


def embed(
    task: dict[str, Any], *, device: str = "cpu", batch_size: int = BATCH, **_: Any
) -> dict[str, Any]:
    """The row of one Embedding."""
    from pipeline.training.inference import embed_windows

    windowset = load_windows(task["windows"])
    params = embedding.EmbedParamSet.get(task)
    started = time.monotonic()
    vectors, window, site = embed_windows(
        load_model(task["training"], device), windowset,
        batch_size=batch_size, device=device, params=params,
    )  # fmt: skip
    return {
        "vectors": vectors,
        "window_index": window,
        "site_index": site,
        "n_rows": len(vectors),
        "dim": vectors.shape[1],
        "embedding_digest": digest_content(vectors),
        "rows_digest": digest_arrays({"window_index": window, "site_index": site}),
        "embed_device": device,
        "embed_seconds": time.monotonic() - started,
    }


def predict(
    task: dict[str, Any], *, device: str = "cpu", batch_size: int = BATCH, **_: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of one Prediction and one row per channel.

    Of a recording whose other windows the model was trained on, only those that its fold holds
    out are asked about; of any other recording all.
    """
    from pipeline.models import MODELS
    from pipeline.training.inference import predict_windows

    recorded = load_windows(task["windows"])
    kept = held_out(task["training"], recorded)
    windowset = recorded.take(kept)
    trained = (training.Training & {"training": task["training"]}).fetch1()
    started = time.monotonic()
    model = load_model(task["training"], device)

    def ask(recorded: WindowSet):
        return predict_windows(model, recorded, batch_size=batch_size, device=device)

    found = ask(windowset)
    kind = MODELS[model.params.family].output
    doubts = find_doubts(windowset, trained, found.outputs if kind == "classes" else None)
    arrays = {
        "outputs": found.outputs,
        "window_index": np.flatnonzero(kept).astype(np.int32)[found.window],
        "site_index": found.channel,
    }
    row = {
        "output": kind,
        **arrays,
        "prediction_digest": digest_arrays(arrays),
        "output_classes": trained["classes"],
        "domain_check": doubts.to_json(),
        "predict_device": device,
        "predict_seconds": time.monotonic() - started,
    }
    if kind != "classes":
        return row, []
    params = prediction.PostprocessParamSet.get(task)
    row["learned"] = learned_for(task, params, trained["classes"], ask)
    learned = row["learned"]
    return row, channel_rows(found, trained["classes"], windowset, params, doubts, learned)


def held_out(name: str, windowset: WindowSet) -> np.ndarray:
    """Which windows (bool) the fold of a training tests; all where it tests none of them."""
    asked = (training.TrainingTask & {"training": name}).fetch1()
    tested = role_masks(asked["split"], asked["fold"], windowset).get("test")
    return np.ones(len(windowset), bool) if tested is None else tested


def load_model(name: str, device: str):
    """A finished training's model, ready to answer."""
    from pipeline.training.checkpoint import load_checkpoint

    return load_checkpoint(checkpoint_folder(name), device)


def channel_rows(
    found,
    classes,
    windowset: WindowSet,
    params,
    doubts: Doubts,
    learned: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """One answer per channel, with the reason where it is "unknown"."""
    from pipeline.analyses.learned import Learned
    from pipeline.analyses.novelty import refuse_new
    from pipeline.analyses.regions import channel_predictions

    answers = channel_predictions(
        found.outputs, found.window, found.channel, classes, windowset.channels, params,
        learned=None if learned is None else Learned.from_json(learned),
        domain_quantile=None if doubts.domain is None else doubts.domain.channel_quantile,
    )  # fmt: skip
    if doubts.novelty is not None:
        answers = refuse_new(answers, doubts.novelty, params.known_kept)
    named = [*classes, *(["unknown"] if "p_unknown" in answers else [])]
    rows = []
    for answer in answers.to_dict("records"):
        site = windowset.channels.iloc[int(answer["row"])]
        sure = answer["confidence"]
        rows.append(
            {
                "session": windowset.session,
                "probe": site["probe"],
                "channel": int(site["channel"]),
                "predicted": answer["region"],
                "best": answer["best"] or "unknown",
                "confidence": None if np.isnan(sure) else float(sure),
                "votes": int(answer["votes"]),
                "n_voting": int(answer["n_windows"]),
                "probabilities": {name: finite(answer[f"p_{name}"]) for name in named},
                "refused": clip(answer["reason"], 255),
            }
        )
    return rows
