"""What a value is called on its way from one server to another, and when two of them are equal.

A column's kind is the one its definition declares (``float64``, ``varchar(64), may be null``),
never what a server makes of it: MySQL has numbers for truth values, PostgreSQL pads ``char``, and
each writes JSON in a way of its own.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

DIGITS = 2**256
WHOLE = 2**63


@cache
def base_of(kind: str) -> str:
    """What a kind is without its default: ``varchar``, ``datetime``, ``json``, ``bytes``."""
    base = re.match(r"[a-z0-9<]+", kind.split(", ")[0])[0]
    if base.startswith("<"):
        return "json" if "@" in kind else "bytes"
    if base not in ARROW:
        raise TypeError(f"columns of the kind {kind!r} cannot be carried")
    return base


def is_reference(kind: str) -> bool:
    """Whether a column names an object in a store."""
    return kind.startswith("<") and "@" in kind


def arrow_of(kind: str) -> pa.DataType:
    """The type of a column in the exported file."""
    return ARROW[base_of(kind)]


def to_plain(kind: str, value: Any) -> Any:
    """A value as a server gave it, as the exported file holds it."""
    return None if value is None else PLAIN[base_of(kind)](value)


def to_server(kind: str, value: Any, backend: str) -> Any:
    """A value of an exported file as a statement's parameter."""
    if value is not None and base_of(kind) == "uuid" and backend == "mysql":
        return UUID(value).bytes
    return value


def why_not(kind: str, value: Any, backend: str) -> str | None:
    """Why a server cannot hold a value, or None if it can."""
    if isinstance(value, float) and backend == "mysql" and not math.isfinite(value):
        return f"MySQL has no {value}"
    if isinstance(value, str) and backend == "postgresql":
        if "\0" in value or (
            base_of(kind) == "json" and re.search(r"(?<!\\)(\\\\)*\\u0000", value)
        ):
            return "PostgreSQL has no text with a zero byte"
    return None


def row_digest(kinds: Sequence[str], row: Sequence[Any]) -> int:
    """A number (sha256) for a row of plain values, the same wherever the row is stored.

    Moments count to the digits the column declares, since MySQL keeps no more; in JSON the order of
    names does not count, nor whether a whole number is written 1 or 1.0.
    """
    told = json.dumps([comparable(kind, value) for kind, value in zip(kinds, row, strict=True)])
    return int.from_bytes(hashlib.sha256(told.encode()).digest(), "big")


def add_digests(total: int, digests: Iterable[int]) -> int:
    """The digest of a table so far: a sum, so that the order of its rows does not count."""
    return (total + sum(digests)) % DIGITS


def comparable(kind: str, value: Any) -> Any:
    """A plain value such that two are equal if they mean the same; 0.0 is -0.0."""
    if value is None:
        return None
    base = base_of(kind)
    if base == "json":
        return json.dumps(_numbers(json.loads(value)), sort_keys=True)
    if base == "datetime":
        return (value if value.microsecond == 0 else _to_precision(value, kind)).isoformat()
    if isinstance(value, float):
        return repr(value + 0.0)
    return value.hex() if isinstance(value, bytes) else value if base in BARE else str(value)


def _numbers(value: Any) -> Any:
    """The same JSON with whole numbers written as such; beyond 64 bits MySQL has doubles only."""
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= WHOLE:
        return int(float(value))
    return value


def _to_precision(moment: datetime, kind: str) -> datetime:
    """A moment with the digits its column declares, rounded as MySQL does."""
    declared = re.match(r"datetime\((\d)\)", kind)
    step = 10 ** (6 - int(declared[1] if declared else 0))
    rounded = (moment.microsecond + step // 2) // step * step
    return moment.replace(microsecond=0) + timedelta(microseconds=rounded)


def _json(value: Any) -> str:
    parsed = json.loads(value) if isinstance(value, str | bytes) else value
    return json.dumps(parsed, sort_keys=True, ensure_ascii=False)


def _uuid(value: Any) -> str:
    return str(UUID(bytes=bytes(value)) if isinstance(value, bytes | memoryview) else value)


def _decimal(value: Any) -> str:
    return format(Decimal(value).normalize(), "f")


BARE = {"bool", "int8", "int16", "int32", "int64"}
ARROW: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    **dict.fromkeys(("int8", "int16", "int32", "int64"), pa.int64()),
    **dict.fromkeys(("float32", "float64"), pa.float64()),
    **dict.fromkeys(("char", "varchar", "enum", "json", "uuid", "decimal"), pa.string()),
    "datetime": pa.timestamp("us"),
    "date": pa.date32(),
    "bytes": pa.binary(),
}
PLAIN: dict[str, Callable[[Any], Any]] = {
    "bool": bool,
    **dict.fromkeys(("int8", "int16", "int32", "int64"), int),
    "float32": lambda value: float(np.float32(value)),
    "float64": float,
    "char": lambda value: str(value).rstrip(" "),
    **dict.fromkeys(("varchar", "enum"), str),
    "json": _json,
    "uuid": _uuid,
    "decimal": _decimal,
    "datetime": lambda value: value,
    "date": lambda value: value,
    "bytes": bytes,
}
