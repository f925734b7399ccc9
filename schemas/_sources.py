"""Where this machine reads a registered file, and whether it is still what was registered.

A file of the DANDI archive or behind a URL is read from this machine's copy where there is one,
else over the network; its row is the same either way.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from pipeline.nwb import ContentChanged, ReadError
from pipeline.nwb.http import PUBLIC_ARCHIVE, archive_api, ask_about

from . import _roots
from ._names import safe_name

WEB = "web"
"""Data root of the copies of plain URLs."""
SAMPLE_BYTES = 1 << 20
WHOLE_BYTES = 1 << 28
"""Files up to this size (bytes) are marked by all they hold; it takes under a second."""
_WHOLE, _SAMPLED = "sha256:", "sample-sha256:"
COLUMNS = (
    "root", "path", "file_kind", "mapping", "bytes", "etag", "asset", "dandi_version", "revision",
)  # fmt: skip
"""What of an NwbFile row says where it is and what it should be."""


def source_of(file: dict[str, Any]) -> str:
    """Path or URL at which this machine reads a file, given its NwbFile row.

    Raises
    ------
    FileNotFoundError
        If this machine does not know the root, or the file is not there.
    ContentChanged
        If size or mark is not as registered.
    ReadError
        If the file is no longer on its server, or lies in an archive that is not known here.
    """
    copy = place_of_copy(file)
    if copy is not None and copy.is_file():
        _check(file, str(copy), copy.stat().st_size, None)
        return str(copy)
    if file["asset"] is not None:
        url = asset_url(file)
        _check(file, url, ask_about(url).bytes, None)
        return url
    if file["root"] is None:
        if file["bytes"] is not None or file["etag"] is not None:
            served = ask_about(file["path"])
            _check(file, file["path"], served.bytes, served.etag)
        return file["path"]
    path = Path(_roots.resolve(file["root"], file["path"]))
    size, marked = path.stat().st_size, (file["etag"] or "").startswith((_WHOLE, _SAMPLED))
    compared = marked and file["bytes"] in (None, size)
    _check(file, str(path), size, content_mark(path, like=file["etag"]) if compared else None)
    return str(path)


def content_mark(path: Path, *, like: str | None = None) -> str:
    """A mark of a file's content, whose prefix tells its kind.

    ``sha256:`` is that of all bytes; ``sample-sha256:``, of files larger than 256 MB, that of the
    size and the first, middle and last megabyte.

    Parameters
    ----------
    like
        A mark to compare with: the new one is of its kind. None takes the kind the size asks for.
    """
    size = path.stat().st_size
    if is_sampled(like) if like else size > WHOLE_BYTES:
        return _sample(path, size)
    with path.open("rb") as handle:
        return f"{_WHOLE}{hashlib.file_digest(handle, 'sha256').hexdigest()}"


def is_sampled(mark: str | None) -> bool:
    """Whether a mark speaks for samples of a file, not for all of it."""
    return (mark or "").startswith(_SAMPLED)


def _sample(path: Path, size: int) -> str:
    total = hashlib.sha256(str(size).encode())
    with path.open("rb") as handle:
        for start in sorted({0, max(0, (size - SAMPLE_BYTES) // 2), max(0, size - SAMPLE_BYTES)}):
            handle.seek(start)
            total.update(handle.read(SAMPLE_BYTES))
    return f"{_SAMPLED}{total.hexdigest()}"


def archive_root() -> str:
    """Name of the data root that stands for the archive in use."""
    api = archive_api()
    host = urlsplit(api).netloc.rpartition("@")[2]
    return "dandi" if api == PUBLIC_ARCHIVE else safe_name(f"dandi-{host}")


def asset_url(file: dict[str, Any]) -> str:
    """Where the archive hands out an asset.

    Raises
    ------
    ReadError
        If the asset lies in an archive other than the one in use.
    """
    if file["root"] != archive_root():
        raise ReadError(
            "open",
            f"{file['path']} lies in the archive {file['root']!r}; this machine asks "
            f"{archive_api()} ({archive_root()!r})",
            "set DANDI_API_URL to its API, or bring a copy: fieldbase init --root "
            f"{file['root']}=FOLDER",
        )
    return f"{archive_api()}/assets/{file['asset']}/download/"


def place_of_copy(file: dict[str, Any]) -> Path | None:
    """Where this machine's copy of a remote file is or would be; None for any other file.

    A published version keeps its folder as the archive shows it; drafts and later revisions,
    which have no name of their own there, are kept apart.
    """
    if file["asset"] is None and file["root"] is not None:
        return None
    folder = _roots.data_roots().get(file["root"] or WEB)
    if folder is None:
        return None
    if file["asset"] is not None:
        dandiset, _, path = file["path"].partition("/")
        version = file["dandi_version"]
        shown = f"draft-{file['asset'][:8]}" if version == "draft" else version
        return folder / _inside(f"{dandiset}/{shown}/{path}")
    parts = urlsplit(file["path"])
    name = _inside(f"{parts.netloc.replace(':', '-')}/{parts.path.lstrip('/') or 'file'}")
    if parts.query:
        mark = hashlib.sha256(parts.query.encode()).hexdigest()[:8]
        name = name.with_name(f"{name.stem}~{mark}{name.suffix}")
    return folder / (f"revision-{file['revision']}" if file["revision"] else "") / name


def _inside(path: str) -> PurePosixPath:
    """A relative path that cannot lead out of its folder, whatever the server calls a file."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return PurePosixPath(
        *[quote(part, safe=" ~+@=,%()") if part != ".." else "%2e" for part in parts]
    )


def _check(file: dict[str, Any], name: str, size: int | None, mark: str | None) -> None:
    if file["bytes"] is not None and size is not None and size != file["bytes"]:
        told = f"{size:,} bytes, {file['bytes']:,} when it was registered"
    elif file["etag"] is not None and mark is not None and mark != file["etag"]:
        told = f"other content than when it was registered ({mark[:24]}…, {file['etag'][:24]}…)"
    else:
        return
    raise ContentChanged(
        "changed",
        f"{name} has {told}",
        "`fieldbase ingest --revise` registers it beside the old, or bring the old file back",
    )
