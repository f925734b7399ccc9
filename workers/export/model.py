"""A trained model as a folder: weights, parameters, what it was made from, and how to load it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from schemas import training
from schemas._cache import open_folder
from schemas._model_card import describe_training
from schemas._registered import make_card
from schemas._train import request

from .card import HUB, to_markdown
from .study import ExportError, refuse_existing


def export_model(name: str, folder: Path, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """Write a model's weights (safetensors), its parameters, digest and card.

    ``pipeline.models.load_model(folder)`` loads it without a database. Of the family lfp2vec,
    ``transformers/`` is what ``Wav2Vec2Model.from_pretrained`` loads.

    Parameters
    ----------
    name
        A registered model, or a training: its digest or the beginning of it.

    Raises
    ------
    ExportError
        If there is no such model, several begin so, or the folder is there.
    ValueError
        If the stored weights are not those the row names.
    """
    folder = Path(folder)
    refuse_existing(folder)
    trained, card = find_training(name)
    row = (training.Training & {"training": trained}).fetch1()
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(open_folder(row["checkpoint"], trained), partial)
        model = _load(partial, row["weights_digest"])
        if model.params.family == "lfp2vec":
            _write_for_transformers(model, partial / HUB)
        about = {**_about(trained, row, card), "context": model.context.to_json()}
        (partial / "card.json").write_text(json.dumps(about, indent=1, default=str))
        (partial / "README.md").write_text(to_markdown(name, about, (partial / HUB).is_dir()))
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    say(f"training {trained[:12]}, {row['n_parameters']:,} parameters")
    return folder


def find_training(name: str) -> tuple[str, dict[str, Any] | None]:
    """The training that a name stands for, and its card."""
    for row in (training.RegisteredModel & {"registered_model": name}).to_dicts():
        return row["training"], row["card"]
    found = [one for one in training.Training().to_arrays("training") if one.startswith(name)]
    if len(found) == 1 and len(name) >= 6:
        return found[0], _card(found[0])
    known = sorted(training.RegisteredModel().to_arrays("registered_model"))
    raise ExportError(
        f"{len(found) or 'no'} finished training(s) begin with {name!r}, and no model has that "
        f"name; registered are {known}, and a training is named by six digits of its digest or more"
    )


def _card(trained: str) -> dict[str, Any] | None:
    try:
        return make_card(trained)
    except LookupError:  # it names no regions
        return None


def _load(folder: Path, digest: str):
    from pipeline.training.checkpoint import load_checkpoint, read_meta

    found = read_meta(folder)["sha256"]
    if found != digest:
        raise ValueError(
            f"the stored weights have sha256 {found[:12]}…, the row says {digest[:12]}…: "
            "`fieldbase verify --table Training` says more"
        )
    return load_checkpoint(folder)


def _write_for_transformers(model, folder: Path) -> None:
    """The network without our head, as transformers keeps it."""
    model.network.save_pretrained(folder)


def _about(trained: str, row: dict[str, Any], card: dict[str, Any] | None) -> dict[str, Any]:
    asked = request({"training": trained})
    return {
        "training": trained,
        "weights_digest": row["weights_digest"],
        "checkpoint_digest": row["checkpoint_digest"],
        "classes": row["classes"],
        "model": asked["model"],
        "fit": asked["fit"],
        "seed": asked["task"]["seed"],
        "split": {name: asked["task"][name] for name in ("split", "fold")},
        "windows_seen": asked["content"],
        "seen_digest": row["seen_digest"],
        "parents": {parent["parent_role"]: parent["parent"] for parent in asked["parents"]},
        "weights_origin": row["weights_origin"],
        "synthetic_training": bool(row["synthetic_training"]),
        "fit_version": row["fit_version"],
        "card": card,
        **describe_training(trained),
    }
