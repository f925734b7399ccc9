"""Stored windows come back as a WindowSet."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.recording import WindowSet

from . import anatomy, recording, session, windows
from ._cache import open_array

SITE_COLUMNS = ("depth_um", "x", "y", "z", "rel_x", "rel_y", "shank")


def load_windows(
    name: str,
    *,
    scheme: str | None = None,
    label_set: str | None = None,
    regions: Sequence[str] | None = None,
    blocks: list[dict[str, Any]] | None = None,
) -> WindowSet:
    """One Windows row as arrays (memory-mapped) and tables.

    Parameters
    ----------
    name
        Digest of the windows task.
    scheme, label_set
        Which labels fill the column ``region`` of the channels; None leaves it empty.
    regions
        Regions that count; a channel in another one has no label. None counts all.
    blocks
        Stretches that count (``block_start_s``, ``block_stop_s``, ``max_windows``); windows
        outside them are left out. None takes all.
    """
    key = {"windows": name}
    row = (windows.Windows * windows.WindowsTask * session.Session & key).to_dicts()
    if not row:
        raise LookupError(f"windows {name} are not computed; populate Windows first")
    row = row[0]
    arrays = {
        field: open_array(row[field])
        for field in ("window_start_s", "reasons", "lfp", "spikes", "behavior", "features")
    }
    starts = np.asarray(arrays["window_start_s"], float)
    length_s = windows.WindowParamSet.get(row).length_s
    valid = np.asarray(arrays["reasons"]) == 0
    keep = _inside(starts, length_s, blocks)
    if not keep.all():
        arrays = {f: None if a is None else a[keep] for f, a in arrays.items()}
        starts, valid = starts[keep], valid[keep]
    bins = windows.BinParamSet.get(row).bin_s if row["bin_params"] else float("nan")
    return WindowSet(
        windows=name,
        session=row["session"],
        subject=row["subject"],
        source=row["source"],
        start_s=starts,
        window_s=length_s,
        valid=valid,
        channels=_keep(channel_table(name, scheme=scheme, label_set=label_set), regions),
        rate=float("nan") if row["lfp_rate_out"] is None else row["lfp_rate_out"],
        lfp=arrays["lfp"],
        bin_s=bins,
        spikes=arrays["spikes"],
        units=unit_table(name) if arrays["spikes"] is not None else None,
        behavior=arrays["behavior"],
        features=arrays["features"],
        synthetic=bool(row["synthetic"]),
        provenance={
            "notes": row["window_notes"],
            "content_digest": row["content_digest"],
            "label_set": label_set,
            "scheme": scheme,
        },
    )


def channel_table(
    name: str, *, scheme: str | None = None, label_set: str | None = None
) -> pd.DataFrame:
    """One row per column of the arrays: site, geometry, region and the label's evidence."""
    sites = windows.Windows.Site * recording.Channel & {"windows": name}
    rows = sites.to_dicts(order_by="site")
    table = pd.DataFrame(rows, columns=["probe", "channel", *SITE_COLUMNS, "coordinate_unit"])
    table["channel"] = table["channel"].astype("int64")
    numeric = list(SITE_COLUMNS)
    table[numeric] = table[numeric].apply(pd.to_numeric, errors="coerce").astype(float)
    table["region"] = pd.Series([None] * len(table), dtype=object)
    table["evidence"] = "unknown"
    if label_set is not None and scheme is not None and len(table):
        labels = anatomy.ChannelLabel.Region & {"label_set": label_set, "scheme": scheme}
        known = {(r["probe"], r["channel"]): r["region"] for r in labels.to_dicts()}
        places = zip(table["probe"], table["channel"], strict=True)
        table["region"] = pd.Series([known.get(place) for place in places], dtype=object)
        table["evidence"] = (recording.LabelSet & {"label_set": label_set}).fetch1("evidence")
    return table


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
