"""Parameters as frozen, validated values with one canonical text and one digest."""

import hashlib
import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict


def canonical_json(value: Any) -> str:
    """The one text of a JSON value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """sha256 (64 hex digits) of the canonical text of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


P = TypeVar("P", bound="Params")
"""A parameter class; ``Self`` would stop beartype, which checks the tests."""


class Params(BaseModel):
    """Base of every parameter set: frozen, unknown names refused, comparable by digest.

    Tuples become lists in JSON and come back as tuples, so a round trip through either
    database server gives an equal object.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, every field present."""
        return self.model_dump(mode="json")

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON of all fields (64 hex digits)."""
        return digest(self.to_json())

    @classmethod
    def from_json(cls: type[P], value: dict[str, Any]) -> P:
        """The parameters a stored row holds; fields added since take their default."""
        return cls.model_validate(value)
