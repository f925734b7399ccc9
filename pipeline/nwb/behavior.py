"""Behaviour: numeric time series that are no field potential."""

import re
from os import PathLike

import h5py
import numpy as np
from jaxtyping import Float64

from .chunks import read_rows
from .clock import clock_of
from .layout import Layout
from .layouts import layout_of
from .open import open_nwb
from .series import attribute
from .sizes import check_size
from .summary import BehaviorSummary
from .tables import as_text, kind_of, walk_groups

_NOT_BEHAVIOR = ("ecephys", "current_source_density", "stimulus", "optotagging", "ophys")
_MOST_COLUMNS = 128


def behavior_paths(layout: Layout) -> list[str]:
    """Path of every timed numeric series outside electrophysiology, each object once."""
    found: dict[str, None] = {}
    for place in ("processing", "acquisition"):
        root = layout.file.get(place)
        if isinstance(root, h5py.Group):
            paths = [g.name.strip("/") for g in walk_groups(root) if _is_behavior(g)]
            found |= dict.fromkeys(p for p in paths if p.split("/")[1] not in _NOT_BEHAVIOR)
    return list(found)


def summarise_behavior(layout: Layout) -> list[BehaviorSummary]:
    """One row per behavioural series."""
    rows = []
    for path in behavior_paths(layout):
        series = layout.file[path]
        check_size(series["data"])
        clock = clock_of(series, len(series["data"]), layout.declared_rate(series))
        rows.append(
            BehaviorSummary(
                series=path,
                n_samples=clock.n_samples,
                rate=clock.rate if np.isfinite(clock.rate) and not clock.irregular else None,
                unit=as_text(series["data"].attrs.get("unit")),
                columns=_column_names(series),
                start_s=clock.start_s if np.isfinite(clock.start_s) else None,
                stop_s=clock.stop_s if np.isfinite(clock.stop_s) else None,
            )
        )
    return rows


def read_behavior(
    source: str | PathLike[str], name: str
) -> tuple[Float64[np.ndarray, " time"], Float64[np.ndarray, "time variable"], list[str]]:
    """Times (s, session clock), values (in the series' unit) and column names of one series.

    ``name`` is the path in the file.

    Raises
    ------
    KeyError
        If the file has no such series.
    """
    with open_nwb(source) as file:
        layout = layout_of(file)
        series = file.get(name)
        if not isinstance(series, h5py.Group) or not _is_behavior(series):
            raise KeyError(f"no behaviour {name!r} in {source}; there are {behavior_paths(layout)}")
        data = series["data"]
        clock = clock_of(series, len(data), layout.declared_rate(series))
        values = np.asarray(check_size(data, whole=True)[: clock.n_samples], dtype=np.float64)
        factor, offset = attribute(data, "conversion", 1.0), attribute(data, "offset", 0.0)
        values = values.reshape(len(values), -1) * factor + offset
        if clock.timestamps is None:
            times = clock.start_s + np.arange(clock.n_samples) / clock.rate
        else:
            times = read_rows(clock.timestamps, 0, clock.n_samples).astype(np.float64)
        return times, values, _column_names(series)


def _is_behavior(group: h5py.Group) -> bool:
    data = group.get("data")
    if not isinstance(data, h5py.Dataset) or data.ndim not in (1, 2) or not data.size:
        return False
    if data.dtype.kind not in "iufb" or "electrodes" in group:
        return False
    if kind_of(group).endswith(("ElectricalSeries", "ImageSeries", "OpticalSeries")):
        return False
    if data.ndim == 2 and data.shape[1] > _MOST_COLUMNS:
        return False
    stamps = group.get("timestamps")
    if isinstance(stamps, h5py.Dataset):
        return stamps.ndim == 1 and len(stamps) > 0
    return isinstance(group.get("starting_time"), h5py.Dataset)


def _column_names(series: h5py.Group) -> list[str]:
    data, name = series["data"], series.name.rpartition("/")[2]
    n = data.shape[1] if data.ndim == 2 else 1
    if n == 1:
        return [name]
    described = re.search(r"columns?:\s*([^;.]+)", as_text(series.attrs.get("description")) or "")
    names = [part.strip() for part in described[1].split(",")] if described else []
    if len(names) == n and len(set(names)) == n and all(names):
        return names
    if kind_of(series) == "SpatialSeries" and n <= 3:
        return list("xyz"[:n])
    return [f"{name}_{i}" for i in range(n)]
