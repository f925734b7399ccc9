"""Names from files become keys: short, printable, and never two for one."""

import hashlib
import json
import re
from typing import Any

_UNSAFE = re.compile(r"[^A-Za-z0-9._+\-]+")
_REFUSED = re.compile(r"\\u(0000|d[89a-f])")  # as json.dumps writes NUL and surrogates


def safe_name(text: str, limit: int = 64) -> str:
    """A key of at most `limit` characters that stands for `text` and for nothing else.

    A short name of letters, digits and ``. _ + -`` is kept. Anything else becomes
    ``<prefix>~<hash8>``, the first eight digits of its sha256; callers keep the original in a
    column of its own.
    """
    if text and len(text) <= limit and not _UNSAFE.search(text):
        return text
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    prefix = _UNSAFE.sub("-", text).strip("-.")[: limit - 9]
    return f"{prefix}~{mark}"


def check_name(name: str, what: str) -> str:
    """The name a person chose for a row of `what`, as it is.

    Raises
    ------
    ValueError
        If it cannot be a key: DataJoint 2.3.5 does not find ``\\`` again on PostgreSQL, nor ``%``
        where it deletes in cascade.
    """
    if not re.fullmatch(r"[^\\%\x00-\x1f\x7f]{1,64}", name) or name != name.strip():
        raise ValueError(
            f"{name!r} is no name for a row of {what}: take 1 to 64 characters without backslash, "
            "percent sign, line break or space at either end"
        )
    return name


def storable(value: Any) -> Any:
    """JSON as both servers keep it: no NUL and no half of a character in any text."""
    return _mended(value) if _REFUSED.search(json.dumps(value)) else value


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\x00", "?")
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    return [_mended(item) for item in value] if isinstance(value, list | tuple) else value


def clip(text: str | None, limit: int) -> str | None:
    """Free text cut to its column, with an ellipsis where something was cut."""
    text = storable(text)
    if text is None or len(text) <= limit:
        return text
    return text[: limit - 1] + "…"
