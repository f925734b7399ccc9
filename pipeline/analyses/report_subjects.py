"""Every subject's value, models compared over subjects, and what seeds add."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..evaluation.paired import EXACT_UP_TO, compare_models, spread
from .colours import ACCENT, HAIRLINE, INK, MUTED
from .markup import Markup, element, join, number, table
from .report_data import SubjectValues, metric_name
from .report_pictures import key, panels, picture, what_differs
from .report_scores import whole
from .report_sections import Section

ENOUGH = 2
"""Subjects below which there is nothing to draw or to compare."""


def subjects(values: SubjectValues | None, watermark: str = "") -> Section | None:
    """A line per subject through all models, tests over subjects, and components of variance."""
    if values is None or values.rows["subject"].nunique() < ENOUGH:
        return None
    shown = values.rows.dropna(subset=["value"])
    if shown.empty:
        return None
    image = picture(
        lambda narrow: subjects_figure(shown, values.models, narrow=narrow),
        alt=f"{metric_name(values.metric)} of every subject by model",
        caption=key(
            ("dot", "mean of subjects"),
            ("fold", "one subject, joined by a line; its bar spans seeds"),
            ("chance", "chance"),
        ),
        watermark=watermark,
    )
    lead = element("p", _lead(values, shown), class_="lead")
    parts = [lead, image, _comparisons(values, shown), _variation(values, shown)]
    summary = element("summary", "The same values as a table")
    parts.append(element("details", summary, _every(values, shown)))
    return Section("subjects", "Subjects", join(parts))


def _lead(values: SubjectValues, shown: pd.DataFrame) -> str:
    n = shown["subject"].nunique()
    return (
        f"{metric_name(values.metric).capitalize()} of each of {n} subjects, {values.level} level, "
        "scored by itself; of several seeds the mean. Pooled scores weigh subjects by their "
        "samples, these do not."
    )


def _comparisons(values: SubjectValues, shown: pd.DataFrame) -> Markup | None:
    rows = compare_models(shown, values.models[0])
    if rows.empty:
        return None
    order = {name: at for at, name in enumerate(values.models)}
    rows = rows.sort_values("model", key=lambda names: names.map(order))
    most = int(rows["n"].max())
    how = (
        "exact sign-flip test over subjects"
        if most <= EXACT_UP_TO
        else "sign-flip test over subjects, exact up to 20 and of 100,000 random flips beyond"
    )
    caption = (
        f"Against {values.models[0]}: {how}, two-sided. No p can be below the smallest, however "
        f"large the difference; p is not corrected for {len(rows)} "
        f"comparison{'s' * (len(rows) > 1)}."
    )
    heads = {"model": "model", "difference": "difference", "n": "subjects", "seeds": "seeds",
             "p": "p", "smallest": "smallest p"}  # fmt: skip
    show = dict.fromkeys(("difference", "p", "smallest"), number) | {"n": whole, "seeds": whole}
    return table(rows, heads, caption=caption, show=show, numeric=tuple(heads)[1:])


def _variation(values: SubjectValues, shown: pd.DataFrame) -> Markup:
    rows = []
    for model in values.models:
        mine = shown[shown["model"] == model]
        if mine.empty:
            continue
        grid = mine.pivot_table(index="seed", columns="subject", values="value")
        found = spread(grid.to_numpy(float))
        rows.append(
            {
                "model": model,
                "mean": float(grid.mean().mean()),
                "subject_sd": found.subject_sd,
                "seed_sd": found.seed_sd,
                "rest_sd": found.rest_sd,
                "subjects": found.subjects,
                "seeds": found.seeds,
            }
        )
    heads = {"model": "model", "mean": "mean", "subject_sd": "SD, subjects", "seed_sd": "SD, seeds",
             "rest_sd": "SD, rest", "subjects": "subjects", "seeds": "seeds"}  # fmt: skip
    show = dict.fromkeys(("mean", "subject_sd", "seed_sd", "rest_sd"), number)
    show |= {"subjects": whole, "seeds": whole}
    caption = (
        "What subjects and what seeds vary, kept apart (components of variance); with one seed "
        "what seeds add is unknown and counted with subjects."
    )
    return table(pd.DataFrame(rows), heads, caption=caption, show=show, numeric=tuple(heads)[1:])


def _every(values: SubjectValues, shown: pd.DataFrame) -> Markup:
    wide = shown.pivot_table(index="subject", columns="model", values="value", sort=False)
    models = [name for name in values.models if name in wide]
    rows = wide[models].reset_index()
    rows.insert(1, "\0chance", _chances(shown, rows["subject"]))
    heads = {"subject": "subject", "\0chance": "chance", **{name: name for name in models}}
    show = dict.fromkeys((*models, "\0chance"), number)
    caption = f"{metric_name(values.metric).capitalize()} of each subject."
    return table(rows, heads, caption=caption, show=show, numeric=("\0chance", *models))


def _chances(shown: pd.DataFrame, subjects: pd.Series) -> list[float]:
    return shown.groupby("subject")["chance"].first().reindex(subjects).tolist()


@dataclass(frozen=True)
class _Lines:
    """Where each model stands, from the top, and each subject's mean over seeds."""

    models: Sequence[str]
    means: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    chance: float


def subjects_figure(shown: pd.DataFrame, models: Sequence[str], *, narrow: bool) -> Figure:
    """One row per model, one thin line per subject through all rows."""
    by = shown.groupby(["model", "subject"], sort=False)["value"]
    wide = [by.agg(how).unstack("subject") for how in ("mean", "min", "max")]
    known = [name for name in models if name in wide[0].index]
    chance = pd.to_numeric(shown["chance"]).mean()
    lines = _Lines(known, *(one.loc[known] for one in wide), chance)
    longest = max(map(len, known))
    left = 0.12 if narrow else 0.25 + 0.066 * min(longest, 34)

    def paint(_: Figure, axes: list) -> None:
        draw_subjects(axes[0], lines, names_above=narrow)

    return panels(1, paint, narrow=narrow, columns=1, left_in=left, right_in=0.95, bottom_in=0.34,
                  height_in=max(0.8, (0.46 if narrow else 0.4) * len(known) + 0.2))  # fmt: skip


def draw_subjects(ax: Axes, lines: _Lines, *, names_above: bool) -> Axes:
    """Subjects as open dots joined from model to model, their mean as a full one."""
    rows = np.arange(len(lines.models))
    shifts = np.linspace(-0.2, 0.2, lines.means.shape[1])  # equal values stay apart
    for shift, subject in zip(shifts, lines.means, strict=True):
        at, values = rows + shift, lines.means[subject]
        ax.plot(values, at, "-", color=HAIRLINE, lw=0.9, zorder=1)
        ax.plot(values, at, "o", ms=4, mfc="white", mec=MUTED, mew=0.8, zorder=2)
        ax.hlines(at, lines.low[subject], lines.high[subject], color=MUTED, lw=0.8, zorder=1)
    for row, name in enumerate(lines.models):
        values = lines.means.loc[name].dropna()
        ax.plot(values.mean(), row, "o", ms=7, color=ACCENT, mec="white", mew=0.8, zorder=3)
        said = f"{values.mean():.2f}   n {len(values)}"
        ax.annotate(said, (1, row), (6, 0), ("axes fraction", "data"), "offset points",
                    va="center", fontsize=7.5, color=INK)  # fmt: skip
        if names_above:
            ax.annotate(name, (0, row), (0, 8.5), ("axes fraction", "data"), "offset points",
                        fontsize=8, color=INK)  # fmt: skip
    if np.isfinite(lines.chance):
        ax.axvline(lines.chance, color=INK, lw=0.8, ls=(0, (3, 3)), zorder=0)
    ax.set_yticks(rows, [""] * len(rows) if names_above else list(lines.models))
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(-0.03, 1.03)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.spines["left"].set_visible(False)
    return ax


def short_subjects(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with subjects called by what differs between their names."""
    names = list(rows["subject"].unique())
    return rows.assign(
        subject=rows["subject"].map(dict(zip(names, what_differs(names), strict=True)))
    )
