"""Questions to servers while one command runs: none is put twice, and a person waits briefly."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .found import Found

HURRY_S = 5.0
"""How long a server is asked where a person waits for a plan (s)."""


@dataclass
class Asked:
    """What servers answered.

    Attributes
    ----------
    found
        Files by the name that stands for them.
    away
        Addresses of servers that did not answer.
    """

    found: dict[str, list[Found]] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)


@contextmanager
def hurried() -> Iterator[None]:
    """Ask servers no longer than `HURRY_S`, unless ``$FIELDBASE_PATIENCE`` says how long."""
    told = os.environ.get("FIELDBASE_PATIENCE")
    os.environ["FIELDBASE_PATIENCE"] = told or str(HURRY_S)
    try:
        yield
    finally:
        if told is None:
            os.environ.pop("FIELDBASE_PATIENCE", None)
