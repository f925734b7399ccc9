"""A trained model by folder or hub id, as ``from_pretrained`` would load it."""

import os
from pathlib import Path

from .protocol import FoundationModel

WEIGHTS_VARIABLE = "FIELDBASE_WEIGHTS"
"""Environment variable with a folder that is searched before the hub is asked."""
NEEDED = ("meta.json", "model.safetensors")
PATTERNS = [*NEEDED, "card.json", "README.md"]
"""What is fetched from the hub: numbers and text, nothing that could run."""


def load_model(
    source: str | Path, *, revision: str | None = None, device: str = "cpu"
) -> FoundationModel:
    """The model that ``fieldbase export model`` wrote, in evaluation mode; no database is needed.

    Parameters
    ----------
    source
        Folder, or hub id (``name/model``) of a repository that holds what is in such a folder. A
        folder of that name, here or under ``FIELDBASE_WEIGHTS``, goes before the hub.
    revision
        Tag or commit on the hub; None takes main.

    Raises
    ------
    FileNotFoundError
        If there is no such folder and the hub cannot be read, or no model in it; says what to do.
    ValueError
        If the weights are pickled, or not those that the folder's digest names.
    """
    from ..training.checkpoint import load_checkpoint

    return load_checkpoint(_folder(str(source), revision), device)


def _folder(source: str, revision: str | None) -> Path:
    root = os.environ.get(WEIGHTS_VARIABLE)
    places = [Path(source).expanduser(), *([Path(root) / source] if root else [])]
    there = next((place for place in places if place.is_dir()), None)
    return there or _download(source, revision)


def _download(source: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(source, revision=revision, allow_patterns=PATTERNS))
    except Exception as error:
        raise FileNotFoundError(
            f"{source!r} is no local folder and the hub could not be read "
            f"({type(error).__name__}). Without network: download the repository elsewhere, then "
            f"name that folder, or set {WEIGHTS_VARIABLE} to a folder that holds {source}"
        ) from error
    lacking = [name for name in NEEDED if not (folder / name).is_file()]
    if lacking:
        raise FileNotFoundError(
            f"{source!r} on the hub has no {' and no '.join(lacking)}: it is no model of ours. "
            "Upload the whole folder that `fieldbase export model` writes"
        )
    return folder
