"""Ask a server for bytes: patiently, by ranges, and with one clear error if it will not."""

import os
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from .errors import ContentChanged, ReadError, TransientReadError

TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_DOWNLOAD = "download the file and ingest the local copy"
_LATER = "try again later"
_REVISE = "ingest it again with --revise"
PUBLIC_ARCHIVE = "https://api.dandiarchive.org/api"


@dataclass(frozen=True)
class Served:
    """What a server says of a file before it is read.

    Attributes
    ----------
    url
        Where redirects led to; signed links expire, so it is not for keeping.
    bytes
        Length, None where the server does not say.
    etag
        Its mark of the content, None where there is none.
    ranges
        Whether parts can be asked for.
    """

    url: str
    bytes: int | None
    etag: str | None
    ranges: bool


def patience_s() -> float:
    """How long a server that fails is asked again (s): ``$FIELDBASE_PATIENCE``, else 60."""
    return float(os.environ.get("FIELDBASE_PATIENCE", 60))


def ask_about(url: str) -> Served:
    """Length and mark of a file behind a URL; one byte of it is fetched.

    Raises
    ------
    ReadError
        If the file is not there or not for us; TransientReadError if the server fails.
    """
    with get(url, "bytes=0-0", accept=(416,)) as answer:
        whole = re.fullmatch(r"bytes [^/]+/(\d+)", answer.headers.get("Content-Range", ""))
        if answer.status_code in (206, 416) and whole:
            return Served(answer.url, int(whole[1]), mark_of(answer), True)
        length = answer.headers.get("Content-Length")
        size = int(length) if length and answer.status_code == 200 else None
        return Served(answer.url, size, mark_of(answer), size == 1)


def fetch_range(url: str, start: int, stop: int, *, of: Served | None = None) -> bytes:
    """Bytes ``start`` to ``stop`` of a file, asked for again while the server fails.

    Raises
    ------
    ContentChanged
        If length or mark is not what ``of`` says.
    ReadError
        If the range stops beyond the file's end, the file is gone or the server sends no ranges;
        TransientReadError if it kept failing.
    """
    if of is not None and of.bytes is not None and stop > of.bytes:
        raise ReadError(
            "read", f"{url} is {of.bytes:,} bytes long; bytes {start:,} to {stop:,} were asked for",
            "its index is damaged: tell who published it, or look for another copy",
        )  # fmt: skip
    for last in attempts():
        with get(url, f"bytes={start}-{stop - 1}") as answer:
            _check_same(answer, url, of)
            try:
                body = b"".join(answer.iter_content(1 << 20))
            except net_errors() as error:
                body, reason = b"", f"the connection broke ({_name(error)})"
            else:
                reason = f"{len(body)} bytes came of {stop - start} asked for"
        if len(body) == stop - start:
            return body
        if last:
            raise TransientReadError("network", f"{url}: {reason}", _LATER)
    raise AssertionError("attempts ends with a last one")


@contextmanager
def get(
    url: str, byte_range: str | None = None, *, accept: tuple[int, ...] = (), **headers: str
) -> Iterator[Any]:
    """The answer to a GET, its body not read yet; asked for again while the server fails.

    Parameters
    ----------
    accept
        Codes of 400 and more that are an answer, too.

    Raises
    ------
    ReadError
        If the file is gone or not for us; TransientReadError if the server kept failing.
    """
    asked = {"Accept-Encoding": "identity", **_credentials(url), **headers}
    if byte_range:
        asked["Range"] = byte_range
    for last in attempts():
        after = None
        try:
            answer = session().get(url, headers=asked, stream=True, timeout=_timeout())
        except net_errors() as error:
            reason = f"cannot be reached ({_name(error)})"
        except ValueError as error:
            raise ReadError("open", f"{url} is no URL ({error})", "check it") from error
        else:
            if answer.status_code not in TRY_AGAIN:
                with answer:
                    if answer.status_code not in accept:
                        _refuse(answer, url)
                    yield answer
                return
            reason, after = f"answered {answer.status_code}", answer.headers.get("Retry-After")
            answer.close()
        if last:
            raise TransientReadError("network", f"{url} {reason}", _LATER)
        if after and after.isdigit():
            time.sleep(min(int(after), patience_s()))


def attempts() -> Iterator[bool]:
    """Try after try with growing pauses until patience ends; whether it is the last one."""
    began, pause = time.monotonic(), 0.25
    while True:
        spent = time.monotonic() - began
        last = spent + pause > patience_s()
        yield last
        if last:
            return
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, 15.0)


_LOCAL = threading.local()


def session() -> Any:
    """One connection pool a thread."""
    if not hasattr(_LOCAL, "session"):
        import requests  # a third of a second that local files need not pay

        _LOCAL.session = requests.Session()
    return _LOCAL.session


def archive_api() -> str:
    """Where the DANDI archive is asked: ``$DANDI_API_URL``, else the public one."""
    return os.environ.get("DANDI_API_URL", PUBLIC_ARCHIVE).rstrip("/")


def _credentials(url: str) -> dict[str, str]:
    """The archive's token, for the archive alone."""
    token = os.environ.get("DANDI_API_KEY")
    ours = urlsplit(url)[:2] == urlsplit(archive_api())[:2]
    return {"Authorization": f"token {token}"} if token and ours else {}


def _timeout() -> float:
    return max(1.0, min(30.0, patience_s()))


@cache
def net_errors() -> tuple[type[Exception], ...]:
    """What `requests` raises where a connection breaks or none is made."""
    from requests.exceptions import ChunkedEncodingError, ConnectionError, Timeout
    from urllib3.exceptions import HTTPError

    return ConnectionError, Timeout, ChunkedEncodingError, HTTPError


def _name(error: Exception) -> str:
    return type(error).__name__


def _refuse(answer: Any, url: str) -> None:
    code = answer.status_code
    if code in (404, 410):
        raise ReadError("open", f"{url} is not there ({code})", "check the URL or the archive")
    if code in (401, 403):
        raise ReadError(
            "refused", f"{url} is not for us ({code})", "set DANDI_API_KEY, or ask who owns it"
        )
    if code == 416:
        raise ContentChanged("changed", f"{url} is shorter than it was", _REVISE)
    if code >= 400:
        raise ReadError("open", f"{url} answered {code}", _DOWNLOAD)


def mark_of(answer: Any) -> str | None:
    """An answer's mark of the whole file: its ETag, else when it was last modified."""
    etag = answer.headers.get("ETag")
    if etag:
        return etag.strip('"')[:128]
    modified = answer.headers.get("Last-Modified")
    return f"last-modified:{modified}"[:128] if modified else None


def _check_same(answer: Any, url: str, of: Served | None) -> None:
    if answer.status_code != 206:
        raise ReadError("open", f"the server of {url} answers no range requests", _DOWNLOAD)
    whole = answer.headers.get("Content-Range", "").rpartition("/")[2]
    mark = mark_of(answer)
    if of is None:
        return
    if (whole.isdigit() and int(whole) != of.bytes) or (of.etag and mark and mark != of.etag):
        raise ContentChanged("changed", f"{url} changed while it was read", _REVISE)
