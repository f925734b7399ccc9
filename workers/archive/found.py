"""A file that a source names, as it is now: what an NwbFile row would say of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.nwb import ReadError
from pipeline.nwb.http import ask_about
from pipeline.params import digest
from schemas import session
from schemas._roots import root_of
from schemas._sources import content_mark, place_of_copy

FEATURES = (".parquet", ".csv", ".npz")


class SourceError(ValueError):
    """Something that was to be ingested is not there, or is not what can be read."""


class ArchiveAway(SourceError):
    """The archive did not answer: nobody knows whether it has what was asked for."""


@dataclass(frozen=True)
class Found:
    """One file.

    Attributes
    ----------
    source
        How a person names it: path, URL, or ``dandi:000022/sub-1/...``.
    root, path, file_kind, bytes, etag, dandiset, dandi_version, asset
        As in NwbFile.
    note
        What is to be said of it, None if nothing.
    mapping
        As in NwbFile, of one recording in a file of many; else None.
    """

    source: str
    root: str | None
    path: str
    file_kind: str
    bytes: int | None
    etag: str | None
    dandiset: str | None = None
    dandi_version: str | None = None
    asset: str | None = None
    note: str | None = None
    mapping: dict[str, Any] | None = None

    @property
    def remote(self) -> bool:
        """Whether it is on another machine."""
        return self.asset is not None or self.root is None

    @property
    def content(self) -> dict[str, Any]:
        """The columns that change with the content."""
        names = ("bytes", "etag", "dandi_version", "asset")
        return {name: getattr(self, name) for name in names}

    def key(self, revision: int, mapping: dict[str, Any] | None) -> str:
        """The key of its NwbFile row; an asset has one however it is read."""
        if self.asset is not None:
            return digest({"dandiset": self.dandiset, "asset": self.asset, "revision": revision})
        mark: dict[str, Any] = {"root": self.root, "path": self.path, "revision": revision}
        if mapping is not None:
            mark["mapping"] = mapping
        return digest(mark)


def look_at_file(path: Path) -> Found:
    """A file on this machine; its folder becomes a data root if no root holds it."""
    root, place = root_of(path)
    size = path.stat().st_size
    copied = _copied_asset(root, place, path)
    if copied is not None:
        names = ("bytes", "etag", "dandiset", "dandi_version", "asset")
        known = {name: copied[name] for name in names} | {"bytes": size}
        return Found(str(path), root, copied["path"], "nwb", **known)
    mark = content_mark(path)
    return Found(str(path), root, place, kind_of(place), size, mark)


def _copied_asset(root: str, place: str, path: Path) -> dict[str, Any] | None:
    """The row of the asset that a file is this machine's copy of, if it is one."""
    if not root.startswith("dandi"):
        return None
    dandiset, _, inside = place.partition("/")
    kept = f"{dandiset}/{inside.partition('/')[2]}"
    rows = (session.NwbFile & {"root": root, "path": kept} & "asset is not null").to_dicts()
    return next((row for row in rows if place_of_copy(row) == path.expanduser().resolve()), None)


def look_at_url(url: str) -> Found:
    """A file behind a URL; where the server does not answer, length and mark stay unknown."""
    try:
        served = ask_about(url)
    except ReadError as error:
        return Found(url, None, url, kind_of(url), None, None, note=error.message)
    return Found(url, None, url, kind_of(url), served.bytes, served.etag)


def total_bytes(files: Iterable[Found]) -> tuple[int, int]:
    """Size of the files together, each once however many recordings it holds; of how many it is not
    known.
    """
    sizes = {(one.root, one.path, one.asset): one.bytes for one in files}
    known = [size for size in sizes.values() if size is not None]
    return sum(known), len(sizes) - len(known)


def told_path(path: str, mapping: dict[str, Any] | None, file_kind: str) -> str:
    """A file as people name it: of one that holds many recordings, with the one that is meant."""
    return f"{path}::{mapping['recording']}" if file_kind == "lfpack" else path


def kind_of(path: str) -> str:
    """Whether a path names a recording or a table of vectors."""
    return "features" if Path(path).suffix in FEATURES else "nwb"
