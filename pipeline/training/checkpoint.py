"""Checkpoints: a folder with ``model.safetensors`` and ``meta.json``. Never a pickle."""

import hashlib
import json
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..models import DataContext, FoundationModel, build, parse_params

WEIGHTS = "model.safetensors"
META = "meta.json"
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


def save_checkpoint(folder: Path, model: FoundationModel, meta: dict[str, Any]) -> dict[str, Any]:
    """Write weights and meta; an interrupted write leaves no readable checkpoint.

    Parameters
    ----------
    meta
        JSON-able facts to keep beside the weights (seed, fit parameters, split, …).

    Returns
    -------
    dict
        What ``meta.json`` holds; ``sha256`` is the digest of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / META).unlink(missing_ok=True)
    write_tensors(folder / WEIGHTS, weights_of(model))
    written = {
        "family": model.params.family,
        "params": model.params.to_json(),
        "context": model.context.to_json(),
        "provenance": model.provenance,
        "sha256": sha256_of(folder / WEIGHTS),
        "versions": {"fieldbase": _package_version("fieldbase"), "torch": torch.__version__},
        "meta": meta,
    }
    write_json(folder / META, written)
    return written


def load_checkpoint(folder: Path, device: str | torch.device = "cpu") -> FoundationModel:
    """The model of a checkpoint, in evaluation mode on the device.

    Raises
    ------
    FileNotFoundError
        If the folder holds no checkpoint of ours.
    ValueError
        If it holds pickled weights, or weights whose digest is not the one recorded.
    """
    meta = read_meta(folder)
    params = parse_params(meta["params"]).model_copy(update=_without_download(meta["params"]))
    model = build(params, DataContext.from_json(meta["context"]), seed=0)
    model.load_state_dict(load_verified(folder, meta))
    model.params = parse_params(meta["params"])
    model.provenance = meta["provenance"]
    return model.to(device).eval()


def read_meta(folder: Path) -> dict[str, Any]:
    """The facts beside the weights; same errors as ``load_checkpoint`` for a wrong folder."""
    if (folder / META).exists():
        return json.loads((folder / META).read_text())
    if folder.suffix in PICKLES or any(p.suffix in PICKLES for p in _files(folder)):
        raise ValueError(
            f"{folder} holds pickled weights, which can run any code and are never loaded; convert "
            "them to safetensors where you trust them"
        )
    raise FileNotFoundError(f"no checkpoint in {folder}: it needs {WEIGHTS} and {META}")


def initialise_from(model: FoundationModel, folder: Path) -> dict[str, Any]:
    """Copy the weights that a parent training shares with the model by name and shape.

    The model's provenance gets the parent's digest, its own provenance, and ``fresh``: the names
    that stay as built.

    Raises
    ------
    ValueError
        If the families differ or no weight is shared.
    """
    meta = read_meta(folder)
    if meta["family"] != model.params.family:
        raise ValueError(f"a {model.params.family} cannot start from a {meta['family']} ({folder})")
    theirs, own = load_verified(folder, meta), model.state_dict()
    same_classes = tuple(meta["context"]["classes"]) == model.context.classes
    shared = {
        name: value
        for name, value in theirs.items()
        if name in own
        and own[name].shape == value.shape
        and (same_classes or not name.startswith("head."))
    }
    if not shared:
        raise ValueError(f"no weight of {folder} fits this {model.params.family} in name and shape")
    model.load_state_dict(shared, strict=False)
    model.provenance = {
        "parent": meta["sha256"],
        "parent_provenance": meta["provenance"],
        "fresh": sorted(set(own) - set(shared)),
    }
    return model.provenance


def load_verified(folder: Path, meta: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The weights on the CPU, if their digest is the recorded one and they are safetensors."""
    found = sha256_of(folder / WEIGHTS)
    if found != meta["sha256"]:
        raise ValueError(
            f"weights in {folder} have sha256 {found[:12]}…, recorded is {meta['sha256'][:12]}…; "
            "the file was changed or damaged: restore it or train again"
        )
    try:
        return load_file(folder / WEIGHTS, device="cpu")
    except SafetensorError as error:
        raise ValueError(
            f"{folder / WEIGHTS} is no safetensors file ({error}); a pickle, which can run any "
            "code, is never loaded: save the weights as safetensors where you trust them"
        ) from error


def weights_of(model: FoundationModel) -> dict[str, torch.Tensor]:
    """Parameters and buffers as contiguous CPU tensors."""
    return {k: v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()}


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write a safetensors file so that the name never stands for half a file."""
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that the name never stands for half a file."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def sha256_of(path: Path) -> str:
    """sha256 of a file (64 hex digits)."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without_download(params: dict[str, Any]) -> dict[str, Any]:
    """Public weights are replaced by the checkpoint's at once: do not fetch them."""
    if "source" in params:
        return {"source": ""}
    return {"init": "random"} if params.get("init") == "audio" else {}


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _package_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
