"""Generic layout: one file, LFP under processing/ecephys with a rate, acronyms in `location`."""

from pathlib import Path

import numpy as np
from pynwb import NWBFile
from pynwb.ecephys import LFP, ElectricalSeries

from .laboratories import LAB
from .nwb_file import (
    add_behavior,
    add_units,
    compressed,
    new_file,
    save,
    session_name,
    subject_name,
)
from .session import LabParams, Probe, SyntheticSession

VOLTS_PER_BIT = 1.95e-7


def write_generic(folder: Path, params: LabParams, made: SyntheticSession) -> list[Path]:
    """Write one file with everything."""
    lab = LAB.get(params.hardware or "", "synthetic generic lab")
    nwb = new_file(params, made, lab=lab, part="whole session")
    nwb.add_electrode_column("rel_x", "across the shank (µm)")
    nwb.add_electrode_column("rel_y", "from the tip (µm)")
    module = nwb.create_processing_module("ecephys", "synthetic electrophysiology")
    first = {p.name: i * params.sites for i, p in enumerate(made.probes)}
    for probe in made.probes:
        _add_electrodes(nwb, probe)
    lfp = LFP(name="LFP")
    module.add(lfp)
    for i, probe in enumerate(made.probes):
        lfp.add_electrical_series(_series(nwb, made, probe, first[probe.name], i))
    add_units(nwb, made, first)
    add_behavior(nwb, made)
    for start, stop in made.invalid:
        nwb.add_invalid_time_interval(start_time=start, stop_time=stop, tags=["artifact"])
    name = f"sub-{subject_name(params, made.subject)}"
    return [save(nwb, folder / name / f"{name}_ses-{session_name(params, made)}_ecephys.nwb")]


def _series(
    nwb: NWBFile, made: SyntheticSession, probe: Probe, first: int, number: int
) -> ElectricalSeries:
    channels = len(probe.track.regions)
    rows = list(range(first, first + channels))
    counts = np.clip(np.round(probe.lfp * (1e-6 / VOLTS_PER_BIT)), -32768, 32767)
    return ElectricalSeries(
        name="ElectricalSeries" if number == 0 else f"ElectricalSeries{probe.name}",
        description="synthetic LFP",
        data=compressed(counts.astype(np.int16), (8192, channels)),
        electrodes=nwb.create_electrode_table_region(rows, "channels of this probe"),
        starting_time=float(made.times[0]),
        rate=made.rate,
        conversion=VOLTS_PER_BIT,
    )


def _add_electrodes(nwb: NWBFile, probe: Probe) -> None:
    """The channels of a probe; each of several shanks is an electrode group."""
    device = nwb.create_device(f"silicon probe {probe.name}", description="synthetic probe")
    track = probe.track
    shanks = np.zeros(len(track.regions), int) if track.shank is None else track.shank
    across = np.zeros(len(track.regions)) if track.across_um is None else track.across_um
    groups = {}
    for shank in np.unique(shanks).tolist():
        name = f"probe{probe.name}" + ("" if track.shank is None else f" shank {shank}")
        groups[shank] = nwb.create_electrode_group(
            name, description="synthetic probe", location="as drawn", device=device
        )
    for i, acronym in enumerate(track.acronyms):
        nwb.add_electrode(
            x=float(track.x[i]),
            y=float(track.y[i]),
            z=float(track.z[i]),
            location=acronym or "root",
            group=groups[int(shanks[i])],
            rel_x=float(across[i]),
            rel_y=float(track.from_tip_um[i]),
        )
