"""One file to one summary."""

import logging
import re
from datetime import datetime
from os import PathLike
from typing import Any

import h5py

from .behavior import summarise_behavior
from .channels import contacts_of, read_channels, summarise_probes
from .intervals import read_invalid, read_trials
from .layout import Layout
from .layouts import layout_of
from .open import nwb_version, open_nwb
from .series import read_series
from .summary import FileSummary, SubjectSummary
from .tables import as_text, read_text
from .units import read_units

log = logging.getLogger(__name__)

_SYNTHETIC = re.compile(r"(?<!not )(?<!non-)(?<!no )\bsynthetic\b", re.IGNORECASE)


def read_summary(source: str | PathLike[str]) -> FileSummary:
    """Everything of a file that becomes rows; no signal is kept.

    What is odd but readable stands in ``warnings``.

    Raises
    ------
    ReadError
        If the file cannot be read at all.
    """
    with open_nwb(source) as file:
        layout = layout_of(file)
        log.debug("%s is of layout %s", source, layout.name)
        version = nwb_version(file)
        if version is None:
            layout.warnings.append("root attributes are missing (no nwb_version); read as NWB 2")
        probes, channels = read_channels(layout)
        if layout.electrodes() is None:
            layout.warnings.append("no electrode table")
        n_electrodes = len(channels)
        lfp = read_series(layout, channels)
        if len(channels) > n_electrodes:
            probes = summarise_probes(contacts_of(layout), channels)
        found = dict(
            layout=layout.name,
            nwb_version=version,
            **_session(layout),
            subject=_subject(file),
            synthetic=_is_synthetic(file),
            probes=probes,
            channels=channels,
            lfp=lfp,
            units=read_units(layout, channels),
            trials=read_trials(layout),
            behavior=summarise_behavior(layout),
            invalid=read_invalid(layout, probes),
        )
        layout.warnings += [
            f"{path}: leads out of the file, to {target}, and was not read"
            for path, target in file.left_out.items()
        ]
        return FileSummary(**found, warnings=list(dict.fromkeys(layout.warnings)))


def _session(layout: Layout) -> dict[str, str | None]:
    file = layout.file
    start = read_text(file, "session_start_time")
    return {
        "identifier": read_text(file, "identifier") or "",
        "session_id": read_text(file, "general/session_id"),
        "session_description": read_text(file, "session_description"),
        "session_start": start,
        "timestamps_note": _clock_note(start, read_text(file, "timestamps_reference_time")),
        "lab": read_text(file, "general/lab"),
        "institution": read_text(file, "general/institution"),
    }


def _clock_note(start: str | None, reference: str | None) -> str | None:
    if start is None:
        return "session start is not given"
    try:
        begun = datetime.fromisoformat(start)
    except ValueError:
        return f"session start {start!r} is no ISO date"
    if begun.year <= 1900 or begun.strftime("%m-%d %H:%M:%S") == "01-01 00:00:00":
        return f"session start {begun.date()} is a placeholder"
    if reference and reference != start:
        return f"times count from {reference}, the session began at {start}"
    return None


def _subject(file: h5py.File) -> SubjectSummary:
    place = "general/subject/"
    return SubjectSummary(
        **{name: read_text(file, place + name) for name in SubjectSummary.model_fields}
    )


def _is_synthetic(file: h5py.File) -> bool:
    places = ("session_description", "general/notes", "general/experimenter")
    text = " ".join(as_text(read_text(file, place)) or "" for place in places)
    return _SYNTHETIC.search(text) is not None


def read_summary_json(source: str) -> dict[str, Any]:
    """``read_summary`` as plain JSON: what crosses a process border."""
    return read_summary(source).to_json()
