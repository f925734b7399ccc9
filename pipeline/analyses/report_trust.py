"""How far a confidence is to be believed: reliability, temperatures, answers at a stated risk."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..evaluation.calibration_control import ACCURACY, AFTER, BEFORE, CONFIDENCE, OWN
from .colours import ACCENT, HAIRLINE, MUTED, WARM
from .insertion_figure import NARROW_IN, WIDE_IN
from .markup import Markup, element, interval, join, number, table
from .report_pictures import key, panels, picture
from .report_scores import whole
from .report_sections import Section

LEAD = (
    "A calibrated confidence of 0.8 is right eight times in ten. The calibration error (ECE) is "
    "the mean gap between confidence and accuracy over bins, weighted by count. The in-lab "
    "temperature is fitted on validation subjects; a temperature marked diagnostic is fitted on "
    "the very labels it is tested on, which nobody has beforehand: it says how far off the in-lab "
    "one is. Resampling subjects widens gaps, so an interval may lie above its value."
)
RISKS = ("risk", "coverage", "threshold")
HEADS = {
    "model": "model", "seed": "seed", "level": "level", "what": "of", "value": "value",
    "interval": "95 % interval", "chance": "chance", "n": "n", "n_groups": "subjects",
    "note": "note",
}  # fmt: skip
SIDE_IN = 1.9
MOST = 6
"""Diagrams of a report."""


def trust(rows: pd.DataFrame, watermark: str = "") -> Section | None:
    """Reliability diagrams and two tables.

    Parameters
    ----------
    rows
        Scores of the control "calibration", and of evaluations the metrics of `RISKS`: ``model,
        seed, level, metric, detail, value, chance, low, high, n, n_groups, reason``.
    """
    if rows.empty:
        return None
    parts: list[Markup | None] = [element("p", LEAD, class_="lead")]
    drawn = reliability_panels(rows)
    if drawn:
        parts.append(picture(
            lambda narrow: reliability_figure(drawn, narrow=narrow),
            alt="Accuracy by confidence, before and after the in-lab temperature",
            caption=join([
                "Accuracy by confidence of each bin with 1 % of the samples or more; on the line "
                "both are the same. ",
                key(("dot", "as the model says"), ("diseased", "at the in-lab temperature")),
            ]),
            watermark=watermark,
        ))  # fmt: skip
    errors = rows[rows["metric"].isin(["ece", "temperature"])]
    if len(errors):
        parts.append(_table(errors, "Calibration error, and the temperatures of each fold."))
    risks = rows[rows["metric"].isin(RISKS)]
    if len(risks):
        caption = (
            "Answers at a stated risk: share answered, share of these that is wrong (chance: "
            "naming the commonest region), and the least confidence of an answer, chosen on "
            "validation subjects."
        )
        parts.append(_table(risks, caption))
    return Section("trust", "Confidence", join(parts))


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Models as they come; of each windows before channels, and what was before what came after."""
    parts = ("ece", *RISKS, "temperature")
    first = [BEFORE, AFTER, OWN]
    place = pd.DataFrame({
        "model": pd.factorize(rows["model"])[0],
        "seed": rows["seed"],
        "level": rows["level"].ne("window"),
        "metric": rows["metric"].map(parts.index),
        "detail": [first.index(d) if d in first else len(first) for d in rows["detail"]],
        "wanted": rows["detail"].str.contains("diagnostic"),
        "text": rows["detail"],
    })  # fmt: skip
    order = place.reset_index(drop=True).sort_values(list(place.columns), kind="stable").index
    return rows.iloc[order]


def _table(rows: pd.DataFrame, caption: str) -> Markup:
    rows = _in_order(rows)
    names = {"ece": "ECE", "threshold": "least confidence"}
    frame = rows.assign(
        what=[f"{names.get(row.metric, row.metric)}, {row.detail}" for row in rows.itertuples()],
        interval=[interval(low, high) for low, high in zip(rows["low"], rows["high"], strict=True)],
        note=rows["reason"].map(lambda text: text if isinstance(text, str) else ""),
    )
    heads = dict(HEADS)
    for name in ("seed", "chance"):
        if frame[name].nunique() < (2 if name == "seed" else 1):
            del heads[name]
    show = {"value": number, "chance": number, "n": whole, "n_groups": whole, "seed": whole}
    numeric = ("value", "interval", "chance", "n", "n_groups")
    return table(frame, heads, caption=caption, show=show, numeric=numeric)


def reliability_panels(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Title, and ``what, confidence, accuracy, low, high, n`` of bins, by model (first seed)."""
    bins = rows[rows["metric"].isin([CONFIDENCE, ACCURACY])]
    if bins.empty:
        return []
    parts = bins["detail"].str.rsplit(", ", n=1, expand=True)
    bins = bins.assign(what=parts[0], edges=parts[1])
    found = []
    for (model, level), group in bins.groupby(["model", "level"], sort=False):
        group = group[group["seed"] == group["seed"].iloc[0]]
        place = ["what", "edges"]
        sure = group[group["metric"] == CONFIDENCE].set_index(place)["value"]
        right = group[group["metric"] == ACCURACY].set_index(place)[["value", "low", "high", "n"]]
        joined = right.rename(columns={"value": "accuracy"}).join(sure.rename("confidence"))
        joined = joined.reset_index()
        total = joined.groupby("what")["n"].transform("sum")
        found.append((f"{model}, {level}", joined[joined["n"] >= 0.01 * total]))
    return found[:MOST]


def reliability_figure(drawn: Sequence[tuple[str, pd.DataFrame]], *, narrow: bool) -> Figure:
    """One square per model and level."""

    def paint(_: Figure, axes: list) -> None:
        for ax, (title, bins) in zip(axes, drawn, strict=True):
            draw_reliability(ax, bins)
            ax.set_title(title)

    columns = 1 if narrow else min(3, len(drawn))
    room = (NARROW_IN if narrow else WIDE_IN) / columns - 0.7
    return panels(len(drawn), paint, narrow=narrow, columns=columns, height_in=SIDE_IN,
                  right_in=max(0.2, room - SIDE_IN))  # fmt: skip


def draw_reliability(ax: Axes, bins: pd.DataFrame) -> Axes:
    """Accuracy with its interval by confidence; the diagonal is calibrated."""
    ax.plot([0, 1], [0, 1], "-", color=HAIRLINE, lw=1.0, zorder=0)
    for what, group in bins.groupby("what", sort=False):
        colour = ACCENT if what == BEFORE else WARM
        columns = ("confidence", "accuracy", "low", "high")
        sure, right, low, high = (group[name].to_numpy(float) for name in columns)
        known = np.isfinite(low)
        ax.vlines(sure[known], low[known], high[known], color=colour, lw=0.9, alpha=0.6)
        ax.plot(sure, right, "o-", color=colour, ms=3.2, lw=0.9)
    ax.set(xlim=(0, 1.02), ylim=(-0.02, 1.02), xlabel="confidence", ylabel="accuracy")
    ax.tick_params(labelcolor=MUTED)
    return ax
