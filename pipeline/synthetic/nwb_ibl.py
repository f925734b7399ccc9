"""IBL layout: int16 of the raw LF band in one file, units, trials and wheel in another."""

from pathlib import Path

import numpy as np
from pynwb import NWBFile
from pynwb.ecephys import ElectricalSeries

from .nwb_file import (
    add_behavior,
    add_units,
    compressed,
    new_file,
    sample_times,
    save,
    session_name,
    subject_name,
)
from .session import LabParams, Probe, SyntheticSession

VOLTS_PER_BIT = 4.6875e-6
COLUMNS = {
    "rel_x": "across the shank (µm)",
    "rel_y": "from the tip (µm)",
    "index_on_probe": "index of the channel on its probe",
    "beryl_location": "acronym in the Beryl parcellation",
    "cosmos_location": "acronym in the Cosmos parcellation",
}


def write_ibl(folder: Path, params: LabParams, made: SyntheticSession) -> list[Path]:
    """Write the raw and the processed file of one session."""
    subject = subject_name(params, made.subject)
    stem, place = f"sub-{subject}_ses-{session_name(params, made)}", folder / f"sub-{subject}"
    return [
        save(_raw_file(params, made), place / f"{stem}_desc-raw_ecephys.nwb"),
        save(_processed_file(params, made), place / f"{stem}_desc-processed_behavior+ecephys.nwb"),
    ]


def _raw_file(params: LabParams, made: SyntheticSession) -> NWBFile:
    nwb = new_file(params, made, lab="synthetic IBL-like lab", part="raw LF band")
    first = _add_electrodes(nwb, made)
    stamps = sample_times(made, params.seed)
    for number, probe in enumerate(made.probes):
        rows = list(range(first[probe.name], first[probe.name] + params.channels))
        counts = np.round(probe.lfp * (1e-6 / VOLTS_PER_BIT))
        nwb.add_acquisition(
            ElectricalSeries(
                name=f"ElectricalSeriesProbe{number:02d}LF",
                description="synthetic LF band",
                data=compressed(
                    np.clip(counts, -32768, 32767).astype(np.int16), (13_000, params.channels)
                ),
                electrodes=nwb.create_electrode_table_region(rows, "channels of this probe"),
                timestamps=compressed(stamps, (47193,)),
                conversion=VOLTS_PER_BIT,
            )
        )
    return nwb


def _processed_file(params: LabParams, made: SyntheticSession) -> NWBFile:
    nwb = new_file(params, made, lab="synthetic IBL-like lab", part="units and behaviour")
    add_units(nwb, made, _add_electrodes(nwb, made))
    add_behavior(nwb, made)
    return nwb


def _add_electrodes(nwb: NWBFile, made: SyntheticSession) -> dict[str, int]:
    """Rows of one probe follow each other; returns each probe's first."""
    for column, about in COLUMNS.items():
        nwb.add_electrode_column(column, about)
    first, count = {}, 0
    for number, probe in enumerate(made.probes):
        first[probe.name] = count
        count += len(probe.track.regions)
        _add_probe(nwb, f"Probe{number:02d}", probe)
    return first


def _add_probe(nwb: NWBFile, name: str, probe: Probe) -> None:
    device = nwb.create_device(name, description="synthetic probe")
    group = nwb.create_electrode_group(
        name, description="synthetic probe", location="as drawn", device=device
    )
    track = probe.track
    for i, region in enumerate(track.regions):
        nwb.add_electrode(
            x=float(track.x[i]),
            y=float(track.y[i]),
            z=float(track.z[i]),
            location=region.full_name,
            group=group,
            rel_x=float((43, 11, 59, 27)[i % 4]),
            rel_y=float(track.from_tip_um[i]),
            index_on_probe=i,
            beryl_location=region.beryl,
            cosmos_location=region.cosmos,
        )
