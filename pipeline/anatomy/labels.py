"""What a file's text says about a place, before any scheme: cleaned, hemisphere taken off."""

import ast
import re
from dataclasses import dataclass

from .tables import UNKNOWN

_HEMISPHERE = re.compile(
    r"^(?:ctx|wm)[-_](?:lh|rh)[-_]|^(?:left|right|lh|rh)[-_ ]|[-_ ](?:left|right|lh|rh)$"
    r"|_[lr]$|\s*\((?:left|right|l|r)\)$",
    re.IGNORECASE,
)
_COMPOSITE = re.compile(r"^\s*brain_region\s*:\s*([^;]*)", re.IGNORECASE)
REASON_LENGTH = 160


@dataclass(frozen=True)
class Label:
    """A region of a scheme, or None and why there is none."""

    region: str | None
    reason: str | None = None

    def __post_init__(self):
        if (self.region is None) == (self.reason is None):
            raise ValueError(
                f"a label is a region or a reason, got {self.region!r}, {self.reason!r}"
            )


def unknown(reason: str) -> Label:
    """No region; the reason is cut to what its column holds."""
    return Label(None, reason[:REASON_LENGTH])


def clean(raw: str | None) -> str:
    """The place a text names: bytes written as text undone, the region of a composite taken out."""
    text = "" if raw is None else str(raw).strip()
    if re.fullmatch(r"b(['\"]).*\1", text, re.DOTALL):
        text = ast.literal_eval(text).decode("utf-8", "replace").strip()
    composite = _COMPOSITE.match(text)
    return composite.group(1).strip() if composite else text


def without_hemisphere(text: str) -> str:
    """The name without a leading or trailing side (``ctx-lh-``, ``Left-``, ``_right``, ``_l``)."""
    return _HEMISPHERE.sub("", text, count=1).strip()


def why_unlabelled(text: str) -> str | None:
    """The reason a cleaned text is no label at all, or None if it names something."""
    return UNKNOWN.get(text.casefold()) or UNKNOWN.get(without_hemisphere(text).casefold())
