"""One colour per class: the atlas's own where there is one, told apart where it repeats."""

import colorsys
from collections.abc import Iterable

from .ontology import allen_ontology
from .schemes import map_label
from .tables import DK_COLORS

UNKNOWN_COLOR = "#b0b0b0"
OTHERS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
"""For names of no atlas: Tol's bright set."""


def class_colors(classes: Iterable[str], scheme: str = "as_given") -> dict[str, str]:
    """Colours (``#rrggbb``) of the classes, in their order.

    The Allen atlas paints CA1, CA2, CA3 and DG alike; a class whose colour is taken is made
    lighter or darker, so that any set of classes can be read off one picture.
    """
    taken: dict[str, str] = {}
    for name in classes:
        color, step = _atlas_color(name, scheme) or OTHERS[len(taken) % len(OTHERS)], 0
        base = color
        while color in taken.values():
            step += 1
            color = _shade(base, step)
        taken[name] = color
    return taken


def _atlas_color(name: str, scheme: str) -> str | None:
    if name == "unknown":
        return UNKNOWN_COLOR
    if scheme == "lfp2vec5" and name == "cortex":
        return allen_ontology()["VIS"].color
    if scheme in ("Desikan-Killiany", "lobe"):
        return DK_COLORS.get(map_label(name, "lobe").region or "")
    allen, lobe = map_label(name, "Allen").region, map_label(name, "lobe").region
    if allen:
        return allen_ontology()[allen].color
    return DK_COLORS.get(lobe or "")


def _shade(color: str, step: int) -> str:
    """Alternately darker and lighter, further with each step; the hue turns a little as well."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    sign = -1 if step % 2 else 1
    light = min(0.92, max(0.12, light + sign * 0.14 * ((step + 1) // 2)))
    hue = (hue + 0.037 * step) % 1
    shaded = colorsys.hls_to_rgb(hue, light, max(saturation, 0.25) if step else saturation)
    return "#{:02x}{:02x}{:02x}".format(*(round(255 * c) for c in shaded))
