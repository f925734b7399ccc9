"""A published region decoder of the International Brain Laboratory, as a folder of plain files.

A release has ``ephysatlas_model.json`` (what it reads, what it answers, which files it is made of),
the files, and their digests in ``checksums.json``.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .hub import WEIGHTS_VARIABLE
from .wav2vec_weights import NOT_STATED, _licence

MANIFEST, DIGESTS = "ephysatlas_model.json", "checksums.json"
PATTERNS = ["*.json", "*.ubj", "*.npz", "*.safetensors", "README.md"]
"""What is fetched from the hub: no pickles."""


@dataclass(frozen=True)
class Release:
    """One folder, checked.

    Attributes
    ----------
    features
        What the model reads, in its order.
    acronyms
        Its classes, in the order of its outputs.
    origin
        Address or folder.
    """

    folder: Path
    manifest: dict[str, Any]
    origin: str

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(str(f) for f in self.manifest["inputs"]["features"])

    @property
    def acronyms(self) -> tuple[str, ...]:
        return tuple(str(a) for a in self.manifest["config"]["class_acronyms"])

    def file(self, *names: str) -> Path:
        """The first of these files that there is; raises ``ValueError`` if there is none."""
        for name in names:
            if (self.folder / name).is_file():
                return self.folder / name
        raise ValueError(f"{self.folder} is incomplete: it has no {' or '.join(names)}")

    def facts(self) -> dict[str, Any]:
        """Where it comes from, for the row of a training and the model card."""
        text = (self.folder / MANIFEST).read_bytes()
        return {
            "origin": self.origin,
            "licence": _licence(self.folder),
            "sha256": hashlib.sha256(text).hexdigest(),
            "model": str(self.manifest.get("model_id", self.folder.name)),
            "vintage": str(self.manifest.get("vintage", NOT_STATED)),
        }


def open_release(source: str, revision: str | None, root: Path | None, method: str) -> Release:
    """A release by folder or hub id, its files compared with their digests.

    Parameters
    ----------
    root
        Folder searched for ``<root>/<source>`` before the hub is asked.
    method
        ``xgboost`` or ``transformer``: what the manifest has to say the model is.

    Raises
    ------
    FileNotFoundError
        If there is no such folder and the hub cannot be reached; says what to do.
    ValueError
        If the folder holds no release, one of another kind, or files that were changed.
    """
    roots = [root, os.environ.get(WEIGHTS_VARIABLE)]
    places = [Path(source).expanduser(), *(Path(r) / source for r in roots if r)]
    folder = next((p for p in places if p.is_dir()), None)
    origin = source
    if folder is None:
        folder, origin = _download(source, revision), f"https://huggingface.co/{source}"
        origin += f"/tree/{revision}" if revision else ""
    manifest = _read_json(folder / MANIFEST)
    _check_digests(folder)
    release = Release(folder, manifest, origin)
    try:
        features, acronyms = release.features, release.acronyms
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / MANIFEST} does not say {error}: it is no region decoder"
        ) from error
    said = str(manifest.get("method", manifest.get("model_class", ""))).lower()
    if method not in said:
        raise ValueError(f"{folder} is a release of {said or 'no method'}, not of {method}")
    _check_order(features, manifest["inputs"].get("feature_order_sha256"), folder)
    if len(set(acronyms)) != len(acronyms) or not acronyms:
        raise ValueError(f"{folder / MANIFEST} names the classes {list(acronyms)}")
    return release


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        inside = sorted(p.name for p in path.parent.iterdir())
        raise ValueError(f"{path.parent} is no release: it has no {path.name}, but {inside}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error}); fetch it again") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no table")
    return value


def _check_digests(folder: Path) -> None:
    """Every listed file that we would read is the one that was published."""
    if not (folder / DIGESTS).is_file():
        return
    listed = _read_json(folder / DIGESTS).get("files")
    wrong = []
    for entry in listed if isinstance(listed, list) else []:
        name, expected = str(entry.get("path")), entry.get("sha256")
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts:
            raise ValueError(f"{folder / DIGESTS} lists {name!r}, outside the folder")
        if not any(inside.match(pattern) for pattern in PATTERNS):
            continue  # a pickle or a table of examples: never read
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            wrong.append(f"{name} was changed")
    if wrong:
        raise ValueError(f"{folder} is not what was published: {'; '.join(wrong)}; fetch it again")


def _check_order(features: tuple[str, ...], expected: str | None, folder: Path) -> None:
    text = json.dumps(list(features), sort_keys=True, separators=(",", ":"))
    if expected not in (None, hashlib.sha256(text.encode()).hexdigest()):
        raise ValueError(f"{folder / MANIFEST}: the order of its features was changed")


def _download(source: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=PATTERNS))
    except Exception as error:
        raise FileNotFoundError(
            f"the decoder {source!r} is no local folder and the hub could not be read "
            f"({type(error).__name__}). Without network: download the repository elsewhere, then "
            f"set source to that folder or {WEIGHTS_VARIABLE} to a folder that holds {source}"
        ) from error
