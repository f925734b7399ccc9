"""Region colours that can be told apart, and the look all figures share."""

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.colors import to_hex, to_rgb

from .regions import UNKNOWN

INK, MUTED, HAIRLINE = "#1b1f24", "#5b6470", "#d8dce1"
ACCENT, WARM, UNKNOWN_COLOUR = "#1f5f8b", "#c4501b", "#e4e6e9"
FALLBACK = (
    "#332288", "#88ccee", "#117733", "#ddcc77", "#cc6677",
    "#44aa99", "#aa4499", "#999933", "#882255",
)  # fmt: skip
"""Colours for names without one: distinct in the common colour-vision deficiencies.

Source: Paul Tol, Colour Schemes, SRON/EPS/TN/09-002, "muted".
"""

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.edgecolor": "#9aa3ad",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "fieldbase",
    "hatch.linewidth": 0.4,
    "axes.unicode_minus": True,
}

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
ALIKE = 0.07  # OKLab distance below which two patches are taken for one


def region_colours(regions: Iterable[str | None], known: Mapping[str, str]) -> dict[str, str]:
    """A colour ("#rrggbb") for every region named.

    Regions keep their colour in `known` (Allen's). Where several share one, as all fields of the
    hippocampus do in Allen's atlas, they keep its hue and spread over lightness; names without a
    colour take the next of `FALLBACK`.
    """
    names = sorted({r for r in regions if isinstance(r, str) and r and r != UNKNOWN})
    chosen = {name: to_hex(known[name]) for name in names if name in known}
    for place, name in enumerate(n for n in names if n not in known):
        turn, index = divmod(place, len(FALLBACK))
        colour = to_oklab(FALLBACK[index])
        chosen[name] = from_oklab(colour + [0.12 * turn * (-1) ** turn, 0, 0])
    for group in _groups_alike(chosen):
        lightness = np.linspace(0.88, 0.46, len(group)) if len(group) > 1 else ()
        for name, level in zip(group, lightness, strict=False):
            colour = to_oklab(chosen[name])
            chosen[name] = from_oklab(np.array([level, *colour[1:]]))
    return {**{name: chosen[name] for name in names}, UNKNOWN: UNKNOWN_COLOUR}


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on a colour."""
    return "#ffffff" if to_oklab(colour)[0] < 0.62 else INK


def to_oklab(colour: str) -> Float[np.ndarray, "3"]:
    """Perceptual lightness and two hue axes. Source: Ottosson 2020, OKLab."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return _TO_LAB @ np.cbrt(_TO_LMS @ linear)


def from_oklab(lab: Float[np.ndarray, "3"]) -> str:
    """Inverse of `to_oklab`, clipped to what a screen shows."""
    linear = np.linalg.solve(_TO_LMS, np.linalg.solve(_TO_LAB, lab) ** 3).clip(0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return to_hex(rgb.clip(0, 1))


def _groups_alike(colours: Mapping[str, str]) -> list[list[str]]:
    groups: list[list[str]] = []
    for name, colour in colours.items():
        for group in groups:
            if np.linalg.norm(to_oklab(colours[group[0]]) - to_oklab(colour)) < ALIKE:
                group.append(name)
                break
        else:
            groups.append([name])
    return groups
