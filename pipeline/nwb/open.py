"""Open an NWB file, on disk or behind a URL, as one and the same HDF5 object."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import h5py

from .errors import ReadError
from .inside import InsideFile
from .neuroconv import conversion_lines

BLOCK_BYTES = 1 << 20
BLOCKS_CACHED = 64  # at most 64 MB of an object in a bucket in memory
_FOUND_DAMAGED = re.compile(r"(Unable to|Can't|Unspecified error)\b")
"""How HDF5 begins what it says of a file; a KeyError or ValueError of ours says other things."""
_DOWNLOAD = "download the file and ingest the local copy"


@contextmanager
def open_nwb(source: str | PathLike[str]) -> Iterator[InsideFile]:
    """Open a local path or a URL for reading.

    A URL is read by range requests; some 64 MB of it are in memory at most. What a link or a
    dataset of the file would fetch from another file is not there.

    Raises
    ------
    ReadError
        If there is no such file, it is no HDF5, it is NWB 1.x, or the server sends no ranges;
        also while it is read, where HDF5 finds it damaged.
        TransientReadError if the server or the network failed, at any time until the file is
        closed: what was read by then is not whole.
    """
    with ExitStack() as stack:
        name = str(source)
        if name.startswith(("http://", "https://")):
            handle = stack.enter_context(_remote_file(name))
        elif "://" in name:
            handle = stack.enter_context(_open_url(name))
        else:
            handle = _existing_file(Path(name))
        try:
            file = stack.enter_context(InsideFile(handle, "r"))
        except (OSError, RuntimeError) as error:
            raise _not_hdf5(name, error) from error
        try:
            _refuse_nwb1(file, name)
            yield file
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            reason = " ".join(str(next(iter(error.args), "")).split())
            if not (_FOUND_DAMAGED.match(reason) or isinstance(error, UnicodeDecodeError)):
                raise
            raise ReadError(
                "read", f"{name} is damaged ({reason[:200]})", "fetch the file again"
            ) from error


def nwb_version(file: h5py.File) -> str | None:
    """The schema version in the root attributes, None where they are lost."""
    value = file.attrs.get("nwb_version")
    return value.decode() if isinstance(value, bytes) else None if value is None else str(value)


def _existing_file(path: Path) -> Path:
    if path.is_dir():
        raise ReadError(
            "open", f"{path} is a folder, not an NWB file", conversion_lines(path) or _as_nwb(path)
        )
    if not path.is_file():
        raise ReadError("open", f"no file at {path}", "check the path")
    return path


def _as_nwb(path: Path) -> str:
    if (path / ".zgroup").exists() or (path / "zarr.json").exists():
        return "Zarr is not read; export it to HDF5 with pynwb's NWBHDF5IO.export"
    return "name the .nwb files in it"


def _not_hdf5(name: str, error: Exception) -> ReadError:
    reason = " ".join(str(error).split())[:200]
    if "truncated" in reason:
        return ReadError("open", f"{name} is cut short ({reason})", "fetch the file again")
    if "Resource temporarily unavailable" in reason or "unable to lock" in reason:
        return ReadError(
            "open", f"{name} is being written by another program", "try again when it has finished"
        )
    return ReadError("open", f"{name} cannot be opened as HDF5 ({reason})", "check or refetch it")


def _refuse_nwb1(file: h5py.File, name: str) -> None:
    version = nwb_version(file)
    if version is None and isinstance(file.get("nwb_version"), h5py.Dataset):
        value = file["nwb_version"][()]
        version = value.decode() if isinstance(value, bytes) else str(value)
    if version is not None and version.removeprefix("NWB-").startswith(("0", "1")):
        raise ReadError(
            "open",
            f"{name} is NWB {version.removeprefix('NWB-')}; NWB 2 or later is read",
            "write it anew as NWB 2 with pynwb or neuroconv, or look for a 2.x copy on DANDI",
        )


@contextmanager
def _remote_file(url: str) -> Iterator[Any]:
    """A file object; its own error comes out even where a reader took it for an odd file."""
    from .remote import RemoteFile

    with RemoteFile(url) as handle:
        try:
            yield handle
        except Exception as error:
            if handle.failed is not None and handle.failed is not error:
                raise handle.failed from error
            raise
        if handle.failed is not None:
            raise handle.failed


@contextmanager
def _open_url(url: str) -> Iterator[Any]:
    import fsspec  # half a second that local files need not pay

    options = {"cache_type": "blockcache", "cache_options": {"maxblocks": BLOCKS_CACHED}}
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        handle = filesystem.open(path, "rb", block_size=BLOCK_BYTES, **options)
    except ImportError as error:
        kind = url.partition("://")[0]
        problem = f"{kind}:// needs a package that is missing ({error})"
        raise ReadError("open", problem, "pip install 'fieldbase[s3]'") from error
    except Exception as error:  # fsspec lets aiohttp's many errors through
        raise ReadError(
            "open", f"{url} cannot be fetched ({type(error).__name__}: {error})", _DOWNLOAD
        ) from error
    with handle:
        if not _sends_ranges(handle):
            raise ReadError("open", f"the server of {url} answers no range requests", _DOWNLOAD)
        yield handle


def _sends_ranges(handle: Any) -> bool:
    """Whether the last byte can be had without those before it."""
    if not handle.seekable() or getattr(handle, "size", None) is None:
        return False
    try:
        handle.seek(max(0, handle.size - 1))
        handle.read(1)
    except ValueError:  # how fsspec says that it got the whole file
        return False
    handle.seek(0)
    return True
