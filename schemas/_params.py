"""Tables of named parameter sets: a name never changes its meaning."""

from collections.abc import Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any

import datajoint as dj

from pipeline.params import Params, canonical_json, digest

from ._guard import Guarded
from ._names import check_name


class ParamSet(Guarded, dj.Manual):
    """Base of the ``…ParamSet`` tables: name, digest, JSON and the columns people filter on.

    A subclass names its key column in `key`, its parameter class in `params_class` and the
    fields that stand in columns of their own in `promoted` (column: field).
    """

    key: str
    promoted: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def params_class(cls, values: dict[str, Any]) -> type[Params]:
        """The class that validates `values`."""
        raise TypeError(f"{cls.__name__} does not say which parameters it holds")

    @classmethod
    def register(cls, name: str | None, params: Params) -> dict[str, str]:
        """The row that holds `params`, inserted under `name` if there is none.

        Equal values already stored return their row, whatever its name. Without a name the
        first twelve digits of the digest serve.

        Raises
        ------
        ValueError
            If `name` is taken by other values (the message names the fields that differ) or is
            none for a key.
        """
        values, mark = params.to_json(), params.digest
        for row in (cls & {f"{cls.key}_digest": mark}).to_dicts():
            return {cls.key: row[cls.key]}
        name = check_name(name or mark[:12], cls.__name__)
        for row in (cls & {cls.key: name}).to_dicts():
            stored = row[f"{cls.key}_json"]
            changed = {
                field: (stored.get(field), values.get(field))
                for field in sorted(stored.keys() | values.keys())
                if stored.get(field) != values.get(field)
            }
            raise ValueError(
                f"{cls.__name__} {name!r} is already in the database with other values "
                f"(stored, given): {changed}. Register the new values under a new name."
            )
        columns = {column: values[field] for column, field in cls.promoted.items()}
        row = {cls.key: name, f"{cls.key}_digest": mark, f"{cls.key}_json": values, **columns}
        cls.insert1(row, skip_duplicates=True)
        return {cls.key: name}

    @classmethod
    def get(cls, key: dict[str, Any]) -> Params:
        """The parameters of the row that `key` names."""
        values = (cls & {cls.key: key[cls.key]}).fetch1(f"{cls.key}_json")
        return cls.params_class(values).from_json(values)


class Task(Guarded, dj.Manual):
    """Base of the task tables: one key column, the digest of what is asked for.

    A child's content holds its parents' digests, so equal requests are one row and a changed
    ancestor is another.
    """

    key: str
    inputs: type[dj.Manual] | None = None

    @classmethod
    def ensure(
        cls, *, inputs: list[dict[str, Any]] | None = None, **content: Any
    ) -> dict[str, str]:
        """The key of this request, inserted with its inputs if nobody asked for it yet.

        Parameters
        ----------
        inputs
            Rows of the table in `cls.inputs`, without this key: what the task is made from.
        """
        mark = cls.mark(inputs, content)
        if not cls & {cls.key: mark}:
            with all_or_nothing(cls.connection):
                cls.insert1({cls.key: mark, **content}, skip_duplicates=True)
                if inputs:
                    rows = [{cls.key: mark, **row} for row in inputs]
                    cls.inputs.insert(rows, skip_duplicates=True)
        return {cls.key: mark}

    @staticmethod
    def mark(inputs: list[dict[str, Any]] | None, content: dict[str, Any]) -> str:
        """The digest a request has, whether or not it was made."""
        told = {name: value for name, value in content.items() if value is not None}
        if inputs is not None:
            told["inputs"] = sorted(canonical_json(row) for row in inputs)
        return digest(told)


def all_or_nothing(connection: dj.Connection):
    """A transaction, or nothing new inside one that runs already."""
    return nullcontext() if connection.in_transaction else connection.transaction
