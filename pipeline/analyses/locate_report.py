"""What `fieldbase locate` hands back for one probe: a picture and a few lines of text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .colours import region_colours
from .insertion_figure import channel_groups, draw_insertion, drawing_notes, save_figure
from .report_data import InsertionReport


@dataclass(frozen=True)
class LocateReport:
    """A PNG, the notes that belong under it, and the regions from the top of the probe down."""

    png: bytes
    notes: list[str]
    runs: pd.DataFrame


def render_locate(
    insertion: InsertionReport,
    colours: Mapping[str, str],
    *,
    warnings: Sequence[str] = (),
    watermark: str = "",
    dpi: int = 150,
) -> LocateReport:
    """Power, predicted region, confidence, file label and theta/ripple power of one probe.

    Without predictions the picture shows what needs no model. The watermark goes across the
    picture and leads the notes.

    Parameters
    ----------
    colours
        Region -> "#rrggbb" (Allen).
    warnings
        Sentences about the distance to the training domain; they come first.
    """
    named = [name for c in ("region_pred", "region_file") for name in insertion.channels.get(c, ())]
    title = f"{insertion.session}, {insertion.probe}"
    figure = draw_insertion(
        insertion, region_colours(named, colours), watermark=watermark, title=title
    )
    notes = [watermark] if watermark else []
    notes += [*warnings, *drawing_notes(insertion), *insertion.notes]
    return LocateReport(save_figure(figure, "png", dpi=dpi), notes, region_runs(insertion))


def region_runs(insertion: InsertionReport) -> pd.DataFrame:
    """Neighbouring channels of one predicted region put together, from the surface to the tip.

    Returns
    -------
    DataFrame
        ``shank`` (title, empty if there is one), ``region``, ``from_um``, ``to_um`` (NaN without
        depth), ``n_channels``, ``confidence`` (median). Empty without predictions.
    """
    columns = ["shank", "region", "from_um", "to_um", "n_channels", "confidence"]
    if "region_pred" not in insertion.channels:
        return pd.DataFrame(columns=columns)
    runs = []
    for group in channel_groups(insertion.channels):
        rows = insertion.channels.iloc[group.rows].reset_index(drop=True)
        depth = pd.to_numeric(rows.get("depth_um", pd.Series(np.nan, rows.index)))
        rows = rows.assign(depth=depth, name=rows["region_pred"].fillna("unknown"))
        rows = rows.sort_values("depth", ascending=False, kind="stable")
        for _, run in rows.groupby((rows["name"] != rows["name"].shift()).cumsum()):
            runs.append(
                (group.title, run["name"].iloc[0], run["depth"].min(), run["depth"].max(),
                 len(run), run["confidence"].median())
            )  # fmt: skip
    return pd.DataFrame(runs, columns=columns)
