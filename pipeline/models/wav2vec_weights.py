"""Public wav2vec 2.0 weights: from a local folder or the hub, with their origin written down."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from torch import nn

from .hub import WEIGHTS_VARIABLE

NOT_STATED = "not stated"


def load_audio(network: nn.Module, source: str, root: Path | None) -> dict[str, Any]:
    """Load weights into the network; returns origin, licence, sha256 and what was missing.

    Parameters
    ----------
    source
        Local folder with ``config.json`` and ``model.safetensors``, or a hub id.
    root
        Folder searched for ``<root>/<source>`` before the hub is asked.

    Raises
    ------
    FileNotFoundError
        If there is no such folder and the hub cannot be reached; says what to do.
    ValueError
        If the folder holds pickled weights only, or weights of another shape.
    """
    folder, origin = _local_folder(source, root), source
    if folder is None:
        folder = _download(source)
        origin = f"https://huggingface.co/{source}"
    path = folder / "model.safetensors"
    if not path.exists():
        raise ValueError(
            f"{folder} holds {sorted(p.name for p in folder.iterdir())} and no model.safetensors. "
            "Pickled weights are never loaded: save the model once more with "
            "save_pretrained(folder, safe_serialization=True) on a machine where you trust it"
        )
    _refuse_other_formats(path)
    loaded, report = type(network).from_pretrained(
        folder,
        config=network.config,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        ignore_mismatched_sizes=False,
    )
    network.load_state_dict(loaded.state_dict())
    return {
        "origin": origin,
        "licence": _licence(folder),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "missing": sorted(str(k) for k in report["missing_keys"]),
    }


def _refuse_other_formats(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt"):
            return
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no safetensors file ({error}). Pickled weights are never loaded: fetch it "
            "again, or save the model with safe_serialization=True where you trust it"
        ) from error


def _local_folder(source: str, root: Path | None) -> Path | None:
    roots = [root, os.environ.get(WEIGHTS_VARIABLE)]
    candidates = [Path(source).expanduser(), *(Path(r) / source for r in roots if r)]
    return next((c for c in candidates if (c / "config.json").exists()), None)


def _download(source: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                source, allow_patterns=["config.json", "model.safetensors", "README.md"]
            )
        )
    except Exception as error:
        raise FileNotFoundError(
            f"audio weights {source!r} are no local folder and the hub could not be read "
            f"({type(error).__name__}). Without network: download the repository elsewhere, then "
            f"set audio to that folder or {WEIGHTS_VARIABLE} to a folder that holds "
            f"{source}/config.json and {source}/model.safetensors"
        ) from error


def _licence(folder: Path) -> str:
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.exists() else ""
    found = re.match(r"---\n.*?^license:\s*(\S+)", text, re.DOTALL | re.MULTILINE)
    return found.group(1) if found else NOT_STATED
