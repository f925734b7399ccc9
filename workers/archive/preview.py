"""What an ingest would read, without reading it."""

from collections.abc import Iterable
from typing import Any

from pipeline.nwb import ReadError
from schemas._sources import place_of_copy

from .found import Found, told_path
from .packs import summary_of
from .standing import Standing

LAYOUTS = {"000021": "allen", "000022": "allen", "000713": "allen", "000409": "ibl"}
"""What is known of a dandiset before any of its files is opened."""
TOLD = {"same": "yes", "changed": "changed", "unread": "yes, not read", "new": "no"}


def preview(standings: Iterable[Standing]) -> list[dict[str, Any]]:
    """One row a file: ``path, bytes, layout``, what it holds, ``registered``, ``messages``.

    Files on this machine are opened, of those elsewhere nothing is fetched: what they hold is
    None, and their layout what their dandiset is known to have.
    """
    return [_row(standing) for standing in standings]


def _row(standing: Standing) -> dict[str, Any]:
    one = standing.found
    shown: dict[str, Any] = {
        "path": told_path(one.path, one.mapping, one.file_kind),
        "source": one.source,
        "bytes": one.bytes,
        "version": one.dandi_version,
        "registered": TOLD[standing.state],
        "copy": standing.row is not None and _copied(standing.row),
        "layout": LAYOUTS.get(one.dandiset) if one.file_kind == "nwb" else one.file_kind,
        "lfp": None,
        "channels": None,
        "units": None,
        "messages": [one.note] if one.note else [],
    }
    if standing.state == "changed":
        shown["messages"].append(f"changed since registered: {', '.join(standing.differences)}")
    if one.file_kind == "features":
        shown |= {"lfp": 0, "channels": 0, "units": 0}
    elif not one.remote:
        shown |= _opened(one, shown["messages"])
    return shown


def _copied(row: dict[str, Any]) -> bool:
    place = place_of_copy(row)
    return place is not None and place.exists()


def _opened(one: Found, messages: list[str]) -> dict[str, Any]:
    try:
        found = summary_of(one)
    except ReadError as error:
        messages.append(f"{error.message.rstrip('.')}; {error.way_out}")
        return {"layout": "error", "lfp": 0, "channels": 0, "units": 0}
    messages += found.warnings
    counts = {name: len(getattr(found, name)) for name in ("lfp", "channels", "units")}
    return {"layout": found.layout, **counts}
