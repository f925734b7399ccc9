"""Drawings of scores: each takes an Axes and returns it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Integer
from matplotlib.axes import Axes

from .colours import ACCENT, HAIRLINE, INK, MUTED, UNKNOWN_COLOUR, WARM

MAX_COUNTED = 12  # classes up to which a confusion matrix has its counts written in


def confusion(
    ax: Axes,
    counts: Integer[np.ndarray, "true predicted"],
    classes: Sequence[str],
    predicted: Sequence[str],
) -> Axes:
    """Rows are true classes and sum to one in colour; the numbers written are counts."""
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    small = 7.5 if len(predicted) <= 10 else 6
    if max(counts.shape) <= MAX_COUNTED:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if share[row, column] > 0.55 else INK if count else "#b6bec7"
            ax.text(column, row, f"{count:,}", ha="center", va="center", color=colour,
                    fontsize=small)  # fmt: skip
    turn = 0 if len(predicted) <= 6 and max(map(len, predicted), default=0) <= 5 else 90
    ax.set_xticks(range(len(predicted)), predicted, rotation=turn, fontsize=small)
    ax.set_yticks(range(len(classes)), classes, fontsize=small)
    ax.tick_params(length=0)
    ax.set(xlabel="predicted", ylabel="label")
    for spine in ax.spines.values():
        spine.set(visible=True, color=HAIRLINE)
    return ax


def score_forest(
    ax: Axes,
    names: Sequence[str],
    table: pd.DataFrame,
    *,
    zero: bool = False,
    folds: Mapping[int, Sequence[float]] | None = None,
    published: bool = False,
    names_above: bool = False,
) -> Axes:
    """One line per row of ``table`` (``value, chance, low, high, n``): dot, interval, chance tick.

    Parameters
    ----------
    zero
        Draw the line of zero (silhouettes, differences).
    folds
        Values of single folds by place in `names`, as small open dots.
    published
        Also draw the column ``published`` as a diamond.
    names_above
        Write each name above its line, for a narrow picture.
    """
    for place, row in enumerate(table.to_dict("records")):
        _forest_line(ax, place, row, list((folds or {}).get(place, ())), published)
        ax.plot(_number(row.get("chance")), place, "|", color=INK, mew=1.6,
                ms=9 if names_above else 13)  # fmt: skip
        if names_above:
            ax.annotate(names[place], (0, place), (0, 7.5), ("axes fraction", "data"),
                        "offset points", fontsize=8, color=INK)  # fmt: skip
    if zero:
        ax.axvline(0, color=MUTED, lw=0.7, zorder=0)
    ax.set_yticks(range(len(names)), [""] * len(names) if names_above else names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.spines["left"].set_visible(False)
    return ax


def _forest_line(
    ax: Axes, place: int, row: Mapping[Any, Any], folds: list[float], published: bool
) -> None:
    value = _number(row.get("value"))
    low, high = _number(row.get("low")), _number(row.get("high"))
    ax.axhline(place, color=HAIRLINE, lw=0.6, zorder=0)
    if np.isfinite([low, high]).all():
        ax.plot([low, high], [place, place], color=ACCENT, lw=2.6, alpha=0.45,
                solid_capstyle="round")  # fmt: skip
    ax.plot(folds, [place + 0.24] * len(folds), "o", ms=2.6, mfc="none", mec=MUTED, mew=0.6)
    if published:
        ax.plot(_number(row.get("published")), place, "D", ms=4.5, mfc="white", mec=WARM)
    ax.plot(value, place, "o", ms=6, color=ACCENT, mec="white", mew=0.8, zorder=3)
    ax.annotate(_caption(value, row.get("n")), (1, place), (6, 0), ("axes fraction", "data"),
                "offset points", va="center", fontsize=7.5, color=INK)  # fmt: skip


def silhouettes_bar(ax: Axes, table: pd.DataFrame) -> Axes:
    """Silhouettes of one grouping, one line per ``model``; right of zero means separated."""
    return score_forest(ax, table["model"].astype(str).tolist(), table, zero=True)


def probes_bar(ax: Axes, table: pd.DataFrame) -> Axes:
    """Accuracy of linear probes of one target, one line per ``model``, with chance as a tick."""
    score_forest(ax, table["model"].astype(str).tolist(), table)
    ax.set_xlim(0, 1)
    return ax


def curves(ax: Axes, table: pd.DataFrame, column: str, *, colour: str = ACCENT) -> Axes:
    """A column of ``table`` by ``epoch``, one thin line per fold and seed."""
    runs = [name for name in ("fold", "seed") if name in table]
    groups = table.groupby(runs, dropna=False, sort=True) if runs else [(None, table)]
    for _, run in groups:
        run = run.dropna(subset=[column]).sort_values("epoch")
        mark = "o" if len(run) < 3 else None
        ax.plot(run["epoch"], run[column], color=colour, lw=1.2, alpha=0.75, marker=mark, ms=3)
    ax.xaxis.get_major_locator().set_params(integer=True, nbins=5)
    ax.margins(x=0.02)
    return ax


def embedding_scatter(
    ax: Axes,
    xy: Float[np.ndarray, "row 2"],
    labels: Sequence[str | None],
    colours: Mapping[str, str],
) -> Axes:
    """Points on two principal components, coloured by label; unlabelled points lie beneath."""
    names = np.array([n if isinstance(n, str) else "" for n in labels], dtype=object)
    size = float(np.clip(4000 / max(1, len(xy)), 2, 14))
    for name in sorted(set(names), key=lambda n: (n != "", n)):
        at = names == name
        ax.scatter(*xy[at].T, s=size, lw=0, alpha=0.7, color=colours.get(name, UNKNOWN_COLOUR),
                   label=name or "no label", rasterized=True)  # fmt: skip
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=HAIRLINE)
    return ax


def _number(value: Any) -> float:
    return float("nan") if value is None or pd.isna(value) else float(value)


def _caption(value: float, n: Any) -> str:
    text = "—" if np.isnan(value) else f"{value:.2f}".replace("-", "−")
    return text if n is None or pd.isna(n) else f"{text}   n {int(n):,}"
