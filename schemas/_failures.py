"""Why a job failed, and whether trying again can help."""

import errno
import os
import re
import socket
import ssl
import traceback
from dataclasses import dataclass
from typing import Any

from datajoint.errors import DataJointError, LostConnectionError

from pipeline.redact import redact

from ._lease import LeaseLost
from ._stores import is_store_full

RETRY_S = float(os.environ.get("FIELDBASE_RETRY", 5))
LONGEST_S = 600.0
TRIES = 6

MYSQL_PASSES = {
    0, 1040, 1053, 1152, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1317, 2003, 2006, 2013,
    2055, 3024, 3168, 4031,
}  # fmt: skip
"""Too many connections, shutdown, network, lock wait, deadlock, kill, lost connection, time-out."""
POSTGRES_PASSES = re.compile(r"^(08|40|53|55P03|57P|58)")
"""Connection, serialization and deadlock, resources, lock wait, shutdown, system."""
NETWORK = {
    errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT,
    errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.ESTALE,
}  # fmt: skip
NETWORK_MODULES = {"requests", "urllib3", "http", "aiohttp", "botocore", "fsspec"}
NETWORK_NAMES = re.compile(
    r"Time-?out|Connect|Disconnected|Payload|Incomplete|Protocol|Chunked|MaxRetry|HTTPClient"
)
HTTP_PASSES = {408, 425, 429, 500, 502, 503, 504}
S3_PASSES = {"SlowDown", "InternalError", "RequestTimeout", "ServiceUnavailable"}
CHANGED = "`make_fetch` data has changed"
"""What DataJoint says of a job whose input was replaced while it was computed."""


class Stopped(SystemExit):
    """This process was told to stop."""


@dataclass(frozen=True)
class Failure:
    """What a job failed of.

    Attributes
    ----------
    kind
        ``stopped``: the process was told to stop, nothing is wrong with the job. ``lost``: the
        job is another's now. ``full``: no room in a store. ``transient``: trying again may help.
        ``permanent``: it will not.
    stage
        Where in the reading of a file, else the name of the exception.
    """

    kind: str
    stage: str
    message: str
    way_out: str | None
    stack: tuple[str, ...]


def classify(error: BaseException) -> Failure:
    """Sort an exception of a job."""
    chain = list(_chain(error))
    kind = next((kind for kind in map(_kind, chain) if kind is not None), "permanent")
    if kind == "transient" and any(isinstance(e, ssl.SSLCertVerificationError) for e in chain):
        kind = "permanent"
    stack = "".join(traceback.format_exception(error)).splitlines()
    message = getattr(error, "message", None) or " ".join(str(error).split()) or "no message"
    return Failure(
        kind=kind,
        stage=getattr(error, "stage", None) or type(error).__name__,
        message=_storable(message),
        way_out=_storable(getattr(error, "way_out", None) or WAYS_OUT.get(kind)),
        stack=tuple(_storable(line) for line in stack[-40:]),
    )


def delay_s(attempt: int) -> float | None:
    """Time to wait after the try with this number (from 1) failed (s); None: give up."""
    return None if attempt >= TRIES else min(RETRY_S * 3 ** (attempt - 1), LONGEST_S)


WAYS_OUT = {
    "transient": "it is tried again by itself; `fieldbase retry` does so at once",
    "permanent": "mend what the message names (the file, or the parameters that asked for this), "
    "then `fieldbase retry`",
    "full": "make room (`fieldbase gc` lists what nothing refers to); the lane goes on by itself",
}


def _storable(text: str | None) -> str | None:
    """Text as both servers keep it, without passwords: messages quote whatever is in files."""
    return text and redact(text).encode("utf-8", "replace").decode().replace("\x00", "?")


def _kind(error: BaseException) -> str | None:
    if isinstance(error, Stopped | KeyboardInterrupt) or _is_populates(error):
        return "stopped"
    if isinstance(error, LeaseLost):
        return "lost"
    if is_store_full(error):
        return "full"
    return "transient" if _passes(error) else None


def _is_populates(error: BaseException) -> bool:
    """Whether it is what DataJoint's own handler of SIGTERM raises."""
    return isinstance(error, SystemExit) and "SIGTERM" in str(error)


def _passes(error: BaseException) -> bool:
    if getattr(error, "transient", False):
        return True
    if isinstance(error, LostConnectionError | ConnectionError | TimeoutError):
        return True
    if isinstance(error, socket.gaierror | ssl.SSLError):
        return True
    if isinstance(error, DataJointError) and CHANGED in str(error):
        return True
    if isinstance(error, OSError) and error.errno in NETWORK:
        return True
    module = type(error).__module__.partition(".")[0]
    if module == "pymysql":
        return bool(error.args) and error.args[0] in MYSQL_PASSES
    if module == "psycopg2":
        code = getattr(error, "pgcode", None)
        lost = type(error).__name__ in ("OperationalError", "InterfaceError", "DatabaseError")
        return bool(POSTGRES_PASSES.match(code)) if code else lost
    if module in NETWORK_MODULES and _http(error) is None:
        return bool(NETWORK_NAMES.search(_names(error)))
    return _http(error) in HTTP_PASSES or _s3_code(error) in S3_PASSES


def _http(error: BaseException) -> int | None:
    """Status of a failed HTTP request."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):  # botocore
        return answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    found = getattr(answer, "status_code", None) or getattr(error, "status", None)
    return found if isinstance(found, int) else None


def _s3_code(error: BaseException) -> str | None:
    answer: Any = getattr(error, "response", None)
    return answer.get("Error", {}).get("Code") if isinstance(answer, dict) else None


def _names(error: BaseException) -> str:
    return " ".join(kind.__name__ for kind in type(error).__mro__)


def _chain(error: BaseException):
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
