"""Which recordings a packed file holds, and whether its tables fit together."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any, NamedTuple

import h5py
import numpy as np

from ..nwb.errors import ReadError
from ..nwb.isolate import call_isolated
from ..nwb.open import open_nwb
from ..nwb.sizes import MOST_CHANNELS, check_count, check_size
from ..nwb.tables import as_number

SCALE = "00"
"""The full resolution; coarser ones, where there are any, are not read."""
BETWEEN = "::"
"""Stands between a file and one of its recordings: ``FILE.h5::RECORDING``."""
MOST_RECORDINGS = 100_000
_MOST_SAMPLES = 1 << 33
_SLOTS = 4  # coefficients a sample may have: db4 at level 5 has 1.2


class Survey(NamedTuple):
    """One recording, as far as its header says."""

    recording: str
    n_channels: int
    n_samples: int
    rate: float


class Pack(NamedTuple):
    """One recording of an open file: its header's group, its coded samples, its shape."""

    recording: str
    meta: h5py.Group
    codec: h5py.Group
    version: int
    n_channels: int
    n_samples: int
    rate: float
    chunk: int


@contextmanager
def open_pack(path: str | PathLike[str], recording: str) -> Iterator[Pack]:
    """Open the header of one recording, its tables checked against each other.

    Raises
    ------
    ReadError
        If the file cannot be opened, has no such recording, or is damaged.
    """
    with open_nwb(path) as file:
        group = file.get(recording)
        if not _is_recording(group):
            known = [name for name in file if _is_recording(file.get(name))]
            there = f"{len(known)} others, e.g. {known[0]}" if known else "no packed recording"
            raise ReadError(
                "open", f"{path} has no recording {recording!r}; it has {there}", "check the name"
            )
        pack = _pack(recording, group)
        (_check_format_2 if pack.version == 2 else _check_format_1)(pack)
        yield pack


def survey_pack(
    path: str | PathLike[str], *, memory_bytes: int, deadline_s: float | int
) -> list[Survey]:
    """Every recording of a packed file, by its header, in a child process; none of another file.

    Raises
    ------
    ReadError
        If the file cannot be read.
    """
    found = call_isolated(
        "pipeline.lfpack.contents:list_recordings",
        str(path),
        memory_bytes=memory_bytes,
        deadline_s=deadline_s,
    )
    return [Survey(*row) for row in found]


def list_recordings(path: str) -> list[list[Any]]:
    """The fields of `Survey` of each recording; empty where the file is none of lfpack's."""
    with open_nwb(path) as file:
        if _is_header(file.get("meta")):
            raise ReadError(
                "layout", f"{path} holds one recording without a name, as lfpack before 0.1 wrote",
                "pack the recording anew with lfpack",
            )  # fmt: skip
        check_count(str(path), len(file), MOST_RECORDINGS, "groups")
        names = [name for name in file if _is_recording(file.get(name))]
        packs = [_pack(name, file[name]) for name in names]
        return [[p.recording, p.n_channels, p.n_samples, p.rate] for p in packs]


def _is_recording(group: Any) -> bool:
    return isinstance(group, h5py.Group) and _is_header(group.get(f"{SCALE}/meta"))


def _is_header(meta: Any) -> bool:
    return isinstance(meta, h5py.Group) and {"nc", "ns_total", "compress_chunk"} <= set(meta.attrs)


def _pack(recording: str, group: h5py.Group) -> Pack:
    meta = group[f"{SCALE}/meta"]
    numbers = {name: as_number(meta.attrs.get(name)) for name in ("nc", "ns_total", "fs")}
    numbers |= {"chunk": as_number(meta.attrs["compress_chunk"])}
    wrong = {name: value for name, value in numbers.items() if value is None or value <= 0}
    if wrong:
        raise _damaged(recording, f"its header has {wrong}")
    n_channels = check_count(recording, int(numbers["nc"]), MOST_CHANNELS, "channels")
    n_samples = check_count(recording, int(numbers["ns_total"]), _MOST_SAMPLES, "samples")
    version = int(as_number(meta.attrs.get("format_version")) or 1)
    if version not in (1, 2):
        raise ReadError(
            "layout", f"{recording} is of lfpack's format {version}; 1 and 2 are read",
            "bring fieldbase up to date",
        )  # fmt: skip
    codec = group.get(f"{SCALE}/{'codec' if version == 2 else 'chunks'}")
    if not isinstance(codec, h5py.Group):
        raise _damaged(recording, "its coded samples are missing")
    return Pack(
        recording, meta, codec, version, n_channels, n_samples, numbers["fs"], int(numbers["chunk"])
    )


def _check_format_2(pack: Pack) -> None:
    """That the table of chunks says what the flat arrays hold, before anything is decoded."""
    names = ("chunk_table", "basis", "u_values", "u_norms", "vh_deltas", "vh_values")
    flat = {name: pack.codec.get(name) for name in names}
    missing = [name for name, data in flat.items() if not isinstance(data, h5py.Dataset)]
    if missing:
        raise _damaged(pack.recording, f"it has no {', '.join(missing)}")
    for data in flat.values():
        check_size(data)
    n_chunks = -(-pack.n_samples // pack.chunk)
    if flat["chunk_table"].shape != (n_chunks,):
        told = f"{flat['chunk_table'].shape} chunks in its table, {n_chunks} by its length"
        raise _damaged(pack.recording, told)
    table, basis = flat["chunk_table"][()], flat["basis"].shape
    rank, kept = table["rank"].astype(np.int64), table["n_kept"].astype(np.int64)
    lengths = np.full(n_chunks, pack.chunk)
    lengths[-1] = pack.n_samples - (n_chunks - 1) * pack.chunk
    extended = table["ns_extended"].astype(np.int64)
    slots = _SLOTS * extended + 4096
    if (
        len(basis) != 2
        or basis[0] != pack.n_channels
        or (table["ns_original"] != lengths).any()
        or (extended > 3 * pack.chunk + 4096).any()
        or (table["left_overlap"] < 0).any()
        or (table["left_overlap"] + lengths > extended).any()
        or (table["vh_cols"].astype(np.int64) > slots).any()
        or (rank > max(pack.n_channels, 1)).any()
        or flat["u_values"].shape != (rank.sum() * basis[1],)
        or flat["u_norms"].shape != (rank.sum(),)
        or flat["vh_values"].shape != (kept.sum(),)
        or flat["vh_deltas"].shape != (kept.sum(),)
    ):
        raise _damaged(pack.recording, "its table of chunks and its arrays do not fit together")


def _check_format_1(pack: Pack) -> None:
    n_chunks = -(-pack.n_samples // pack.chunk)
    if len(pack.codec) != n_chunks:
        told = f"{len(pack.codec)} chunks, {n_chunks} by its length"
        raise _damaged(pack.recording, told)
    for number in {0, n_chunks // 2, n_chunks - 1}:
        for name in ("U_scaled", "vh_indices", "vh_values"):
            data = pack.codec.get(f"{number}/{name}")
            if not isinstance(data, h5py.Dataset):
                raise _damaged(pack.recording, f"chunk {number} has no {name}")
            check_size(data)


def _damaged(recording: str, what: str) -> ReadError:
    return ReadError("read", f"recording {recording} is damaged: {what}", "fetch the file again")


__all__ = ["BETWEEN", "Pack", "Survey", "list_recordings", "open_pack", "survey_pack"]
