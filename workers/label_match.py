"""Which session and which of its channels a label is about."""

from typing import Any

from schemas import recording, session
from schemas._names import safe_name

from .label_files import Given, LabelError

NEAR_UM = 1.0
"""How far a site of an alignment file may lie from a channel that it is."""


def find_session(text: str) -> str:
    """The key of a session, from the key or from its id as written in the file."""
    exact = (session.Session & [{"session": name} for name in _keys(text)]).to_arrays("session")
    if len(exact):
        return str(exact[0])
    rows = session.Session.proj("session_id").to_dicts(order_by="session")
    same = [row["session"] for row in rows if row["session_id"] == text]
    if len(same) == 1:
        return same[0]
    near = same or [row["session"] for row in rows if text.casefold() in row["session"].casefold()]
    there = near or [row["session"] for row in rows]
    raise LabelError(
        f"{len(same) or 'no'} session{'s have' if same else ' has'} the name {text!r}; "
        f"{'there is' if len(there) == 1 else 'there are'} "
        + (", ".join(there[:8]) + (" …" if len(there) > 8 else "") or "none: ingest one first")
    )


def match_channels(
    name: str, given: list[Given], probe: str | None
) -> tuple[list[tuple[Given, dict[str, Any]]], list[str]]:
    """Each label with the channel it is about, and what was left out.

    A site of an alignment file is matched by its place on the shank where the recording gives
    one, else by its number on the probe, else by the order of the channels.
    """
    rows = (recording.Channel & {"session": name}).to_dicts(order_by="probe, channel")
    probes = {row["probe"] for row in rows}
    if probe is not None:
        if not _keys(probe) & probes:
            raise LabelError(f"{name} has no probe {probe!r}; it has {sorted(probes)}")
        rows = [row for row in rows if row["probe"] in _keys(probe)]
    sites = [one for one in given if one.channel is None]
    if sites:
        return _match_sites(name, sites, rows)
    found, missing = [], []
    for one in given:
        same = [row for row in rows if row["channel"] == one.channel]
        same = [row for row in same if one.probe is None or row["probe"] in _keys(one.probe)]
        if len(same) > 1:
            raise LabelError(
                f"channel {one.channel} is on {sorted(row['probe'] for row in same)}: add a column "
                "'probe', or name one probe"
            )
        found += [(one, same[0])] if same else []
        missing += [] if same else [one]
    if missing:
        first = ", ".join(str(one.channel) for one in missing[:5])
        ids = [row["channel"] for row in rows]
        raise LabelError(
            f"{len(missing)} of {len(given)} labelled channels are not in {name} ({first}…); its "
            f"{len(ids)} electrode ids go from {min(ids, default=None)} to {max(ids, default=None)}"
        )
    return found, []


def _match_sites(name: str, given: list[Given], rows: list[dict[str, Any]]):
    if len({row["probe"] for row in rows}) != 1:
        probes = sorted({row["probe"] for row in rows})
        raise LabelError(f"{name} has the probes {probes}; say whose sites these are: probe=NAME")
    placed = [row for row in rows if row["rel_x"] is not None and row["rel_y"] is not None]
    numbers = {row["index_on_probe"]: row for row in rows if row["index_on_probe"] is not None}
    by_place = len(placed) == len(rows) and all(one.axial is not None for one in given)
    found = []
    for order, one in enumerate(given):
        row = _at(placed, one) if by_place else None
        if row is None and not by_place:
            row = numbers.get(one.site) if numbers else None
            if not numbers and len(given) == len(rows):
                row = rows[order]
        if row is not None:
            found.append((one, row))
    if not found:
        raise LabelError(
            f"none of {len(given)} sites is a channel of {name}: neither places on the shank nor "
            "site numbers agree. Is it the right insertion?"
        )
    left = len(given) - len(found)
    return found, [f"{left} of {len(given)} sites have no channel in {name}"] if left else []


def _at(rows: list[dict[str, Any]], one: Given) -> dict[str, Any] | None:
    """The channel at a place on the shank (within a µm); None if there is none or several."""
    near = [row for row in rows if abs(row["rel_y"] - one.axial) <= NEAR_UM]
    if one.lateral is not None and len(near) > 1:
        near = [row for row in near if abs(row["rel_x"] - one.lateral) <= NEAR_UM]
    return near[0] if len(near) == 1 else None


def _keys(text: str) -> set[str]:
    """What a name may be in the tables: itself, or made safe."""
    return {text, safe_name(text)}
