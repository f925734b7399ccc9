"""One picture per insertion: power, region, confidence and file label on one depth axis."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .colours import HAIRLINE, INK, MUTED, STYLE, UNKNOWN_COLOUR, WARM
from .depth_plots import (
    depth_bands,
    depth_confidence,
    depth_phase,
    depth_positions,
    depth_power,
    depth_regions,
    mark_bad,
    merge_frequencies,
    power_span,
)
from .regions import UNKNOWN, shank_order
from .report_data import InsertionReport
from .spectra import Spectra, SpectraParams, band_power, find_reversals

WIDE_IN, NARROW_IN = 10.4, 3.7
_SHARE = {
    "power": 2.5,
    "predicted": 0.85,
    "confidence": 0.75,
    "label": 0.85,
    "bands": 1.15,
    "phase": 0.85,
}
_NARROW_SHARE = {**_SHARE, "power": 1.5}
_PATH, _LONG = re.compile(rb' d="[^"]*"'), re.compile(rb"(\.\d\d)\d+")
RIPPLE_HZ = SpectraParams().ripple[1]
REVERSAL = {"color": INK, "lw": 0.8, "ls": (0, (4, 2))}
_GAP_IN, _LEFT_IN, _RIGHT_IN, _TOP_IN, _AXIS_IN = 0.12, 0.62, 0.14, 0.62, 0.46


@dataclass(frozen=True)
class _Group:
    """Channels that share one depth axis: a shank, or what of it has no depth."""

    title: str
    rows: np.ndarray


def draw_insertion(
    insertion: InsertionReport,
    colours: Mapping[str, str],
    *,
    narrow: bool = False,
    watermark: str = "",
    spectra: SpectraParams | None = None,
    title: str = "",
) -> Figure:
    """The picture of one probe, about 10 inches wide, or 3.7 if `narrow`.

    Panels that have nothing to show are left out. Shanks stand side by side, each with its own
    panels; channels without a depth are drawn in file order and the axis says so.
    """
    groups, params = channel_groups(insertion.channels), spectra or SpectraParams()
    panels = _panels(insertion, narrow=narrow, many=len(groups) > 1)
    per_row = 1 if narrow else min(2, len(groups))
    n_rows = -(-len(groups) // per_row)
    each = (2.7 if narrow else 3.3) if len(groups) > 1 else (4.2 if narrow else 4.6)
    turning = any(_reversals(insertion, group, params) for group in groups)
    entries = _legend_entries(insertion, colours, panels, turning)
    width = NARROW_IN if narrow else WIDE_IN
    columns = _legend_columns(entries, width - _LEFT_IN)
    legend_in = 0.18 * -(-len(entries) // columns) + 0.1
    head_in = 0.3 if title else 0.0
    height = n_rows * (each + _TOP_IN + _AXIS_IN) + legend_in + head_in
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        span = _common_span(insertion)
        for place, group in enumerate(groups):
            row, column = divmod(place, per_row)
            top = height - head_in - row * (each + _TOP_IN + _AXIS_IN) - _TOP_IN
            axes = _axes_row(figure, panels, column, per_row, top, each)
            _draw_group(axes, insertion, group, colours, span, params)
        _legend(figure, entries, columns)
        if title:
            figure.text(_LEFT_IN / width, 1 - 0.24 / height, title, fontsize=11, weight="bold")
        if watermark:
            stamp(figure, watermark)
    return figure


def stamp(figure: Figure, text: str) -> Figure:
    """Write a word across a picture, so that no copy of it loses it."""
    width, height = figure.get_size_inches()
    n = max(1, round(height / max(width, 4)))
    for place in range(n):
        figure.text(
            0.5, (place + 0.5) / n, text, rotation=24, ha="center", va="center", color="#7a1f1f",
            fontsize=min(54, 72 * width / max(8, 0.75 * len(text))), weight="bold", alpha=0.16,
            zorder=99,
        )  # fmt: skip
    return figure


def save_figure(figure: Figure, kind: str = "svg", *, dpi: int = 110) -> bytes:
    """The picture as a file; the same figure gives the same bytes.

    ``kind`` is "svg" (the heat map inside is raster) or "png".
    """
    silent = {"Creator": None, "Date": None, "Format": None, "Type": None} if kind == "svg" else {}
    with matplotlib.rc_context(STYLE), io.BytesIO() as file:
        figure.savefig(file, format=kind, dpi=dpi, metadata=silent)
        drawn = file.getvalue()
    return _PATH.sub(_round_path, drawn) if kind == "svg" else drawn


def _round_path(path: re.Match) -> bytes:
    """A hundredth of a point is enough; it halves the file."""
    return _LONG.sub(rb"\1", path.group())


def channel_groups(channels: pd.DataFrame) -> list[_Group]:
    """The shanks of a probe; channels without a depth, if only some have none, are set apart."""
    depth = pd.to_numeric(channels.get("depth_um", pd.Series(np.nan, channels.index)))
    known = depth.notna().to_numpy()
    shanks = shank_order(channels)
    groups = []
    for place, rows in enumerate(shanks):
        rows = np.sort(rows)
        title = f"shank {place + 1}" if len(shanks) > 1 else ""
        if known[rows].any() and not known[rows].all():
            groups.append(_Group(title, rows[known[rows]]))
            rows, title = rows[~known[rows]], f"{title} no depth".strip()
        groups.append(_Group(title, rows))
    return groups


def drawing_notes(insertion: InsertionReport) -> list[str]:
    """What a reader must know about the picture: missing depths, bad channels, evidence."""
    channels, notes = insertion.channels, []
    depth = pd.to_numeric(channels.get("depth_um", pd.Series(np.nan, channels.index)))
    if depth.isna().any():
        which = (
            "No channel has a"
            if depth.isna().all()
            else (f"{counted(depth.isna().sum(), 'channel')} without a")
        )
        notes.append(f"{which} depth in the file: drawn in file order.")
    bad = channels.get("bad", pd.Series(False, channels.index)).eq(True)
    if bad.any():
        notes.append(f"{counted(bad.sum(), 'bad channel')}, marked × and left blank.")
    unread = ~np.isfinite(insertion.power).any(axis=1)
    if unread.any():
        notes.append(f"{counted(unread.sum(), 'channel')} without a usable window: no spectrum.")
    if insertion.freqs[-1] < RIPPLE_HZ:
        notes.append(f"No ripple power: the spectrum ends at {insertion.freqs[-1]:g} Hz.")
    if "evidence" in channels and has_labels(channels, "region_file"):
        labelled = channels.loc[channels["region_file"].notna(), "evidence"].fillna("unknown")
        counts = ", ".join(f"{k} {v}" for k, v in labelled.value_counts().items())
        notes.append(f"Evidence of the labels in the file: {counts}.")
    return notes


def counted(n: int | np.integer, noun: str) -> str:
    """ "1 channel", "2 channels"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def has_labels(channels: pd.DataFrame, column: str) -> bool:
    """Whether any channel has a text in this column."""
    return column in channels and any(isinstance(v, str) for v in channels[column])


def _panels(insertion: InsertionReport, *, narrow: bool, many: bool) -> list[str]:
    wanted = {
        "power": bool(np.isfinite(insertion.power).any()),
        "predicted": has_labels(insertion.channels, "region_pred"),
        "confidence": has_labels(insertion.channels, "region_pred"),
        "label": has_labels(insertion.channels, "region_file"),
        "bands": bool(np.isfinite(insertion.power).any()) and not many,
        "phase": insertion.phase is not None and not many,
    }
    small = narrow and wanted["predicted"]
    return [n for n, on in wanted.items() if on and not (small and n in ("bands", "phase"))]


def _axes_row(figure, panels, column, per_row, top, height_in) -> dict[str, Axes]:
    width, height = figure.get_size_inches()
    room = width / per_row - _LEFT_IN - _RIGHT_IN - _GAP_IN * (len(panels) - 1)
    shares = _NARROW_SHARE if width < WIDE_IN else _SHARE
    share = room / sum(shares[p] for p in panels)
    left, axes = column * width / per_row + _LEFT_IN, {}
    for panel in panels:
        box = (left / width, (top - height_in) / height,
               shares[panel] * share / width, height_in / height)  # fmt: skip
        axes[panel] = figure.add_axes(box, sharey=next(iter(axes.values()), None))
        axes[panel].tick_params(labelleft=len(axes) == 1, left=len(axes) == 1)
        left += shares[panel] * share + _GAP_IN
    return axes


def _draw_group(axes, insertion, group: _Group, colours, span, params: SpectraParams) -> None:
    channels = insertion.channels.iloc[group.rows].reset_index(drop=True)
    bad = channels.get("bad", pd.Series(False, channels.index)).eq(True).to_numpy()
    power = np.where(bad[:, None], np.nan, insertion.power[group.rows])
    places, axis_name = depth_positions(channels)
    if not axes:
        return
    first = next(iter(axes.values()))
    first.set_ylabel(f"{group.title}: {axis_name}" if group.title else axis_name)
    if "no depth" in axis_name:
        first.yaxis.set_major_locator(MaxNLocator(integer=True))
    spectra = Spectra(insertion.freqs, power, np.ones(len(power), int))
    for name, ax in axes.items():
        if name == "power":
            mesh = depth_power(ax, insertion.freqs, power, places, span_db=span)
            _title(ax, "power", "dB from the median channel" if _inches(ax) > 1.6 else "dB")
            _colour_bar(ax, mesh, span)
        elif name == "predicted":
            depth_regions(ax, channels["region_pred"].tolist(), places, colours)
            _title(ax, "predicted", insertion.model)
        elif name == "confidence":
            depth_confidence(ax, channels["confidence"].to_numpy(float), places, _agrees(channels))
            _title(ax, "confidence" if _inches(ax) > 0.62 else "conf.")
        elif name == "label":
            depth_regions(ax, channels["region_file"].tolist(), places, colours)
            _title(ax, "file label", _evidence(channels))
        elif name == "bands":
            _band_panel(ax, spectra, places, params, joined="no depth" not in axis_name)
        elif name == "phase":
            sure = None if insertion.coherence is None else insertion.coherence[group.rows]
            depth_phase(ax, insertion.phase[group.rows], sure, places)
            hz = f"{round(insertion.theta_hz, 1):g} Hz" if insertion.theta_hz else ""
            _title(ax, "theta phase", hz)
    for depth in _reversals(insertion, group, params):
        for name in {"power", "bands", "phase"} & set(axes):
            axes[name].axhline(depth, **REVERSAL)
    if "bad" in channels:
        mark_bad(first, channels["bad"].tolist(), places)


def _band_panel(
    ax: Axes, spectra: Spectra, places: np.ndarray, params: SpectraParams, *, joined: bool
) -> None:
    bands = {name: band_power(spectra, params.bands[name]) for name in ("theta", "ripple")}
    depth_bands(ax, bands, places, joined=joined)
    _title(ax, "band power")
    if not ax.get_legend_handles_labels()[0]:
        return
    ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1.003), ncols=2, fontsize=7, borderpad=0,
        borderaxespad=0.4, handlelength=1.1, columnspacing=0.8, handletextpad=0.4,
    )  # fmt: skip


def _reversals(insertion: InsertionReport, group: _Group, params: SpectraParams) -> list[float]:
    if insertion.phase is None or insertion.coherence is None:
        return []
    channels = insertion.channels.iloc[group.rows].reset_index(drop=True)
    rows = group.rows
    found = find_reversals(insertion.phase[rows], insertion.coherence[rows], channels, params)
    return found["depth_um"].dropna().tolist()


def _agrees(channels: pd.DataFrame) -> list[bool | None]:
    """Per channel; None where either side gives no region. ``agrees`` wins where it is given."""
    if "agrees" in channels:
        return [None if pd.isna(a) else bool(a) for a in channels["agrees"]]
    labels = channels.get("region_file", pd.Series(None, channels.index, dtype=object))
    pairs = zip(channels["region_pred"], labels, strict=True)
    return [
        None if not (isinstance(p, str) and isinstance(t, str)) or UNKNOWN in (p, t) else p == t
        for p, t in pairs
    ]


def _evidence(channels: pd.DataFrame) -> str:
    if "evidence" not in channels:
        return ""
    kinds = channels.loc[channels["region_file"].notna(), "evidence"].dropna().unique()
    return kinds[0] if len(kinds) == 1 else "several kinds" if len(kinds) else ""


def _common_span(insertion: InsertionReport) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10 * np.log10(merge_frequencies(insertion.freqs, insertion.power)[1])
    level[~np.isfinite(level)] = np.nan
    bad = insertion.channels.get("bad", pd.Series(False, insertion.channels.index)).eq(True)
    alive = np.isfinite(level).any(axis=1) & ~bad.to_numpy()
    return power_span(level[alive] - np.nanmedian(level[alive], axis=0)) if alive.any() else 2.0


def _legend_entries(insertion, colours, panels, reversed_: bool) -> list[Patch | Line2D]:
    channels, entries = insertion.channels, []
    strips = {"predicted": "region_pred", "label": "region_file"}
    seen = {v for p, c in strips.items() if p in panels for v in channels[c] if isinstance(v, str)}
    for name in sorted(seen - {UNKNOWN}):
        entries.append(Patch(fc=colours.get(name, UNKNOWN_COLOUR), ec=HAIRLINE, lw=0.5, label=name))
    if UNKNOWN in seen:
        entries.append(Patch(fc=UNKNOWN_COLOUR, ec=HAIRLINE, lw=0.5, label=UNKNOWN))
    if "confidence" in panels and any(a is not None for a in _agrees(channels)):
        entries.append(Patch(fc="#4c6375", label="agrees with file"))
        entries.append(Patch(fc=WARM, label="differs"))
    if reversed_:
        entries.append(Line2D([], [], label="phase reversal", **REVERSAL))
    return entries


def _legend(figure: Figure, entries: list, columns: int) -> None:
    place = ((_LEFT_IN - 0.08) / figure.get_size_inches()[0], 0)
    figure.legend(
        handles=entries, loc="lower left", ncols=columns, fontsize=7.5, handlelength=1,
        handleheight=0.9, columnspacing=1.2, bbox_to_anchor=place,
    )  # fmt: skip


def _legend_columns(entries: list, room_in: float) -> int:
    """As many columns as fit: all in one line if they can, else as wide as the longest."""
    widths = [0.42 + 0.062 * len(entry.get_label()) for entry in entries]
    if sum(widths) <= room_in:
        return max(1, len(entries))
    return max(1, int(room_in / max(widths)))


def _title(ax: Axes, text: str, second: str = "") -> None:
    ax.annotate(text, (0, 1), (0, 16), "axes fraction", "offset points", fontsize=8.5)
    if second:
        ax.annotate(_shorten(ax, second), (0, 1), (0, 5.5), "axes fraction", "offset points",
                    fontsize=7, color=MUTED)  # fmt: skip


def _shorten(ax: Axes, text: str) -> str:
    room = int(_inches(ax) * 72 / 3.5)
    return text if len(text) <= room else text[: room - 1] + "…"


def _inches(ax: Axes) -> float:
    return ax.get_position().width * ax.figure.get_size_inches()[0]


def _colour_bar(ax: Axes, mesh, span: float) -> None:
    share = min(0.35, 0.7 / _inches(ax))
    bar = ax.inset_axes((0.97 - share, 1.05, share, 0.016))
    drawn = ax.figure.colorbar(mesh, cax=bar, orientation="horizontal", ticks=[-span, span])
    drawn.outline.set_visible(False)
    bar.set_xticklabels([f"−{span:g}", f"+{span:g}"], fontsize=7)
    bar.tick_params(length=0, pad=1.5, top=True, labeltop=True, bottom=False, labelbottom=False)
