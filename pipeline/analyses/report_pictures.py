"""The figures of a report, each drawn for a wide and for a narrow screen."""

import io
import re
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image  # comes with matplotlib

from . import plots
from .colours import ACCENT, INK, STYLE, region_colours
from .insertion_figure import NARROW_IN, WIDE_IN, save_figure, stamp
from .markup import Markup, data_uri, element, join
from .report_data import Confusion, EmbeddingMap

BREAK_PX = 720  # at and below this width the narrow drawing is shown


def picture(
    draw: Callable[[bool], Figure],
    *,
    alt: str,
    caption: str | Markup = "",
    watermark: str = "",
    light: bool = False,
) -> Markup:
    """A figure element; ``draw(narrow)`` makes the drawing. ``light`` is a third of the size."""
    uris = []
    for narrow in (False, True):
        figure = draw(narrow)
        if watermark:
            stamp(figure, watermark)
        if light:
            uris.append(data_uri(_few_colours(save_figure(figure, "png")), "image/png"))
        else:
            uris.append(data_uri(save_figure(figure), "image/svg+xml"))
    small = element("source", media=f"(max-width: {BREAK_PX}px)", srcset=uris[1])
    image = element("img", src=uris[0], alt=alt, loading="lazy", decoding="async")
    return element(
        "figure",
        element("picture", small, image),
        element("figcaption", caption) if caption else None,
    )


def panels(
    count: int,
    paint: Callable[[Figure, list], None],
    *,
    narrow: bool,
    columns: int,
    height_in: float,
    left_in: float = 0.7,
    right_in: float = 0.2,
    bottom_in: float = 0.5,
    top_in: float = 0.42,
    share: bool = False,
) -> Figure:
    """A grid of ``count`` equal Axes at fixed margins in inches, handed to ``paint``.

    ``share`` leaves the left margin only before the first column.
    """
    width = NARROW_IN if narrow else WIDE_IN
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    cell = (width - (left_in if share else 0)) / columns
    height = rows * (height_in + top_in + bottom_in)
    with matplotlib.rc_context(STYLE):
        figure, axes = Figure(figsize=(width, height)), []
        for place in range(count):
            row, column = divmod(place, columns)
            left = column * cell + left_in
            room = cell - right_in - (0 if share else left_in)
            bottom = height - (row + 1) * (height_in + top_in + bottom_in) + bottom_in
            box = (left / width, bottom / height, room / width, height_in / height)
            axes.append(figure.add_axes(box))
        paint(figure, axes)
    return figure


def forest_figure(
    groups: Sequence[tuple[str, pd.DataFrame]],
    *,
    narrow: bool,
    limits: tuple[float, float] | None = None,
    zero: bool = False,
    folds: Sequence[Mapping[str, Sequence[float]]] = (),
    published: bool = False,
) -> Figure:
    """One forest per (title, table) on one scale, every model on the same line in all of them.

    A ``model`` occurs at most once in a table; ``folds`` holds, per table, the single values.
    """
    order = list(dict.fromkeys(str(m) for _, t in groups for m in t["model"]))
    groups = [(title, t.set_index("model").reindex(order).reset_index()) for title, t in groups]
    longest, tallest = max(map(len, order)), len(order)
    left = 0.12 if narrow else 0.25 + 0.066 * min(longest, 34)
    single = [v for few in folds for one in few.values() for v in one]
    values = np.concatenate([single, *(_reach(table) for _, table in groups)])
    low, high = np.nanmin([*values, 0.0]), np.nanmax([*values, 0.0])
    limits = limits or (low - 0.06 * (high - low or 1), high + 0.06 * (high - low or 1))

    def paint(_: Figure, axes: list) -> None:
        for place, (ax, (title, table)) in enumerate(zip(axes, groups, strict=True)):
            names = [_short(m) for m in table["model"]]
            few = {order.index(m): one for m, one in folds[place].items()} if folds else None
            plots.score_forest(
                ax, names, table, zero=zero, folds=few, published=published, names_above=narrow
            )
            ax.set(xlim=limits, title=title)
            if not narrow and place % min(3, len(groups)):
                ax.set_yticklabels([])

    columns = 1 if narrow else min(3, len(groups))
    height = max(0.6, (0.42 if narrow else 0.3) * tallest + 0.1)
    return panels(len(groups), paint, narrow=narrow, columns=columns, height_in=height,
                  left_in=left, right_in=0.95, bottom_in=0.34, share=not narrow)  # fmt: skip


def confusion_figure(confusions: Sequence[Confusion], *, narrow: bool) -> Figure:
    """Small multiples, one per model and level."""
    widest = max(len(c.predicted) for c in confusions)
    tallest = max(len(c.classes) for c in confusions)
    longest = max(len(n) for c in confusions for n in (*c.classes, *c.predicted))
    columns = 1 if narrow else min(len(confusions), 3 if widest <= 6 else 2)
    margin = 0.42 + 0.06 * min(longest, 24)
    room = (NARROW_IN if narrow else WIDE_IN) / columns - margin - 0.25
    side = min(room, 0.46 * widest + 0.5)  # a small matrix stays small

    def paint(_: Figure, axes: list) -> None:
        for ax, one in zip(axes, confusions, strict=True):
            plots.confusion(ax, one.counts, one.classes, one.predicted)
            ax.set_anchor("NW")
            ax.set_title(f"{_short(one.model)}, {one.level}", pad=7)

    return panels(len(confusions), paint, narrow=narrow, columns=columns,
                  height_in=side * tallest / widest, left_in=margin, right_in=0.25 + room - side,
                  bottom_in=0.55 if longest <= 5 and widest <= 6 else margin + 0.12,
                  )  # fmt: skip


def curves_figure(table: pd.DataFrame, *, narrow: bool) -> Figure:
    """Training loss above validation, one column per model and stage."""
    runs = [(k, t) for k, t in table.groupby(["model", "stage"], sort=False, dropna=False)]
    wanted = [
        (f"{_short(model)}: {stage}", run, column, text, colour)
        for (model, stage), run in runs
        for column, text, colour in (
            ("train_loss", "training loss", INK),
            ("validation", "validation", ACCENT),
        )
        if column in run and run[column].notna().any()
    ]

    def paint(_: Figure, axes: list) -> None:
        for ax, (title, run, column, text, colour) in zip(axes, wanted, strict=True):
            plots.curves(ax, run, column, colour=colour)
            ax.set_title(title, fontsize=8.5, pad=7)
            ax.set(ylabel=text, xlabel="epoch")
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))

    columns = 1 if narrow else min(4, len(wanted))
    return panels(len(wanted), paint, narrow=narrow, columns=columns,
                  height_in=1.5 if narrow else 1.8)  # fmt: skip


def embedding_figure(one: EmbeddingMap, colours: Mapping[str, str], *, narrow: bool) -> Figure:
    """The same points twice: coloured by region, where any is known, and by session."""
    by = [("by region", one.region, colours)] if any(one.region) else []
    by.append(("by session", what_differs(one.session), None))

    def paint(_: Figure, axes: list) -> None:
        for ax, (title, labels, known) in zip(axes, by, strict=True):
            plots.embedding_scatter(ax, one.xy, labels, known or region_colours(labels, {}))
            ax.set_title(title)
            explained = [f"{e:.0%}" if np.isfinite(e) else "?" for e in one.explained]
            ax.set(xlabel=f"component 1 ({explained[0]})", ylabel=f"component 2 ({explained[1]})")
            if len(set(labels)) <= 12:
                ax.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1), handletextpad=0.1,
                          markerscale=1.6, labelspacing=0.3)  # fmt: skip

    beside = WIDE_IN / 2 if len(by) == 1 and not narrow else 0  # a lone one keeps its size
    return panels(len(by), paint, narrow=narrow, columns=1 if narrow else 2, height_in=2.9,
                  left_in=0.4, right_in=1.1 + beside, bottom_in=0.45)  # fmt: skip


def key(*entries: tuple[str, str]) -> Markup:
    """A line that explains marks: (class of the mark, what it is)."""
    return join([element("span", element("i", class_=f"mark {k}"), text, class_="entry")
                 for k, text in entries])  # fmt: skip


def _few_colours(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png)) as image, io.BytesIO() as file:
        image.convert("RGB").quantize(192, Image.Quantize.MAXCOVERAGE).save(
            file, "png", optimize=True
        )
        return file.getvalue()


def what_differs(names: Sequence[str]) -> list[str]:
    """The names without the parts, split at signs, that all of them begin or end with."""
    parts = {name: re.split(r"(?<=[_/ -])", name) for name in set(names)}
    if len(parts) < 2:
        return list(names)
    for end in (0, -1):
        while len({p[end] for p in parts.values()}) == 1 and all(
            len(p) > 1 for p in parts.values()
        ):
            for left in parts.values():
                left.pop(end)
    return ["".join(parts[name]).strip("_/ -") for name in names]


def _short(name: object) -> str:
    text = str(name)
    return text if len(text) <= 34 else text[:33] + "…"


def _reach(table: pd.DataFrame) -> np.ndarray:
    columns = [c for c in ("value", "chance", "low", "high", "published") if c in table]
    return table[columns].apply(pd.to_numeric).to_numpy(float).ravel()
