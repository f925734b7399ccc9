"""Vectors made elsewhere, read from one file by a mapping that says what each column is."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile, is_zipfile

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field, field_validator, model_validator

from ..params import Params

ROLES = ("source", "subject", "session", "probe", "channel", "region", "window", "start_s")
"""What a row is about; every role is a column of the result."""

PLACE = ("source", "subject", "session", "probe", "channel")
"""The roles that say which channel a row is about."""

FACTS = ("model", "licence", "origin")
"""What is said of the vectors as a whole; nothing that is read depends on it."""


class FeatureMapping(Params):
    """Which column of a feature file plays which role.

    A role names a column (npz: an array), or ``=text`` for the same text in every row. Without a
    mapping a role is empty, except that ``session`` falls back to the subject, ``channel`` to the
    region, ``probe`` to the region or, where channels have names, to "probe", and ``window``
    counts the rows of one channel. ``model``, ``licence`` and ``origin`` are no columns but plain
    text about all vectors, repeated wherever they are scored.
    """

    later = frozenset(FACTS)

    features: tuple[str, ...] = Field(min_length=1, description="columns, or one array (row, dim)")
    source: str | None = None
    subject: str | None = None
    session: str | None = None
    probe: str | None = None
    channel: str | None = None
    region: str | None = None
    window: str | None = None
    start_s: str | None = None
    transform: Literal["none", "log"] = Field("none", description="applied to the features")
    model: str | None = Field(None, max_length=255, description="what made the vectors")
    licence: str | None = Field(None, max_length=255, description="under which they may be used")
    origin: str | None = Field(None, max_length=1023, description="address or citation")

    @field_validator(*FACTS)
    @classmethod
    def _plain(cls, text: str | None) -> str | None:
        """One line without the "=" that a role would have; nothing is not stated."""
        return " ".join((text or "").removeprefix("=").split()) or None

    @model_validator(mode="after")
    def _some_subject(self) -> "FeatureMapping":
        if self.subject is None and self.session is None:
            raise ValueError(
                "a feature file needs a column for subject or session: who was recorded"
            )
        return self

    @classmethod
    def from_toml(cls, path: Path | str) -> "FeatureMapping":
        """The mapping in a TOML file: at its top, in ``[mapping]``, or a study's
        ``[data.mapping]``.
        """
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        table = table.get("data", table)
        return cls.model_validate(table.get("mapping", table))


@dataclass(frozen=True)
class FeatureTable:
    """Rows of a feature file with what they are about.

    Attributes
    ----------
    rows
        One column per role, text (``start_s`` float, ``window`` int); NaN where unknown.
    features
        One vector per row, finite.
    names
        One name per feature.
    dropped
        Rows left out because a feature was NaN or infinite.
    """

    rows: pd.DataFrame
    features: Float[np.ndarray, "row dim"]
    names: tuple[str, ...]
    dropped: int


def read_feature_file(path: Path | str, mapping: FeatureMapping) -> FeatureTable:
    """Read a parquet, CSV or npz file of feature vectors.

    Raises
    ------
    ValueError
        If the kind of file is not known or it cannot be read, arrays differ in length, a feature is
        no number, no row has all features, rows are there twice, or a channel has two regions.
    KeyError
        If the mapping names a column the file does not have.
    """
    path = Path(path)
    columns = _read_columns(path)
    used = [*mapping.features, *(c for c in _named_columns(mapping).values())]
    if missing := sorted(set(used) - set(columns)):
        raise KeyError(f"{path.name} has no column {missing}; there are {sorted(columns)}")
    if not len(columns[mapping.features[0]]):
        raise ValueError(f"{path.name} holds no row")
    vectors = [_as_matrix(name, columns[name]) for name in mapping.features]
    names = tuple(
        name if matrix.shape[1] == 1 else f"{name}[{i}]"
        for name, matrix in zip(mapping.features, vectors, strict=True)
        for i in range(matrix.shape[1])
    )
    n = len(vectors[0])
    if wrong := {c: len(columns[c]) for c in used if len(columns[c]) != n}:
        raise ValueError(f"{path.name}: columns of other lengths than {n} rows: {wrong}")
    features = np.concatenate(vectors, axis=1)
    if mapping.transform == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            features = np.log(features)
    keep = np.isfinite(features).all(axis=1)
    if not keep.any():
        raise ValueError(f"{path.name}: none of {n} rows has a number in every one of {names}")
    rows = _roles(columns, mapping, n)[keep]
    check_rows(rows, features[keep])
    rows = rows.reset_index(drop=True)
    if mapping.window is None:
        rows["window"] = rows.groupby([*PLACE], dropna=False).cumcount()
    return FeatureTable(rows, features[keep], names, int((~keep).sum()))


def check_rows(rows: pd.DataFrame, features: Float[np.ndarray, "row dim"]) -> None:
    """Raise a ValueError if rows are there twice or a channel has two regions.

    ``rows`` has a column per role and the file's row numbers as index. A row that is there twice
    would count twice: the same window of the same channel, or, where windows have no numbers, the
    same vector of the same channel.
    """
    by = [*PLACE, "window"]
    if rows["window"].isna().all():
        values = pd.DataFrame(features, rows.index).add_prefix("feature ")
        twice = pd.concat([rows[[*PLACE, "start_s"]], values], axis=1).duplicated()
    elif rows["window"].isna().any():
        raise ValueError(f"row {rows['window'].isna().idxmax()} has no window number, others have")
    else:
        twice = rows[by].duplicated()
    if twice.any():
        one = twice.idxmax()
        where = ", ".join(
            f"{role} {rows.at[one, role]}" for role in by if pd.notna(rows.at[one, role])
        )
        raise ValueError(
            f"{int(twice.sum())} rows are there twice, the first is row {one}: {where}"
        )
    named = rows.dropna(subset="region").groupby([*PLACE], dropna=False)["region"].unique()
    if (several := named[named.map(len) > 1]).size:
        place = " ".join(str(part) for part in several.index[0] if pd.notna(part))
        raise ValueError(f"one channel has several regions: {place} is {list(several.iloc[0])}")


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".npz":
        if not is_zipfile(path):
            raise ValueError(f"{path.name} is no npz archive of arrays")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (ValueError, OSError, EOFError, BadZipFile) as error:
            raise ValueError(
                f"{path.name} cannot be read ({error}); arrays of numbers and text are, pickled "
                "objects, which can run any code, never"
            ) from error
    readers = {".parquet": pd.read_parquet, ".csv": pd.read_csv}
    if path.suffix not in readers:
        raise ValueError(f"cannot read {path.name}: features come as .parquet, .csv or .npz")
    frame = readers[path.suffix](path)
    return {str(name): frame[name].to_numpy() for name in frame}


def _named_columns(mapping: FeatureMapping) -> dict[str, str]:
    texts = {role: getattr(mapping, role) for role in ROLES}
    return {role: text for role, text in texts.items() if text and not text.startswith("=")}


def _as_matrix(name: str, column: np.ndarray) -> np.ndarray:
    """``(row, dim)`` from a number per row, a vector per row, or a matrix."""
    try:
        if column.dtype == object:
            column = np.stack([np.asarray(value, dtype=np.float64) for value in column])
        return column.reshape(len(column), -1).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"feature {name!r} is no number, or vector of one length, in every row: {error}"
        ) from error


def _roles(columns: dict[str, np.ndarray], mapping: FeatureMapping, n: int) -> pd.DataFrame:
    rows = pd.DataFrame(index=range(n))
    named = _named_columns(mapping)
    for role in ROLES:
        text = getattr(mapping, role)
        if role in named:
            rows[role] = columns[named[role]]
        else:
            rows[role] = text[1:] if text else None
    rows["subject"] = rows["subject"].where(rows["subject"].notna(), rows["session"])
    rows["session"] = rows["session"].where(rows["session"].notna(), rows["subject"])
    if mapping.probe is None and mapping.channel is not None:
        rows["probe"] = "probe"  # a channel keeps its name whatever its region
    for role in ("probe", "channel"):
        rows[role] = rows[role].where(rows[role].notna(), rows["region"])
    text = [r for r in ROLES if r not in ("window", "start_s")]
    rows[text] = rows[text].map(lambda value: None if pd.isna(value) else str(value))
    try:
        rows["start_s"] = pd.to_numeric(rows["start_s"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"start_s (column {mapping.start_s!r}) is no time (s): {error}") from error
    return rows
