"""Parameters as frozen, validated values with one canonical text and one digest."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, model_serializer


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
    database server gives an equal object. A field that a later version adds is named in
    ``later``: at its default it is left out of the JSON, so that stored digests keep their meaning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_later(self, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        values = handler(self)
        for name in self.later:
            field = type(self).model_fields[name]
            if getattr(self, name) == field.get_default(call_default_factory=True):
                values.pop(name, None)
        return values

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, every field present except those of ``later`` at their default."""
        return self.model_dump(mode="json")

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON of all fields (64 hex digits)."""
        return digest(self.to_json())

    @classmethod
    def from_json(cls: type[P], value: dict[str, Any]) -> P:
        """The parameters a stored row holds; fields added since take their default."""
        return cls.model_validate(value)
