"""How diseased each region looks: one dot per session, and what permuting animals gives."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .colours import ACCENT, HAIRLINE, INK, WARM
from .markup import Markup, element, interval, join, number, table
from .report_pictures import key, panels, picture
from .report_scores import whole
from .report_sections import Section

COLOURS = {"diseased": WARM, "control": ACCENT}
LEAD = (
    "Abnormality is the share of a session's windows that the model calls diseased. Sessions count "
    "alike. The range is where 95 % of differences fall when other animals are called diseased, "
    "with all sessions of one together; answers stay as they are, models are not fitted again. p "
    "is two-sided and not corrected for the number of regions."
)


def abnormality(rows: pd.DataFrame, watermark: str = "") -> Section | None:
    """Shares per region, difference, permutation range and p of each model and seed.

    Parameters
    ----------
    rows
        Scores of the control: ``model, seed, metric, detail, value, chance, low, high, n, n_groups,
        reason``.
    """
    if rows.empty:
        return None
    image = None
    single = _sessions(rows)
    if len(single):
        model = single["model"].iloc[0]
        first = single[single["model"] == model]
        first = first[first["seed"] == first["seed"].iloc[0]]
        image = picture(
            lambda narrow: abnormality_figure(first, narrow=narrow),
            alt=f"Share of windows {model} calls diseased, by region and session",
            caption=join([
                f"{model}: one dot per session; the bar is the mean. ",
                key(("diseased", "diseased"), ("control-animal", "control")),
            ]),
            watermark=watermark,
        )  # fmt: skip
    parts = [element("p", LEAD, class_="lead"), image, _table(rows)]
    return Section("abnormality", "Abnormality by region", join(parts))


def _sessions(rows: pd.DataFrame) -> pd.DataFrame:
    single = rows[rows["metric"] == "abnormality_session"].copy()
    parts = single["detail"].str.split("; ", n=2, expand=True)
    if len(single):
        single["region"], single["condition"] = parts[0], parts[1]
    return single


def _table(rows: pd.DataFrame) -> Markup:
    made = []
    kinds = ("abnormality", "abnormality_difference", "abnormality_p")
    known = rows[rows["metric"].isin(kinds)]
    for (model, seed, region), group in known.groupby(["model", "seed", "detail"], sort=False):
        found = {row["metric"]: row for row in group.to_dict("records")}
        share = found["abnormality"]
        apart, p = found.get("abnormality_difference", {}), found.get("abnormality_p", {})
        made.append(
            {
                "model": model,
                "seed": seed,
                "region": region,
                "share": share["value"],
                "interval": interval(share["low"], share["high"]),
                "control": share["chance"],
                "difference": apart.get("value"),
                "range": interval(apart.get("low"), apart.get("high")),
                "p": p.get("value"),
                "smallest": p.get("chance"),
                "note": (p.get("reason") or share["reason"] or "").removeprefix("two-sided, "),
            }
        )
    heads = {
        "model": "model", "seed": "seed", "region": "region", "share": "diseased",
        "interval": "95 % interval", "control": "controls", "difference": "difference",
        "range": "if animals are permuted", "p": "p", "smallest": "smallest p", "note": "note",
    }  # fmt: skip
    frame = pd.DataFrame(made, columns=list(heads))
    if frame["seed"].nunique() < 2:
        del heads["seed"]
    show = dict.fromkeys(("share", "control", "difference", "p", "smallest"), number)
    numeric = ("share", "interval", "control", "difference", "range", "p", "smallest")
    caption = "Share of windows called diseased, in diseased animals and in controls."
    return table(frame, heads, caption=caption, show=show | {"seed": whole}, numeric=numeric)


def abnormality_figure(single: pd.DataFrame, *, narrow: bool) -> Figure:
    """Regions from the top, shares from left to right."""
    regions = list(dict.fromkeys(single["region"]))
    left = 0.25 + 0.066 * max(map(len, regions))

    def paint(_: Figure, axes: list) -> None:
        draw_abnormality(axes[0], single, regions)

    return panels(1, paint, narrow=narrow, columns=1, left_in=left, right_in=0.4, bottom_in=0.5,
                  top_in=0.15, height_in=max(0.8, 0.42 * len(regions)))  # fmt: skip


def draw_abnormality(ax: Axes, single: pd.DataFrame, regions: Sequence[str]) -> Axes:
    """Dots of diseased sessions above the line of their region, of controls below it."""
    for row, region in enumerate(regions):
        ax.axhline(row, color=HAIRLINE, lw=0.6, zorder=0)
        for condition, shift in (("diseased", -0.16), ("control", 0.16)):
            mine = single[(single["region"] == region) & (single["condition"] == condition)]
            values = pd.to_numeric(mine["value"]).to_numpy(float)
            if not len(values):
                continue
            colour = COLOURS[condition]
            at = np.full(len(values), row + shift)
            ax.plot(values, at, "o", ms=4.5, mfc="white", mec=colour, mew=1.1)
            ax.plot([values.mean()] * 2, [row + shift - 0.14, row + shift + 0.14], "-",
                    color=colour, lw=2.2)  # fmt: skip
    ax.set_yticks(range(len(regions)), list(regions))
    ax.set(xlim=(-0.03, 1.03), ylim=(len(regions) - 0.5, -0.5), xlabel="share called diseased")
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.spines["left"].set_visible(False)
    return ax
