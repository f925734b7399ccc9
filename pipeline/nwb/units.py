"""Sorted units: what each is, and where it sits."""

from collections.abc import Sequence

import h5py
import numpy as np
from jaxtyping import Float

from .channels import contacts_of
from .chunks import read_rows
from .layout import Layout
from .summary import ChannelSummary, UnitSummary
from .tables import Table, as_number

_BLOCK = 1 << 22
_SCAN = 50_000_000  # spikes beyond which the recording's length is not searched for in them
_WAVES = 50_000_000  # numbers of all mean waveforms beyond which they are not read


def units_table(layout: Layout) -> Table | None:
    """The units table of a file, None if there is none."""
    for place in ("units", "processing/ecephys/units", "processing/ecephys/Units"):
        group = layout.file.get(place)
        if isinstance(group, h5py.Group) and "spike_times" in group:
            return Table(group, layout.warnings)
    return None


def read_units(layout: Layout, channels: list[ChannelSummary]) -> list[UnitSummary]:
    """One row per unit; none, with a warning, if the spike times were cut from their index."""
    table = units_table(layout)
    if table is None or not len(table):
        return []
    bounds = table.bounds("spike_times")
    if bounds is None or table.group["spike_times"].dtype.kind not in "iuf":
        layout.warnings.append(
            f"{table.name}: {len(table)} units left out, spikes cannot be told apart"
        )
        return []
    counts = np.diff(bounds).tolist()
    length = _observed_s(table)
    peaks = _peaks(layout, table, channels)
    by_id = {c.channel: c for c in channels}
    probes = _probes(layout, table)
    regions = next((t for c in layout.unit_region_columns if (t := table.texts(c))), None)
    quality = table.texts("quality") or table.texts("label")
    rows = []
    for i, unit in enumerate(table.ids):
        home = by_id.get(peaks[i]) if peaks[i] is not None else None
        rows.append(
            UnitSummary(
                unit=unit,
                probe=probes[i] or (home.probe if home else None),
                channel=home.channel if home else None,
                n_spikes=counts[i],
                rate_hz=counts[i] / length[i] if length[i] else None,
                region_raw=regions[i] if regions else home.location_raw if home else None,
                quality=quality[i] if quality else None,
            )
        )
    return rows


def _observed_s(table: Table) -> Sequence[float | None]:
    """How long each unit was watched (s): its observation intervals, else the span of all."""
    intervals = table.ragged("obs_intervals") if "obs_intervals" in table else None
    if intervals and all(i.ndim == 2 and i.shape[1] == 2 for i in intervals):
        spans = [as_number(np.diff(i.astype(float), axis=1).sum()) for i in intervals]
        return [span if span and span > 0 else None for span in spans]
    spikes = table.group["spike_times"]
    if not 0 < len(spikes) <= _SCAN:
        return [None] * len(table)
    first, last = np.inf, -np.inf
    for start in range(0, len(spikes), _BLOCK):
        times = read_rows(spikes, start, min(len(spikes), start + _BLOCK)).astype(float)
        times = times[np.isfinite(times)]
        first, last = min(first, times.min(initial=np.inf)), max(last, times.max(initial=-np.inf))
    span = float(last - first)
    return [span if 0 < span < np.inf else None] * len(table)


def _peaks(layout: Layout, table: Table, channels: list[ChannelSummary]) -> list[int | None]:
    """Electrode id of each unit's largest channel, None where the file does not tell."""
    for column in layout.peak_columns:
        values = table.values(column)
        if values is not None and values.ndim == 1 and values.dtype.kind in "iuf":
            return [int(v) if np.isfinite(v) and v >= 0 else None for v in values]
    rows = table.ragged("electrodes") if "electrodes" in table else None
    if rows is None or table.group["electrodes"].dtype.kind not in "iu":
        return [None] * len(table)
    n = len(layout.electrodes() or ())
    shapes = _waveforms(layout, table)
    peaks: list[int | None] = []
    for i, own in enumerate(rows):
        best = 0 if len(own) == 1 else None
        if shapes is not None and len(own) == shapes.shape[2]:
            size = np.ptp(shapes[i], axis=0)
            best = int(np.nanargmax(size)) if np.isfinite(size).any() else best
        row = int(own[best]) if best is not None else -1
        peaks.append(channels[row].channel if 0 <= row < min(n, len(channels)) else None)
    return peaks


def _waveforms(layout: Layout, table: Table) -> Float[np.ndarray, "unit time contact"] | None:
    """Each unit's mean waveform; None where there is none, or what is declared is no such thing."""
    waves = table.group.get("waveform_mean")
    if not isinstance(waves, h5py.Dataset) or waves.dtype.kind not in "iuf":
        return None
    if waves.ndim != 3 or len(waves) != len(table):
        return None
    if waves.size > _WAVES:
        layout.warnings.append(
            f"{table.name}: waveform_mean of {waves.shape} is not read: units on several contacts "
            "get no channel"
        )
        return None
    return waves[()]


def _probes(layout: Layout, table: Table) -> list[str | None]:
    contacts = contacts_of(layout)
    names = table.texts("probe_name") or table.texts("electrode_group_name")
    names = table.targets("electrode_group") or names or [None] * len(table)
    return [contacts[name].probe if name in contacts else None for name in names]
