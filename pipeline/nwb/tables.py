"""HDF5 the way NWB uses it: text, links, dynamic tables with ragged columns."""

import math
import re
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from .sizes import MOST_ROWS, check_column, check_count

_MOST_TEXTS, _LONGEST_TEXT = 1000, 100_000
_BYTES_REPR = re.compile(r"""^b(['"])(.*)\1$""", re.DOTALL)


def as_text(value: Any) -> str | None:
    """Bytes, numpy text or a one-element array as stripped str; None for nothing."""
    if isinstance(value, np.ndarray):
        value = value.flat[0] if value.size else None
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value).strip()


def without_bytes_repr(text: str) -> str:
    """``b'amygdala_right'``, written as text by some tools, as ``amygdala_right``."""
    match = _BYTES_REPR.match(text)
    return match[2].strip() if match else text


def as_number(value: Any) -> float | None:
    """A finite float, or None."""
    try:
        number = float(np.ravel(value)[0]) if np.ndim(value) else float(value)
    except (TypeError, ValueError, IndexError):
        return None
    return number if math.isfinite(number) else None


def read_text(group: h5py.Group, path: str) -> str | None:
    """The text of a dataset, joined with "; " if it is a list; None if absent or empty."""
    node = group.get(path)
    if not isinstance(node, h5py.Dataset):
        return None
    if (node.size or 0) > _MOST_TEXTS:
        return None
    value = node[()]
    if isinstance(value, np.ndarray):
        parts = [as_text(part) for part in value.ravel()]
        return "; ".join(part for part in parts if part)[:_LONGEST_TEXT] or None
    return (as_text(value) or "")[:_LONGEST_TEXT] or None


def kind_of(node: h5py.Group | h5py.Dataset) -> str:
    """The neurodata type, empty where none is written."""
    return as_text(node.attrs.get("neurodata_type")) or ""


def link_target(group: h5py.Group, name: str) -> str:
    """The name of what a member is, followed through a soft link."""
    link = group.get(name, getlink=True)
    path = link.path if isinstance(link, h5py.SoftLink) else group[name].name
    return path.rpartition("/")[2]


def children(group: h5py.Group, path: str = ".") -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Members of the group at a path whose link leads somewhere; none if there is no group."""
    group = group.get(path)
    for name in group if isinstance(group, h5py.Group) else ():
        node = group.get(name)
        if isinstance(node, h5py.Group | h5py.Dataset):
            yield name, node


def walk_groups(group: h5py.Group, depth: int = 5) -> Iterator[h5py.Group]:
    """Every group below, parents first, through soft links too, each object once."""
    seen: set[tuple[int, int]] = set()

    def descend(parent: h5py.Group, left: int) -> Iterator[h5py.Group]:
        for _, node in children(parent):
            if not isinstance(node, h5py.Group):
                continue
            info = h5py.h5g.get_objinfo(node.id)
            if tuple(info.objno) + tuple(info.fileno) in seen:
                continue
            seen.add(tuple(info.objno) + tuple(info.fileno))
            yield node
            if left:
                yield from descend(node, left - 1)

    yield from descend(group, depth)


class Table:
    """One NWB dynamic table. A column cut apart from its index is None, with a warning."""

    def __init__(self, group: h5py.Group, warnings: list[str]):
        self.group, self.warnings = group, warnings
        self.name = group.name.strip("/")

    def __len__(self) -> int:
        node = self.group.get("id")
        if isinstance(node, h5py.Dataset) and node.ndim:
            n = len(node)
        else:
            n = max((len(self.group[c]) for c in self.columns), default=0)
        return check_count(self.name, n, MOST_ROWS, "rows")

    @property
    def columns(self) -> list[str]:
        """Names of the columns; indices and ids are none."""
        return [
            name
            for name, node in children(self.group)
            if isinstance(node, h5py.Dataset)
            and node.ndim > 0
            and name != "id"
            and not (name.endswith("_index") and name.removesuffix("_index") in self.group)
        ]

    def __contains__(self, column: str) -> bool:
        return isinstance(self.group.get(column), h5py.Dataset)

    @property
    def ids(self) -> list[int]:
        """The id column; row numbers where it is missing or repeats itself."""
        n, node = len(self), self.group.get("id")
        numeric = isinstance(node, h5py.Dataset) and node.ndim == 1 and node.dtype.kind in "iuf"
        ids = check_column(node)[()].tolist() if numeric else []
        if not all(_is_id(i) for i in ids):
            self.warnings.append(
                f"{self.name}: ids are no whole numbers; rows are numbered instead"
            )
            return list(range(n))
        if len(ids) != n or len(set(ids)) != n:
            if ids:
                self.warnings.append(f"{self.name}: ids repeat; rows are numbered instead")
            return list(range(n))
        return [int(i) for i in ids]

    def description(self, column: str) -> str:
        """The description of a column, empty if absent."""
        return (
            (as_text(self.group[column].attrs.get("description")) or "") if column in self else ""
        )

    def values(self, column: str) -> np.ndarray | None:
        """A flat column, one entry per row; None if absent, ragged or shorter than the table."""
        if column not in self or f"{column}_index" in self or not self.group[column].ndim:
            return None
        if len(self.group[column]) < len(self):
            self.warnings.append(
                f"{self.name}/{column}: {len(self.group[column])} entries for {len(self)} rows;"
                " column left out"
            )
            return None
        return check_column(self.group[column])[: len(self)]

    def texts(self, column: str) -> list[str | None] | None:
        """A flat text column; None if absent or not text."""
        values = self.values(column)
        if values is None or values.ndim != 1 or values.dtype.kind not in "OSU":
            return None
        if any(isinstance(value, h5py.Reference) for value in values):
            return None
        return [as_text(value) for value in values]

    def targets(self, column: str) -> list[str | None] | None:
        """Names of what a column of object references points to; None if it is none."""
        values = self.values(column)
        if values is None or h5py.check_ref_dtype(self.group[column].dtype) is None:
            return None
        return [_name_of(self.group.file, value) for value in values]

    def numbers(self, *columns: str) -> list[float | None]:
        """The first of several numeric columns that is there; Nones if none is."""
        for column in columns:
            values = self.values(column)
            if values is not None and values.ndim == 1 and values.dtype.kind in "iufb":
                return [as_number(value) for value in values]
        return [None] * len(self)

    def whole_numbers(self, *columns: str) -> list[int | None]:
        """`numbers` cut to whole ones, None where one is too large to count anything."""
        numbers = self.numbers(*columns)
        return [None if n is None or abs(n) >= 1 << 31 else int(n) for n in numbers]

    def bounds(self, column: str) -> np.ndarray | None:
        """Where each row of a ragged column starts and the last ends, ``(row + 1,)``.

        None, with a warning, unless the index covers exactly the data it points into.
        """
        if column not in self or f"{column}_index" not in self:
            return None
        if f"{column}_index_index" in self:
            self.warnings.append(f"{self.name}/{column}: doubly ragged; column left out")
            return None
        index, size = self.group[f"{column}_index"], self.group[column].shape
        size = size[0] if size else 0
        usable = index.dtype.kind in "iu" and index.shape == (len(self),)
        ends = index[()].astype(np.int64) if usable else np.zeros(0, np.int64)
        bounds = np.concatenate([[0], ends])
        if len(ends) != len(self) or (np.diff(bounds) < 0).any() or bounds[-1] != size:
            last = int(ends[-1]) if len(ends) else 0
            self.warnings.append(
                f"{self.name}/{column}: {size} values, but its index has {len(ends)} entries and"
                f" ends at {last}; the column was cut apart from its index and is left out"
            )
            return None
        return bounds

    def ragged(self, column: str) -> list[np.ndarray] | None:
        """One array per row; a flat column gives arrays of one."""
        if column in self and f"{column}_index" not in self:
            values = self.values(column)
            return None if values is None else [np.atleast_1d(value) for value in values]
        bounds = self.bounds(column)
        if bounds is None:
            return None
        values = check_column(self.group[column])[()]
        return [values[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]


def _is_id(value: float | int) -> bool:
    return math.isfinite(value) and value == int(value) and abs(value) < 1 << 63


def _name_of(file: h5py.File, reference: h5py.Reference) -> str | None:
    try:
        name = file[reference].name if reference else None
    except (KeyError, ValueError, RuntimeError):  # what it pointed to is gone
        return None
    return name and name.rpartition("/")[2]
