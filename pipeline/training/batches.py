"""Batches: windows of one or several sessions as torch tensors, in an order set by the seed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from ..models.context import DataContext
from ..recording import WindowSet

POSITION = ("depth_um", "rel_x", "rel_y", "x", "y", "z")
"""Columns of ``Batch.position`` (µm)."""
SIGNALS = frozenset({"lfp", "features", "spikes", "behavior"})
"""Fields of ``Batch`` that are read from the recordings."""


@dataclass(frozen=True)
class Batch:
    """Windows as they were recorded; each family tokenizes them inside.

    With grain ``channel`` a row is one (window, channel) pair and the channel axis has length 1;
    with grain ``window`` all rows come from one session and carry all of its channels and units.
    What the recordings do not have is None.

    Attributes
    ----------
    session
        Session of each row.
    windowset, window
        Which of the given window sets a row comes from, and which of its windows.
    channel
        Column of the window set; -1 where there is no channel.
    lfp, rate
        Voltage (µV) and its sampling rate (Hz).
    region
        Index into ``DataContext.classes``; -1 unknown.
    position
        ``POSITION`` of each channel (µm), NaN where unknown.
    probe
        Which probe of its session a channel is on, counted from 0.
    spikes, bin_s
        Counts per bin, and the bin width (s).
    unit_region
        Index into ``DataContext.unit_regions``; -1 unknown.
    first
        Where several processes share a batch: the row that the signals (``lfp``, ``spikes``,
        ``features``, ``behavior``) begin with; those of other rows were not read. All else is of
        all rows.
    """

    session: list[str]
    windowset: Int64[Tensor, " batch"]
    window: Int64[Tensor, " batch"]
    channel: Int64[Tensor, "batch channel"]
    channel_valid: Bool[Tensor, "batch channel"]
    region: Int64[Tensor, "batch channel"]
    position: Float32[Tensor, "batch channel 6"]
    probe: Int64[Tensor, "batch channel"]
    lfp: Float32[Tensor, "read time channel"] | None = None
    rate: float = float("nan")
    features: Float32[Tensor, "read channel feature"] | None = None
    spikes: Float32[Tensor, "read bin unit"] | None = None
    bin_s: float = float("nan")
    unit_valid: Bool[Tensor, "batch unit"] | None = None
    unit_region: Int64[Tensor, "batch unit"] | None = None
    behavior: Float32[Tensor, "read bin variable"] | None = None
    first: int = 0

    def __len__(self) -> int:
        return len(self.session)

    def __getitem__(self, rows: slice) -> "Batch":
        """Some of the rows, all of them read."""
        read = slice(rows.start - self.first, rows.stop - self.first) if self.first else rows
        part = {
            f.name: value[read if f.name in SIGNALS else rows]
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor | list)
        }
        return replace(self, **part, first=0)

    def to(self, device: str | torch.device) -> "Batch":
        """The same batch with its tensors on a device."""
        moved = {
            f.name: value.to(device, non_blocking=True)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Rows:
    """Rows to draw batches from: (window set, window, channel); channel -1 takes all."""

    windowset: np.ndarray
    window: np.ndarray
    channel: np.ndarray

    def __len__(self) -> int:
        return len(self.window)

    def __getitem__(self, index: np.ndarray) -> "Rows":
        return Rows(self.windowset[index], self.window[index], self.channel[index])


def region_ids(windowset: WindowSet, classes: Sequence[str]) -> Int64[np.ndarray, " channel"]:
    """Class index of every channel; -1 if its region is unknown or not a class."""
    index = {name: i for i, name in enumerate(classes)}
    names = windowset.channels["region"].to_numpy(dtype=object)
    return np.array([index.get(n, -1) if isinstance(n, str) else -1 for n in names], dtype=np.int64)


def position_of(windowset: WindowSet) -> Float32[np.ndarray, "channel 6"]:
    """``POSITION`` of every channel (µm); NaN where unknown."""
    table = windowset.channels.reindex(columns=list(POSITION))
    return table.to_numpy(dtype=np.float32, na_value=np.nan)


def probe_of(windowset: WindowSet) -> Int64[np.ndarray, " channel"]:
    """Number of the probe each channel is on; 0 where the table names none."""
    if "probe" not in windowset.channels:
        return np.zeros(len(windowset.channels), dtype=np.int64)
    return pd.factorize(windowset.channels["probe"], use_na_sentinel=False)[0].astype(np.int64)


def rows_of(
    windowsets: Sequence[WindowSet],
    *,
    grain: Literal["channel", "window"],
    classes: Sequence[str] = (),
    labelled: bool = False,
    max_windows_per_channel: int | None = None,
    rng: np.random.Generator | None = None,
) -> Rows:
    """Every row there is to train on or to read out.

    Parameters
    ----------
    labelled
        Only channels whose region is one of ``classes``.
    max_windows_per_channel
        Keep at most so many windows of each channel (of each session with grain ``window``),
        drawn by ``rng``.
    """
    parts = []
    for number, windowset in enumerate(windowsets):
        if grain == "window":
            window = np.flatnonzero(windowset.valid.any(axis=1) | (windowset.lfp is None))
            channel = np.full(len(window), -1)
        else:
            valid = np.array(windowset.valid)
            if labelled:
                valid &= region_ids(windowset, classes) >= 0
            window, channel = np.nonzero(valid)
        if max_windows_per_channel is not None:
            kept = _at_most(channel, max_windows_per_channel, rng or np.random.default_rng(0))
            window, channel = window[kept], channel[kept]
        parts.append((np.full(len(window), number), window, channel))
    if not parts:
        return Rows(*(np.empty(0, dtype=np.int64),) * 3)
    columns = [np.concatenate(c).astype(np.int64) for c in zip(*parts, strict=True)]
    return Rows(*columns)


def _at_most(groups: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    shuffled = rng.permutation(len(groups))
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    ordered = groups[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return np.sort(order[rank < limit])


def iterate_batches(
    windowsets: Sequence[WindowSet],
    rows: Rows,
    *,
    context: DataContext,
    batch_size: int,
    needs: frozenset[str] | set[str],
    rng: np.random.Generator | None = None,
    part: Callable[[int], slice] | None = None,
) -> Iterator[Batch]:
    """Batches over the rows: shuffled with a generator, in the given order without one.

    Rows whose signals differ in shape never share a batch; with grain ``window`` neither do
    rows of different sessions.

    Parameters
    ----------
    needs
        Fields of ``Batch`` to fill (``lfp``, ``spikes``, ``behavior``, ``features``); the
        others stay None, so nothing is read for them.
    part
        Which rows of a batch of n to read signals of; None reads all.

    Raises
    ------
    ValueError
        If a window set lacks a field that is needed.
    """
    for windowset in windowsets:
        _check_has(windowset, needs)
    tables = [_Tables.of(w, context) for w in windowsets]
    for index in batch_indices(windowsets, rows, batch_size, needs, rng):
        read = slice(0, len(index)) if part is None else part(len(index))
        yield _collate(windowsets, tables, rows[index], needs, read)


def batch_indices(
    windowsets: Sequence[WindowSet],
    rows: Rows,
    batch_size: int,
    needs: frozenset[str] | set[str],
    rng: np.random.Generator | None,
) -> list[np.ndarray]:
    """Positions in ``rows`` of every batch that ``iterate_batches`` makes."""
    shapes = [
        (w.rate, w.lfp.shape[1]) if "lfp" in needs and w.lfp is not None else () for w in windowsets
    ]
    keys: dict[tuple, list[int]] = {}
    whole = len(rows) > 0 and bool((rows.channel < 0).any())
    for number, shape in enumerate(shapes):
        keys.setdefault((number,) if whole else shape, []).append(number)
    batches: list[np.ndarray] = []
    for members in keys.values():
        index = np.flatnonzero(np.isin(rows.windowset, members))
        if rng is not None:
            index = rng.permutation(index)
        batches += [index[i : i + batch_size] for i in range(0, len(index), batch_size)]
    if rng is not None:
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


@dataclass(frozen=True)
class _Tables:
    region: np.ndarray
    position: np.ndarray
    probe: np.ndarray
    unit_region: np.ndarray | None

    @classmethod
    def of(cls, windowset: WindowSet, context: DataContext) -> "_Tables":
        unit_region = None
        if windowset.units is not None:
            index = {name: i for i, name in enumerate(context.unit_regions)}
            names = windowset.units.get("region", [None] * len(windowset.units))
            unit_region = np.array([index.get(n, -1) for n in names], dtype=np.int64)
        return cls(
            region_ids(windowset, context.classes),
            position_of(windowset),
            probe_of(windowset),
            unit_region,
        )


def _check_has(windowset: WindowSet, needs: frozenset[str] | set[str]) -> None:
    there = {n for n in ("lfp", "spikes", "behavior", "features") if _field(windowset, n)}
    missing = set(needs) - there - {"position"}
    if missing:
        raise ValueError(
            f"windows of {windowset.session} have no {sorted(missing)}, they have {sorted(there)}; "
            "cut windows with that source or choose another model"
        )


def _field(windowset: WindowSet, name: str) -> bool:
    return getattr(windowset, name) is not None


def _collate(
    windowsets: Sequence[WindowSet],
    tables: Sequence[_Tables],
    rows: Rows,
    needs: frozenset[str] | set[str],
    read: slice,
) -> Batch:
    first = windowsets[rows.windowset[0]]
    table = tables[rows.windowset[0]]
    if rows.channel[0] < 0:
        channel = np.tile(np.arange(first.valid.shape[1]), (len(rows), 1))
    else:
        channel = rows.channel[:, None]
    pick = [(tables[s], c) for s, c in zip(rows.windowset, channel, strict=True)]
    own, own_channel = rows[np.arange(read.start, read.stop)], channel[read]
    spikes = _stack(windowsets, own, "spikes") if "spikes" in needs else None
    unit_region = None
    if spikes is not None and table.unit_region is not None:
        unit_region = torch.from_numpy(np.tile(table.unit_region, (len(rows), 1)))
    return Batch(
        session=[windowsets[s].session for s in rows.windowset],
        windowset=torch.from_numpy(rows.windowset),
        window=torch.from_numpy(rows.window),
        channel=torch.from_numpy(channel.astype(np.int64)),
        channel_valid=torch.from_numpy(
            np.stack([windowsets[s].valid[w, c] for s, w, c in _each(rows, channel)])
        ),
        region=torch.from_numpy(np.stack([t.region[c] for t, c in pick])),
        position=torch.from_numpy(np.stack([t.position[c] for t, c in pick])),
        probe=torch.from_numpy(np.stack([t.probe[c] for t, c in pick])),
        lfp=_lfp(windowsets, own, own_channel) if "lfp" in needs else None,
        rate=float(first.rate),
        features=_features(windowsets, own, own_channel) if "features" in needs else None,
        spikes=spikes,
        bin_s=float(first.bin_s),
        unit_valid=None if spikes is None else torch.ones(len(rows), spikes.shape[2], dtype=bool),
        unit_region=unit_region,
        behavior=_stack(windowsets, own, "behavior") if "behavior" in needs else None,
        first=read.start,
    )


def _each(rows: Rows, channel: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    return zip(rows.windowset, rows.window, channel, strict=True)


def _lfp(
    windowsets: Sequence[WindowSet], rows: Rows, channel: np.ndarray
) -> Float[Tensor, "batch time channel"]:
    """Each (set, window) is read once and in order, however the rows are shuffled."""
    samples = windowsets[rows.windowset[0]].lfp.shape[1]
    out = np.empty((len(rows), channel.shape[1], samples), dtype=np.float32)
    order = np.lexsort((rows.window, rows.windowset))
    cuts = np.flatnonzero(
        np.diff(rows.windowset[order], prepend=-1) | np.diff(rows.window[order], prepend=-1)
    )
    for same in np.split(order, cuts[1:]):
        block = windowsets[rows.windowset[same[0]]].lfp[rows.window[same[0]]]
        if channel.shape[1] == block.shape[1]:
            out[same] = block.T
        else:
            out[same] = block[:, channel[same, 0]].T[:, None]
    return torch.from_numpy(out).transpose(1, 2)  # (B, T, C)


def _features(
    windowsets: Sequence[WindowSet], rows: Rows, channel: np.ndarray
) -> Float32[Tensor, "batch channel feature"]:
    picked = [windowsets[s].features[w][c] for s, w, c in _each(rows, channel)]
    return torch.from_numpy(np.stack(picked).astype(np.float32))


def _stack(windowsets: Sequence[WindowSet], rows: Rows, name: str) -> Float32[Tensor, "b t v"]:
    picked = [
        getattr(windowsets[s], name)[w] for s, w in zip(rows.windowset, rows.window, strict=True)
    ]
    return torch.from_numpy(np.stack(picked).astype(np.float32))
