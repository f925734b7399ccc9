"""Drawings along the depth of a probe: each takes an Axes and returns it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh

from .colours import ACCENT, HAIRLINE, INK, MUTED, UNKNOWN_COLOUR, WARM, ink_on
from .regions import UNKNOWN

LOW_HZ, HIGH_HZ = 1.0, 300.0


def depth_positions(channels: pd.DataFrame) -> tuple[Float[np.ndarray, " channel"], str]:
    """Where to draw each channel, and what that axis is called.

    Depth from the tip (µm) if every channel has one, else the order in the file.
    """
    depth = pd.to_numeric(channels.get("depth_um", pd.Series(np.nan, channels.index)))
    if len(depth) and depth.notna().all():
        return depth.to_numpy(float), "depth from tip (µm)"
    return np.arange(len(channels), dtype=float), "channel in file order (no depth)"


def cell_edges(places: Float[np.ndarray, " place"]) -> Float[np.ndarray, " edge"]:
    """Borders half way between sorted, distinct places."""
    if len(places) < 2:
        return np.array([places[0] - 0.5, places[0] + 0.5]) if len(places) else np.zeros(1)
    middle = (places[1:] + places[:-1]) / 2
    first, last = 1.5 * places[0] - 0.5 * places[1], 1.5 * places[-1] - 0.5 * places[-2]
    return np.concatenate([[first], middle, [last]])


def depth_power(
    ax: Axes,
    freqs: Float[np.ndarray, " freq"],
    power: Float[np.ndarray, "channel freq"],
    places: Float[np.ndarray, " channel"],
    *,
    span_db: float | None = None,
) -> QuadMesh:
    """Power (dB) by depth and frequency, relative to the median channel at each frequency.

    The fall of power with frequency is the same everywhere and would hide what changes along the
    probe. Channels at one depth are averaged. Returns the mesh, for its colour bar.
    """
    freqs, power = merge_frequencies(freqs, power)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10 * np.log10(power)
    level[~np.isfinite(level)] = np.nan
    depths, owner = np.unique(places, return_inverse=True)
    frame = pd.DataFrame(level).groupby(owner).mean().to_numpy()
    relative = frame - np.nanmedian(frame, axis=0) if np.isfinite(frame).any() else frame
    span = span_db or power_span(relative)
    mesh = ax.pcolormesh(
        cell_edges(freqs), cell_edges(depths), relative, cmap="RdBu_r",
        vmin=-span, vmax=span, rasterized=True,
    )  # fmt: skip
    ax.set(xscale="log", xlim=(freqs[0], freqs[-1]))
    ticks = [t for t in (1, 10, 100) if freqs[0] <= t <= freqs[-1]]
    ax.set_xticks(ticks, [str(t) for t in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlabel("frequency (Hz)")
    return mesh


def merge_frequencies(
    freqs: Float[np.ndarray, " freq"], power: Float[np.ndarray, "channel freq"]
) -> tuple[Float[np.ndarray, " bin"], Float[np.ndarray, "channel bin"]]:
    """Mean power in bins of a tenth of an octave from 1 to 300 Hz, or as fine as it was."""
    keep = (freqs >= LOW_HZ) & (freqs <= HIGH_HZ)
    octave = np.round(10 * np.log2(freqs[keep]))
    groups = pd.Series(octave).groupby(octave).ngroup().to_numpy()
    count = np.bincount(groups)
    spread = (groups[:, None] == np.arange(len(count))) / count
    return freqs[keep] @ spread, power[:, keep] @ spread


def power_span(relative: Float[np.ndarray, "channel freq"]) -> float:
    """Half the colour range (dB): the 99th percentile, rounded up to an even number."""
    finite = np.abs(relative[np.isfinite(relative)])
    return float(max(2.0, 2 * np.ceil(np.percentile(finite, 99) / 2))) if len(finite) else 2.0


def depth_regions(
    ax: Axes,
    regions: Sequence[Any],
    places: Float[np.ndarray, " channel"],
    colours: Mapping[str, str],
    *,
    label_points: float = 7.5,
) -> Axes:
    """Coloured strip of regions with their names in it; channels at one depth share its width.

    "unknown" is grey, no label at all is an empty frame. Runs too short for text stay without.
    """
    names = [r if isinstance(r, str) and r else None for r in regions]
    depths = np.unique(places)
    edges = cell_edges(depths)
    boxes, shades, last = [], [], {}  # last box of each column, which the same colour extends
    for bottom, top, depth in zip(edges, edges[1:], depths, strict=False):
        here = np.flatnonzero(places == depth)
        for column, row in enumerate(here):
            empty = names[row] is None
            shade = "white" if empty else colours.get(names[row], UNKNOWN_COLOUR)
            sides, before = (column / len(here), (column + 1) / len(here)), last.get(column)
            if before is not None and boxes[before][3] == bottom and shades[before] == shade:
                if boxes[before][:2] == sides:
                    boxes[before] = (*sides, boxes[before][2], top)
                    continue
            last[column] = len(boxes)
            boxes.append((*sides, bottom, top))
            shades.append(shade)
    _fill(ax, boxes, shades)
    ax.set(xlim=(0, 1), ylim=(edges[0], edges[-1]), xticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=HAIRLINE)
    _name_runs(ax, names, places, edges, colours, label_points)
    return ax


def depth_confidence(
    ax: Axes,
    confidence: Float[np.ndarray, " channel"],
    places: Float[np.ndarray, " channel"],
    agrees: Sequence[bool | None],
) -> Axes:
    """Confidence of each channel (0 to 1); a disagreement with the file's label is warm."""
    depths, owner = np.unique(places, return_inverse=True)
    edges = cell_edges(depths)
    shades = {True: "#4c6375", False: WARM, None: "#a9b3bd"}
    order = np.lexsort((np.nan_to_num(confidence), places))
    colours = [shades[a] for a in agrees]
    outlines, filled = [], []
    for row in order:  # where several share a depth the most confident is drawn last
        right, low, high = np.nan_to_num(confidence[row]), edges[owner[row]], edges[owner[row] + 1]
        if filled and filled[-1] == colours[row] and outlines[-1][-1][1] == low:
            outlines[-1] += [(right, low), (right, high)]
        else:
            outlines.append([(0.0, low), (right, low), (right, high)])
            filled.append(colours[row])
    closed = [[*outline, (0.0, outline[-1][1])] for outline in outlines]
    ax.add_collection(PolyCollection(closed, facecolors=filled, linewidths=0))
    ax.axvline(0.5, color="white", lw=0.6)
    ax.set(xlim=(0, 1), ylim=(edges[0], edges[-1]))
    ax.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    return ax


def depth_bands(
    ax: Axes,
    bands: Mapping[str, Float[np.ndarray, " channel"]],
    places: Float[np.ndarray, " channel"],
    *,
    joined: bool = True,
) -> Axes:
    """Power of each band along depth (dB from its median); dots where neighbours are no order."""
    order = np.argsort(places, kind="stable")
    for (name, values), colour in zip(bands.items(), (ACCENT, WARM, INK), strict=False):
        with np.errstate(divide="ignore", invalid="ignore"):
            level = 10 * np.log10(np.where(values > 0, values, np.nan))
        if np.isfinite(level).any():
            level = level - np.nanmedian(level)
            style = {"lw": 1.1} if joined else {"lw": 0, "marker": "o", "ms": 2.6}
            ax.plot(level[order], places[order], color=colour, label=name, **style)
    ax.axvline(0, color=HAIRLINE, lw=0.7, zorder=0)
    ax.set_xlabel("power (dB)")
    return ax


def mark_bad(ax: Axes, bad: Sequence[Any], places: Float[np.ndarray, " channel"]) -> Axes:
    """A small cross at the left end of each bad channel's row, which is left blank."""
    at = places[[b is not None and b == True for b in bad]]  # noqa: E712
    ax.plot(np.full(len(at), 0.022), at, "x", ms=3.2, mew=0.9, color=WARM,
            transform=ax.get_yaxis_transform())  # fmt: skip
    return ax


def _fill(ax: Axes, boxes: Sequence[tuple], colours: Sequence[str]) -> None:
    """Boxes (left, right, bottom, top) as one artist; a hair of edge closes the seams."""
    corners = [[(a, c), (b, c), (b, d), (a, d)] for a, b, c, d in boxes]
    ax.add_collection(
        PolyCollection(corners, facecolors=colours, edgecolors=colours, linewidths=0.3)
    )


def _name_runs(ax, names, places, edges, colours, points) -> None:
    """Write each run's region in its middle where the run is tall enough for the text."""
    depths = np.unique(places)
    main = [
        pd.Series([names[r] for r in np.flatnonzero(places == d)], dtype=object) for d in depths
    ]
    main = [m.mode(dropna=False).iloc[0] for m in main]
    box = ax.get_position()
    width, height = np.array([box.width, box.height]) * ax.figure.get_size_inches() * 72
    per_unit = height / (edges[-1] - edges[0])  # points on paper
    start = 0
    for stop in range(1, len(main) + 1):
        if stop < len(main) and main[stop] == main[start]:
            continue
        name, room = main[start], (edges[stop] - edges[start]) * per_unit
        if isinstance(name, str):
            length = 0.62 * points * len(name)  # an upper guess of the text's length
            turn = _turn(length, 1.25 * points, width, room)
            colour = MUTED if name == UNKNOWN else ink_on(colours.get(name, UNKNOWN_COLOUR))
            if turn is not None:
                ax.text(0.5, (edges[start] + edges[stop]) / 2, name, ha="center", va="center",
                        fontsize=points, color=colour, rotation=turn)  # fmt: skip
        start = stop


def _turn(length: float, line: float, width: float, height: float) -> int | None:
    """0 or 90 degrees, whichever lets the text fit; None if neither does."""
    if length <= width and line <= height:
        return 0
    return 90 if length <= height and line <= width else None


def depth_phase(
    ax: Axes,
    phase: Float[np.ndarray, " channel"],
    coherence: Float[np.ndarray, " channel"] | None,
    places: Float[np.ndarray, " channel"],
) -> Axes:
    """Phase of theta (degrees) against the reference channel; pale where coherence is low."""
    degrees = (np.degrees(phase) + 90) % 360 - 90
    sure = np.ones(len(phase)) if coherence is None else np.nan_to_num(coherence)
    ax.scatter(degrees, places, s=7, color=ACCENT, alpha=np.clip(sure, 0.12, 1), lw=0,
               rasterized=True)  # fmt: skip
    for at in (0, 180):
        ax.axvline(at, color=HAIRLINE, lw=0.7, zorder=0)
    ax.set(xlim=(-95, 275))
    ax.set_xticks([0, 180], ["0°", "180°"])
    return ax
