"""Files that say where channels are: a CSV, or the alignment JSON of IBL."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from pipeline.anatomy import EVIDENCE

COLUMNS = {
    "channel": ("channel", "electrode", "electrode_id", "channel_id", "id"),
    "region": ("region", "location", "brain_region", "acronym", "label"),
    "probe": ("probe", "insertion", "group", "group_name"),
    "evidence": ("evidence",),
}


class LabelError(LookupError):
    """Labels that cannot be used as they are; the message says what to change."""


@dataclass(frozen=True)
class Given:
    """One channel's label as a file gives it.

    Attributes
    ----------
    channel
        Electrode id; None where the file counts sites instead.
    site
        Number of the site on its probe, from 0; None where the file gives electrode ids.
    lateral, axial
        Across and along the shank (µm).
    xyz
        Coordinates as written, in the frame the file's origin names.
    """

    region: str | None
    evidence: str
    channel: int | None = None
    site: int | None = None
    probe: str | None = None
    lateral: float | None = None
    axial: float | None = None
    xyz: tuple[float, float, float] | None = None


def read_labels(path: Path, evidence: str | None) -> tuple[str, list[Given]]:
    """Where the labels are from, in words, and one entry per channel.

    Parameters
    ----------
    evidence
        How the labels came about; for a CSV without that column it must be given, an alignment
        file is histology unless told otherwise.

    Raises
    ------
    LabelError
        If the file is of neither kind, or a row says something that is not understood.
    """
    if evidence is not None and evidence not in EVIDENCE:
        raise LabelError(f"evidence {evidence!r} is none of {', '.join(EVIDENCE)}")
    if not path.is_file():
        raise LabelError(f"no file at {path}; labels come as a CSV or an IBL alignment JSON")
    if path.suffix.lower() == ".json":
        return _read_alignment(path, evidence or "histology")
    return _read_csv(path, evidence)


def _read_csv(path: Path, evidence: str | None) -> tuple[str, list[Given]]:
    with path.open(newline="", encoding="utf-8-sig") as handle:
        start = handle.read(4096)
        handle.seek(0)
        separator = "\t" if start.split("\n", 1)[0].count("\t") else ","
        reader = csv.DictReader(handle, delimiter=separator)
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        rows = list(reader)
    names = {kind: _column(header, options) for kind, options in COLUMNS.items()}
    for kind in ("channel", "region"):
        if names[kind] is None:
            raise LabelError(
                f"{path.name} has no column for the {kind}: it has {header}; name one of them "
                f"{COLUMNS[kind][0]!r}"
            )
    if names["evidence"] is None and evidence is None:
        raise LabelError(
            f"{path.name} does not say how its labels came about: add a column 'evidence', or give "
            f"--evidence with one of {', '.join(EVIDENCE)}"
        )
    given = [_row(path, number, row, names, evidence) for number, row in enumerate(rows, 2)]
    _refuse_twice(path, given)
    return path.name, given


def _row(path: Path, number: int, row: dict, names, evidence: str | None) -> Given:
    def text(kind: str) -> str | None:
        return (row.get(names[kind]) or "").strip() or None if names[kind] else None

    where = f"{path.name}, line {number}"
    try:
        channel = int(float(text("channel") or ""))
    except ValueError as error:
        raise LabelError(f"{where}: channel {text('channel')!r} is no electrode id") from error
    told = text("evidence") or evidence or "unknown"
    if told not in EVIDENCE:
        raise LabelError(f"{where}: evidence {told!r} is none of {', '.join(EVIDENCE)}")
    numbers = [_number(row.get(axis), f"{where}, {axis}") for axis in "xyz"]
    xyz = None if None in numbers else tuple(numbers)
    return Given(text("region"), told, channel=channel, probe=text("probe"), xyz=xyz)


def _read_alignment(path: Path, evidence: str) -> tuple[str, list[Given]]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        channels = {
            int(name.removeprefix("channel_")): value
            for name, value in told.items()
            if name.startswith("channel_")
        }
        given = [_site(number, value, evidence) for number, value in sorted(channels.items())]
    except (ValueError, AttributeError, TypeError) as error:
        raise LabelError(f"{path.name} is no alignment file: {error}") from error
    if not given:
        raise LabelError(
            f"{path.name} has no entries 'channel_0', 'channel_1', …; an IBL alignment file "
            "(channel_locations.json) has one for each site"
        )
    origin = (
        f", µm from {', '.join(told['origin'])}" if isinstance(told.get("origin"), dict) else ""
    )
    return f"{path.name}{origin}", given


def _site(number: int, value: dict, evidence: str) -> Given:
    numbers = {n: _number(value.get(n), n) for n in ("x", "y", "z", "lateral", "axial")}
    xyz = (numbers["x"], numbers["y"], numbers["z"])
    return Given(
        region=value.get("brain_region") or None,
        evidence=evidence,
        site=number,
        lateral=numbers["lateral"],
        axial=numbers["axial"],
        xyz=None if None in xyz else xyz,
    )


def _column(header: list[str], options: tuple[str, ...]) -> str | None:
    lower = {name.casefold(): name for name in header}
    return next((lower[option] for option in options if option in lower), None)


def _number(value: object, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise LabelError(f"{where}: {value!r} is no number") from error
    return number if number == number else None


def _refuse_twice(path: Path, given: list[Given]) -> None:
    seen: set[tuple] = set()
    for one in given:
        place = (one.probe, one.channel)
        if place in seen:
            raise LabelError(f"{path.name} gives channel {one.channel} twice; keep one of them")
        seen.add(place)
