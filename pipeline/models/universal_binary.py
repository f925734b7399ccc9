"""Universal Binary JSON, as far as XGBoost writes it: plain values, no code."""

import struct
from typing import Any

import numpy as np

_INTEGERS = {b"i": "b", b"U": "B", b"I": ">h", b"l": ">i", b"L": ">q"}
_FLOATS = {b"d": ">f", b"D": ">d"}
_NUMBERS = {**_INTEGERS, **_FLOATS}
_CONSTANTS = {b"Z": None, b"T": True, b"F": False}
DEEPEST = 64


def read_ubj(data: bytes) -> Any:
    """The value that the bytes spell; typed lists become arrays.

    Raises
    ------
    ValueError
        If they end early, nest too deep or hold a type that is not known.
    """
    return _Reader(data).value(0)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n: int) -> bytes:
        if n < 0 or self.at + n > len(self.data):
            raise ValueError(f"Universal Binary JSON ends at byte {len(self.data)}, inside a value")
        self.at += n
        return self.data[self.at - n : self.at]

    def value(self, depth: int, mark: bytes | None = None) -> Any:
        mark = mark or self.take(1)
        if mark in _NUMBERS:
            return struct.unpack(_NUMBERS[mark], self.take(struct.calcsize(_NUMBERS[mark])))[0]
        if mark in _CONSTANTS:
            return _CONSTANTS[mark]
        if mark == b"S":
            return self.text()
        if mark == b"C":
            return self.take(1).decode("latin1")
        if mark not in (b"{", b"[") or depth == DEEPEST:
            raise ValueError(f"Universal Binary JSON has {mark!r} at byte {self.at - 1}")
        return self.table(depth + 1) if mark == b"{" else self.list(depth + 1)

    def text(self) -> str:
        return self.take(self.integer()).decode("utf-8", errors="replace")

    def integer(self) -> int:
        mark = self.take(1)
        if mark not in _INTEGERS:
            raise ValueError(f"Universal Binary JSON counts in {mark!r} at byte {self.at - 1}")
        return self.value(0, mark)

    def ended(self, end: bytes) -> bool:
        if self.data[self.at : self.at + 1] != end:
            return False
        self.at += 1
        return True

    def header(self) -> tuple[bytes | None, int | None]:
        """Type and number of the members, where they are given beforehand."""
        kind = self.take(1) if self.ended(b"$") else None
        return kind, self.integer() if self.ended(b"#") else None

    def list(self, depth: int) -> Any:
        kind, count = self.header()
        if kind in _NUMBERS and count is not None:
            dtype = np.dtype(_NUMBERS[kind])
            return np.frombuffer(self.take(count * dtype.itemsize), dtype)
        if count is not None:
            if count > len(self.data):
                raise ValueError(f"Universal Binary JSON announces {count} members of a list")
            return [self.value(depth, kind) for _ in range(count)]
        found = []
        while not self.ended(b"]"):
            found.append(self.value(depth))
        return found

    def table(self, depth: int) -> dict[str, Any]:
        kind, count = self.header()
        found: dict[str, Any] = {}
        while (len(found) < count) if count is not None else not self.ended(b"}"):
            key = self.text()
            found[key] = self.value(depth, kind)
        return found
