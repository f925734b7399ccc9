"""A whole synthetic laboratory as NWB files in a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from .nwb_allen import write_allen
from .nwb_generic import write_generic
from .nwb_ibl import write_ibl
from .session import LabParams, simulate_session

LAYOUTS = {"allen": write_allen, "ibl": write_ibl, "generic": write_generic}


def write_sessions(folder: Path, params: LabParams) -> Iterator[list[Path]]:
    """Write session after session; the paths of each as it is done."""
    for subject in range(params.subjects):
        for session in range(params.sessions):
            made = simulate_session(params, subject, session)
            yield LAYOUTS[params.layout](Path(folder), params, made)


def write_lab(
    folder: Path,
    *,
    layout: Literal["allen", "ibl", "generic"] = "allen",
    subjects: int = 4,
    channels: int = 32,
    duration_s: float = 60.0,
    seed: int = 0,
) -> list[Path]:
    """Write a laboratory with one session of one probe for each subject.

    For anything else: `write_sessions` with `LabParams`.
    """
    params = LabParams(
        layout=layout, subjects=subjects, channels=channels, duration_s=duration_s, seed=seed
    )
    return [path for paths in write_sessions(folder, params) for path in paths]
