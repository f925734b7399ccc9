"""Predicted regions back to where they are wanted: a copy of the NWB file, and a CSV."""

import csv
import math
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import h5py
import numpy as np

from .errors import ReadError
from .inside import InsideFile
from .layout import ELECTRODES
from .open import open_nwb
from .summary import LfpSummary
from .tables import as_text

REGION_COLUMN, CONFIDENCE_COLUMN = "predicted_region", "predicted_region_confidence"
UNKNOWN = "unknown"

Regions = Mapping[int, tuple[str | None, float | None]]
"""Region (None: unknown) and confidence (0 to 1) by electrode id."""


def write_regions(
    source: str | PathLike[str],
    target: str | PathLike[str],
    regions: Regions,
    *,
    model: str,
    watermark: str | None = None,
) -> Path:
    """Copy an NWB file and add predicted regions to the copy's electrode table.

    Everything else stays byte for byte. Electrodes without a prediction are "unknown" with a
    confidence of NaN. The model's name and the watermark stand in the columns' descriptions.

    Raises
    ------
    FileExistsError
        If there is something at ``target``.
    ReadError
        If the source cannot be read or has no electrode table.
    """
    target = Path(target)
    if target.exists():
        raise FileExistsError(f"{target} is there already; remove it or name another file")
    partial = target.with_name(target.name + ".partial")
    try:
        _copy(source, partial)
        with InsideFile(partial, "r+") as file:
            table = file.get(ELECTRODES)
            if not isinstance(table, h5py.Group) or "id" not in table:
                raise ReadError(
                    "write", f"{source} has no electrode table", "use the CSV beside it instead"
                )
            _add_columns(table, regions, model, watermark)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def write_regions_csv(
    target: str | PathLike[str],
    series: Sequence[LfpSummary],
    regions: Regions,
    *,
    model: str,
    watermark: str | None = None,
) -> Path:
    """One row per column of the data, in file order: a SpikeInterface property as it stands.

    Columns: series, column, electrode, region, confidence, model and, if there is one, watermark.
    """
    names = ["series", "column", "electrode", "region", "confidence", "model"]
    with Path(target).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(names + (["watermark"] if watermark else []))
        for one in series:
            for column, electrode in enumerate(one.channel_ids):
                region, confidence = _of(regions, electrode)
                shown = "" if math.isnan(confidence) else f"{confidence:.4f}"
                row = [one.series, column, electrode, region, shown, model]
                writer.writerow(row + ([watermark] if watermark else []))
    return Path(target)


def _of(regions: Regions, electrode: int) -> tuple[str, float]:
    region, confidence = regions.get(electrode, (None, None))
    return region or UNKNOWN, float("nan") if confidence is None else float(confidence)


def _copy(source: str | PathLike[str], target: Path) -> None:
    with open_nwb(source):  # refuses what is no NWB 2 before a byte is copied
        pass
    if "://" not in str(source):
        shutil.copyfile(source, target)
        return
    import fsspec

    with fsspec.open(str(source), "rb") as remote, target.open("wb") as local:
        shutil.copyfileobj(remote, local, 1 << 22)


def _add_columns(table: h5py.Group, regions: Regions, model: str, watermark: str | None) -> None:
    rows = [_of(regions, int(electrode)) for electrode in table["id"][()]]
    note = f" {watermark}." if watermark else ""
    by = f"by model {model} (fieldbase) from the field potential; not histology.{note}"
    _add(
        table,
        REGION_COLUMN,
        np.array([region for region, _ in rows], dtype=object),
        f"Brain region of this electrode as predicted {by}",
    )
    _add(
        table,
        CONFIDENCE_COLUMN,
        np.array([confidence for _, confidence in rows], dtype=np.float64),
        f"Confidence (0 to 1) of the region predicted {by}",
    )


def _add(table: h5py.Group, name: str, values: np.ndarray, description: str) -> None:
    if name in table:
        del table[name]
    text = values.dtype == object
    column = table.create_dataset(name, data=values, dtype=h5py.string_dtype() if text else None)
    sibling = table["location"].attrs if "location" in table else {}
    column.attrs["description"] = description
    column.attrs["namespace"] = as_text(sibling.get("namespace")) or "hdmf-common"
    column.attrs["neurodata_type"] = "VectorData"
    column.attrs["object_id"] = str(uuid.uuid4())
    if "help" in sibling:  # NWB 2.0 files validate against a schema that asks for it
        column.attrs["help"] = as_text(sibling["help"])
    names = [as_text(n) or "" for n in table.attrs.get("colnames", [])]
    if name not in names:
        fixed = names and table.attrs.get_id("colnames").dtype.kind == "S"  # ASCII stays ASCII
        table.attrs["colnames"] = np.array([*names, name], dtype="S" if fixed else object)
