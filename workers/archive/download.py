"""Copies of remote files on this machine: resumed, side by side, checked before they count."""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from pipeline.nwb import ContentChanged, ReadError, TransientReadError
from pipeline.nwb.http import attempts, get, mark_of, net_errors
from schemas import session
from schemas._home import home_folder
from schemas._roots import add_root, data_roots
from schemas._sources import WEB, asset_url, place_of_copy

from .found import SourceError

AT_ONCE = 4
MARGIN = 1 << 28  # left free on the disk (bytes)
OTHER_PART = "the server sent another part than was asked for"
BLOCK = 1 << 16  # what a broken connection costs at most


def keep_copies(
    keys: list[str], *, to: Path | None, on_file: Callable[[str], None] = lambda path: None
) -> dict[str, str]:
    """`fetch_copies` of registered files, by key."""
    rows = (session.NwbFile & [{"nwb_file": key} for key in keys]).to_dicts(order_by="path")
    return fetch_copies(rows, to=to, on_file=on_file)


def tell_unchecked(keys: list[str]) -> dict[str, str]:
    """What is to be said of copies that nothing but a length speaks for, by path."""
    rows = (session.NwbFile & [{"nwb_file": key} for key in keys]).to_dicts()
    told = {}
    for row in rows:
        place = place_of_copy(row)
        if place is None or not place.is_file() or (row["asset"] and row["etag"]):
            continue
        giver = "the archive" if row["asset"] else "the server"
        length = "its length alone was" if row["bytes"] is not None else "nothing was"
        told[row["path"]] = f"{giver} gives no checksum for the copy: {length} compared"
    return told


def fetch_copies(
    files: list[dict[str, Any]], *, to: Path | None, on_file: Callable[[str], None]
) -> dict[str, str]:
    """Download what this machine has no copy of; what failed, by key, in a sentence.

    Parameters
    ----------
    files
        NwbFile rows; those of files on this machine are left alone.
    to
        Folder for the copies, remembered as the data root of these files; None takes the one that
        is remembered, else one in the home folder.
    on_file
        Called with the path of each file before its download begins.

    Raises
    ------
    SourceError
        As `missing_copies`; nothing is fetched then.
    """
    missing = missing_copies(files, to=to)
    failed: dict[str, str] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="download") as pool:
        jobs = {}
        for row in missing:
            jobs[pool.submit(_fetch_one, row, on_file)] = row
        for job in as_completed(jobs):
            error = job.exception()
            if isinstance(error, ReadError | OSError):
                failed[jobs[job]["nwb_file"]] = f"not downloaded: {error}"
            elif error is not None:
                raise error
    return failed


def missing_copies(files: list[dict[str, Any]], *, to: Path | None) -> list[dict[str, Any]]:
    """Those of some files, parameters as in `fetch_copies`, that have no copy here yet.

    Raises
    ------
    SourceError
        If copies of their kind lie in another folder, or the disk has no room for all of them.
    """
    remote = [row for row in files if row["asset"] is not None or row["root"] is None]
    for name in {row["root"] or WEB for row in remote}:
        prepare_root(name, to)
    missing = [row for row in remote if not place_of_copy(row).exists()]
    _check_room(missing)
    return missing


def prepare_root(name: str, to: Path | None) -> Path:
    """The folder of a data root of copies, made and remembered if it is new."""
    known = data_roots().get(name)
    folder = (to or known or home_folder() / "recordings" / name).expanduser()
    if known is not None and known.resolve() != folder.resolve():
        raise SourceError(
            f"copies of {name!r} lie in {known} on this machine, not in {folder}: leave --to "
            "out, or move them and change roots.toml in the home folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SourceError(
            f"copies cannot lie in {folder} ({error.strerror}); name another folder with --to"
        ) from error
    if known is None:
        add_root(name, folder)
    return folder


def bytes_missing(files: list[dict[str, Any]]) -> int:
    """What is still to be fetched of these files (bytes), as far as their length is known."""
    total = 0
    for row in files:
        partial = _partial(row)
        total += max(0, (row["bytes"] or 0) - (partial.stat().st_size if partial.exists() else 0))
    return total


def _check_room(missing: list[dict[str, Any]]) -> None:
    by_disk: dict[int, tuple[Path, list]] = {}
    for row in missing:
        folder = data_roots()[row["root"] or WEB]
        by_disk.setdefault(folder.stat().st_dev, (folder, []))[1].append(row)
    for folder, rows in by_disk.values():
        needed, free = bytes_missing(rows), shutil.disk_usage(folder).free
        if needed and needed + MARGIN > free:
            raise SourceError(
                f"{len(rows)} files need {needed / 1e9:,.1f} GB in {folder}, where "
                f"{free / 1e9:,.1f} GB are free; nothing was fetched. Give fewer files, --to "
                "another disk, or --stream"
            )


def _partial(row: dict[str, Any]) -> Path:
    """Where an unfinished copy lies; another content never continues it."""
    place = place_of_copy(row)
    mark = hashlib.sha256(f"{row['etag']}{row['bytes']}".encode()).hexdigest()[:8]
    return place.with_name(f"{place.name}.{mark}.partial")


def _fetch_one(row: dict[str, Any], on_file: Callable[[str], None]) -> None:
    from fasteners import InterProcessLock

    place, partial = place_of_copy(row), _partial(row)
    place.parent.mkdir(parents=True, exist_ok=True)
    with InterProcessLock(partial.with_suffix(".lock")):
        if place.exists():  # another process was faster
            return
        on_file(row["path"])
        _fill(row, partial)
        if not is_intact(row, partial):
            partial.unlink()
            _fill(row, partial)  # once more from the beginning
            if not is_intact(row, partial):
                partial.unlink()
                raise ReadError(
                    "checksum",
                    f"{row['path']} came twice with another checksum than {row['etag']}",
                    "report it to the archive, or try another network",
                )
        os.chmod(partial, 0o444)  # what is written over is no longer what was registered
        os.replace(partial, place)
        partial.with_suffix(".lock").unlink(missing_ok=True)


def _fill(row: dict[str, Any], partial: Path) -> None:
    """Fetch until the length is right, going on where the last attempt stopped."""
    url = row["path"] if row["asset"] is None else asset_url(row)
    patience, resumes = attempts(), True
    while True:
        last = next(patience)
        before = partial.stat().st_size if resumes and partial.exists() else 0
        if row["bytes"] is not None and before == row["bytes"]:
            return
        reason = _append(url, row, partial, before)
        if reason is None:
            return
        size = partial.stat().st_size
        if reason == OTHER_PART:
            resumes = False  # what such a server sends can be trusted from the beginning only
        if size > before and resumes:
            patience = attempts()
            time.sleep(0.1)
        elif last:
            there = "" if row["bytes"] is None else f" of {row['bytes']:,}"
            raise TransientReadError(
                "network",
                f"{url}: {size:,}{there} bytes came ({reason})",
                "ask again: it goes on from there",
            )


def _append(url: str, row: dict[str, Any], partial: Path, before: int) -> str | None:
    """Fetch the rest of a file; why it ended early, None if it is whole."""
    headers = {}
    if before and row["asset"] is None and row["etag"] and ":" not in row["etag"]:
        headers["If-Range"] = f'"{row["etag"]}"'
    with get(url, f"bytes={before}-" if before else None, **headers) as answer:
        if answer.status_code == 206 and not _goes_on(answer, before, row["bytes"]):
            partial.open("wb").close()
            return OTHER_PART
        start = before if answer.status_code == 206 else 0
        length = answer.headers.get("Content-Length")
        whole = start + int(length) if length else None
        _refuse_other(url, row, whole, mark_of(answer))
        with partial.open("r+b" if before else "wb") as handle:
            handle.truncate(start)
            handle.seek(start)
            try:
                for block in answer.iter_content(BLOCK):
                    handle.write(block)
            except net_errors() as error:
                return f"the connection broke, {type(error).__name__}"
            finally:
                handle.flush()
                os.fsync(handle.fileno())
            size = handle.tell()
    expected = row["bytes"] if row["bytes"] is not None else whole
    return None if expected in (None, size) else "the server ended there"


def _goes_on(answer: Any, before: int, n_bytes: int | None) -> bool:
    """Whether a partial answer begins where the copy ends, in a file of the announced length."""
    told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    if told is None or int(told[1]) != before:
        return False
    return told[2] == "*" or n_bytes is None or int(told[2]) == n_bytes


def _refuse_other(url: str, row: dict[str, Any], whole: int | None, mark: str | None) -> None:
    """Raise ContentChanged before anything of another file is written."""
    if None not in (whole, row["bytes"]) and whole != row["bytes"]:
        told = f"{whole:,} bytes long; {row['bytes']:,} were announced"
    elif row["asset"] is None and None not in (mark, row["etag"]) and mark != row["etag"]:
        told = "not what was registered (another ETag)"
    else:
        return
    raise ContentChanged("changed", f"{url} is {told}", "ingest it again with --revise")


def is_intact(row: dict[str, Any], partial: Path) -> bool:
    """Whether a copy has the checksum the archive gives; true where there is none."""
    if row["asset"] is None or row["etag"] is None:
        return True
    from dandischema.digests.dandietag import DandiETag

    return DandiETag.from_file(partial).as_str() == row["etag"]
