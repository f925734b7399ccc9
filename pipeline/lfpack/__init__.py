"""Recordings that lfpack compressed: many in one HDF5 file, 250 Hz, with channels and clock.

Headers are read without lfpack and without decoding; samples are decoded by lfpack itself.
Source: https://github.com/int-brain-lab/lfpack (MIT), formats 1 and 2.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Insertion": "insertions",
    "Survey": "contents",
    "open_packed_lfp": "lfp",
    "read_insertions": "insertions",
    "read_packed_summary": "header",
    "survey_pack": "contents",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
