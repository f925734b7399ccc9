"""Stored windows come back as a WindowSet."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.recording import WindowSet

from . import anatomy, recording, session, windows
from ._cache import open_array
from ._tables import among

SITE_COLUMNS = ("depth_um", "x", "y", "z", "rel_x", "rel_y", "shank")
ARRAYS = ("window_start_s", "reasons", "lfp", "spikes", "behavior", "features")


def load_windows(
    name: str,
    *,
    scheme: str | None = None,
    label_set: str | None = None,
    regions: Sequence[str] | None = None,
) -> WindowSet:
    """One Windows row as arrays (memory-mapped) and tables; see `load_each`."""
    return load_each({name: label_set}, scheme=scheme, regions=regions)[name]


def load_each(
    label_sets: Mapping[str, str | None],
    *,
    scheme: str | None = None,
    regions: Sequence[str] | None = None,
    blocks: Mapping[str, list[dict[str, Any]]] | None = None,
) -> dict[str, WindowSet]:
    """Windows rows as arrays (memory-mapped) and tables, in as many statements as one takes.

    Parameters
    ----------
    label_sets
        Digest of each windows task, and whose labels fill the column ``region`` of its channels;
        None leaves it empty.
    scheme
        The names that labels are mapped to; None leaves all regions empty.
    regions
        Regions that count; a channel in another one has no label. None counts all.
    blocks
        Stretches that count (``block_start_s``, ``block_stop_s``, ``max_windows``), of each name;
        windows outside them are left out. None takes all.
    """
    rows = _rows(list(label_sets))
    tables = _channel_tables(label_sets, scheme)
    made = {}
    for name, label_set in label_sets.items():
        channels = _keep(tables[name], regions)
        stretches = None if blocks is None else blocks[name]
        labels = {"label_set": label_set, "scheme": scheme}
        made[name] = _windowset(rows[name], channels, stretches, labels)
    return made


def _windowset(row: dict[str, Any], channels: pd.DataFrame, blocks, labels: dict) -> WindowSet:
    arrays = {field: open_array(row[field]) for field in ARRAYS}
    starts = np.asarray(arrays["window_start_s"], float)
    valid = np.asarray(arrays["reasons"]) == 0
    keep = _inside(starts, row["length_s"], blocks)
    if not keep.all():
        arrays = {f: None if a is None else a[keep] for f, a in arrays.items()}
        starts, valid = starts[keep], valid[keep]
    bins = windows.BinParamSet.get(row).bin_s if row["bin_params"] else float("nan")
    return WindowSet(
        windows=row["windows"],
        session=row["session"],
        subject=row["subject"],
        source=row["source"],
        start_s=starts,
        window_s=row["length_s"],
        valid=valid,
        channels=channels,
        rate=float("nan") if row["lfp_rate_out"] is None else row["lfp_rate_out"],
        lfp=arrays["lfp"],
        bin_s=bins,
        spikes=arrays["spikes"],
        units=unit_table(row["windows"]) if arrays["spikes"] is not None else None,
        behavior=arrays["behavior"],
        features=arrays["features"],
        synthetic=bool(row["synthetic"]),
        provenance={
            "notes": row["window_notes"],
            "content_digest": row["content_digest"],
            **labels,
        },
    )


def _rows(names: list[str]) -> dict[str, dict[str, Any]]:
    """Windows rows, whose they are, and how long their windows are."""
    asked = windows.WindowsTask.proj("session", "window_params", "bin_params")
    of = session.Session.proj("subject", "source", "synthetic")
    lengths = windows.WindowParamSet.proj("length_s")
    rows = (windows.Windows * asked * of * lengths & _these("windows", names)).to_dicts()
    found = {row["windows"]: row for row in rows}
    for name in names:
        if name not in found:
            raise LookupError(f"windows {name} are not computed; populate Windows first")
    return found


def _channel_tables(
    label_sets: Mapping[str, str | None], scheme: str | None
) -> dict[str, pd.DataFrame]:
    """One row per column of the arrays: site, geometry, region and the label's evidence."""
    places = recording.Channel.proj(*SITE_COLUMNS, "coordinate_unit")
    rows = windows.Windows.Site * places & _these("windows", list(label_sets))
    sites: dict[str, list[dict[str, Any]]] = {name: [] for name in label_sets}
    for row in rows.to_dicts(order_by="windows, site"):
        sites[row["windows"]].append(row)
    asked = sorted({label_set for label_set in label_sets.values() if label_set is not None})
    regions, evidence = _labels(asked, scheme) if asked and scheme is not None else ({}, {})
    return {
        name: _channel_table(
            sites[name], regions.get(label_set, {}), evidence.get(label_set, "unknown")
        )
        for name, label_set in label_sets.items()
    }


def _labels(asked: list[str], scheme: str) -> tuple[dict[str, dict], dict[str, str]]:
    """Of each label set: the region of (probe, channel), and its evidence."""
    of_scheme = anatomy.ChannelLabel.Region & {"scheme": scheme}
    regions: dict[str, dict[tuple[str, int], str | None]] = {}
    for row in (of_scheme & _these("label_set", asked)).proj("region").to_dicts():
        regions.setdefault(row["label_set"], {})[row["probe"], row["channel"]] = row["region"]
    kinds = (recording.LabelSet & _these("label_set", asked)).proj("evidence").to_dicts()
    return regions, {row["label_set"]: row["evidence"] for row in kinds}


def _channel_table(
    sites: list[dict[str, Any]], regions: dict[tuple[str, int], str | None], evidence: str
) -> pd.DataFrame:
    named = [regions.get((row["probe"], row["channel"])) for row in sites]
    return pd.DataFrame(
        {
            "probe": [row["probe"] for row in sites],
            "channel": np.array([row["channel"] for row in sites], "int64"),
            **{column: np.array([row[column] for row in sites], float) for column in SITE_COLUMNS},
            "coordinate_unit": [row["coordinate_unit"] for row in sites],
            "region": pd.Series(named, dtype=object),
            "evidence": evidence,
        }
    )


def _these(column: str, values: list[str]) -> Any:
    return among([{column: value} for value in values])


def _keep(channels: pd.DataFrame, regions: Sequence[str] | None) -> pd.DataFrame:
    if regions is not None:
        channels["region"] = channels["region"].where(channels["region"].isin(list(regions)), None)
    return channels


def unit_table(name: str) -> pd.DataFrame:
    """One row per column of the counts: unit, its peak channel and region as given."""
    cells = windows.Windows.Cell * recording.Unit & {"windows": name}
    rows = cells.to_dicts(order_by="cell")
    table = pd.DataFrame(rows, columns=["unit", "probe", "channel", "quality", "unit_region"])
    return table.rename(columns={"unit_region": "region"})


def _inside(starts: np.ndarray, length_s: float, blocks) -> np.ndarray:
    from pipeline.preprocessing.splits import Assignment, select_windows

    if blocks is None:
        return np.ones(len(starts), bool)
    keep = np.zeros(len(starts), bool)
    for block in blocks:
        part = Assignment(
            "", "", block["block_start_s"], block["block_stop_s"], block["max_windows"]
        )
        keep |= select_windows(starts, length_s, part)
    return keep
