"""What an electrode's text about anatomy says: a region's name, a frame, a unit."""

import re
from typing import Literal

from .tables import without_bytes_repr

Unit = Literal["um", "mm", "unknown"]

_NO_REGION = {
    "", "unknown", "none", "nan", "n/a", "na", "null", "-", "?", "unassigned", "undefined",
    "not known", "not available", "no location", "unspecified", "tbd", "brain",
    "see electrode locations", "several, see the electrode table",
}  # fmt: skip
_PAIR = re.compile(r"['\"]?([A-Za-z_ ]+?)['\"]?\s*[:=]\s*['\"]?([^;,'\"}]*)['\"]?\s*[;,}]?")
_REGION_KEYS = ("brain_region", "brain region", "region", "brain_area", "area", "structure")


def region_name(raw: str | None) -> str | None:
    """The region a ``location`` names, None when it names none.

    Understands the text of a bytes literal (``b'amygdala_right'``) and composite strings
    (``brain_region: ALM; brain_subregion: N/A; ...``), of which the region is taken.
    """
    if raw is None:
        return None
    text = without_bytes_repr(raw.strip())
    if re.match(r"^[{\s'\"]*[A-Za-z_ ]+['\"]?\s*[:=]", text):
        pairs = {key.strip().lower(): value.strip() for key, value in _PAIR.findall(text)}
        text = next((pairs[key] for key in _REGION_KEYS if key in pairs), text)
    return None if text.lower() in _NO_REGION else text


def unit_in(text: str) -> Unit:
    """The length unit a description names, "unknown" if none or both."""
    text = re.sub(r"not (micro|mm|milli)\w*", "", text.lower())
    mm = re.search(r"\bmm\b|millimet", text) is not None
    um = re.search(r"\b[uµμ]m\b|micromet|micron", text) is not None
    return "unknown" if mm == um else "mm" if mm else "um"


def evidence_in(description: str) -> Literal["histology", "coordinates", "expert"] | None:
    """Where labels come from, as far as their column's description says so."""
    text = description.lower()
    if re.search(r"histolog|reconstruct|traced|post.?mortem", text):
        return "histology"
    if re.search(r"nearest|voxel|from (the )?coordinate|derived", text):
        return "coordinates"
    if re.search(r"neurologist|radiolog|expert|manual", text):
        return "expert"
    return None
