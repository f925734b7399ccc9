"""Columns of the electrode table as lists, one entry per electrode."""

import numpy as np

from .layout import Layout
from .locations import Unit, unit_in
from .tables import Table, as_text, kind_of

_NO_LABEL = {
    "location", "filtering", "group", "group_name", "reference", "coordinate_frame", "channel_name",
    "electrode_name", "contact_shapes", "contact_ids", "contact_id", "label", "probe_name",
    "shank_ids", "imp", "x", "y", "z", "manufacturer", "channel", "name", "shank", "channel_ids",
    "predicted_region",
}  # fmt: skip
_BRAIN_MM = 300.0  # no brain coordinate in mm is larger, few in µm are smaller for a whole table

Point = tuple[float | None, float | None, float | None]


def coordinates(layout: Layout, electrodes: Table) -> list[Point]:
    """x, y, z as written; None where they are missing or placeholders."""
    xyz = [electrodes.numbers(axis) for axis in "xyz"]
    values = np.array(xyz, dtype=float)
    if not np.nan_to_num(values).any():
        if np.isfinite(values).any():
            layout.warnings.append("electrodes: x, y, z are 0 for every electrode; read as unknown")
        return [(None, None, None)] * len(electrodes)
    missing = layout.missing_coordinate
    return [
        (None, None, None) if missing is not None and set(point) == {missing} else point
        for point in zip(*xyz, strict=True)
    ]


def frames(layout: Layout, electrodes: Table) -> list[tuple[str, Unit]]:
    """Frame and unit of x, y, z: by electrode, by column, else as the layout has them."""
    if "x" not in electrodes:
        return [("unknown", "unknown")] * len(electrodes)
    unit = unit_in(electrodes.description("x"))
    if unit == "unknown":
        unit = unit_in(as_text(electrodes.group["x"].attrs.get("unit")) or "")
    frame = layout.coordinate_frame
    texts = electrodes.texts("coordinate_frame") or [None] * len(electrodes)
    if unit == "unknown" and not any(texts):
        frame, unit = _assumed(layout, electrodes)
    named = [(text or frame, unit_in(text or "")) for text in texts]
    return [(text, unit if own == "unknown" else own) for text, own in named]


def _assumed(layout: Layout, electrodes: Table) -> tuple[str, Unit]:
    """NWB's micrometres, unless the numbers are too small for a human or a monkey."""
    species = layout.species.lower()
    values = np.abs(np.array([electrodes.numbers(axis) for axis in "xyz"], dtype=float))
    if ("homo" in species or "macaca" in species) and (values < _BRAIN_MM).any():
        if np.nanmax(values) < _BRAIN_MM and np.nan_to_num(values).any():
            layout.warnings.append(
                "electrodes: x, y, z have no unit and are too small for micrometres; read as mm"
            )
            return "unknown", "mm"
    return layout.coordinate_frame, layout.coordinate_unit


def bad_flags(layout: Layout, electrodes: Table) -> list[bool | None]:
    """Whether each electrode is marked unusable; None where nothing is said."""
    if any(column in electrodes for column in layout.bad_columns):
        flags = electrodes.numbers(*layout.bad_columns)
        return [None if flag is None else bool(flag) for flag in flags]
    flags = electrodes.numbers(*layout.good_columns)
    return [None if flag is None else not flag for flag in flags]


def extra_labels(electrodes: Table) -> list[dict[str, str]]:
    """Every text column that is no part of the standard, such as a lobe or another atlas."""
    columns = {
        name: texts
        for name in electrodes.columns
        if name not in _NO_LABEL and kind_of(electrodes.group[name]) in ("VectorData", "EnumData")
        if (texts := electrodes.texts(name)) is not None
    }
    return [
        {name: texts[i][:255] for name, texts in columns.items() if texts[i]}
        for i in range(len(electrodes))
    ]
