"""Allen layout: a session file, and one LFP file per probe in volts with explicit timestamps."""

from pathlib import Path

import numpy as np
from pynwb import NWBFile
from pynwb.ecephys import LFP, ElectricalSeries

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

COLUMNS = {
    "probe_vertical_position": "distance from the tip of the probe (µm)",
    "probe_horizontal_position": "distance across the probe (µm)",
    "probe_id": "id of the probe",
    "local_index": "index of the site on the probe",
    "valid_data": "whether the channel is usable",
}
FIRST_CHANNEL_ID = 850_000_000


def write_allen(folder: Path, params: LabParams, made: SyntheticSession) -> list[Path]:
    """Write the session file and the probe files of one session."""
    subject = subject_name(params, made.subject)
    stem = f"sub-{subject}_ses-{session_name(params, made)}"
    place = folder / f"sub-{subject}"
    paths = [save(_session_file(params, made), place / f"{stem}.nwb")]
    for probe in made.probes:
        name = f"{stem}_probe-{probe_id(params, made, probe)}_ecephys.nwb"
        paths.append(save(_probe_file(params, made, probe), place / name))
    return paths


def probe_id(params: LabParams, made: SyntheticSession, probe: Probe) -> int:
    """Number of a probe, unique over the laboratory."""
    return 10 * int(session_name(params, made)) % 10**9 + "ABCDEF".index(probe.name)


def _session_file(params: LabParams, made: SyntheticSession) -> NWBFile:
    nwb = new_file(params, made, lab="synthetic Allen-like lab", part="session file")
    rows, count = {}, 0
    for probe in made.probes:
        rows[probe.name] = count
        _add_electrodes(nwb, params, made, probe)
        count += params.channels
    add_units(nwb, made, rows)
    add_behavior(nwb, made)
    for start, stop in made.invalid:
        nwb.add_invalid_time_interval(
            start_time=start, stop_time=stop, tags=["EcephysSession", "0", "all_probes"]
        )
    return nwb


def _probe_file(params: LabParams, made: SyntheticSession, probe: Probe) -> NWBFile:
    nwb = new_file(params, made, lab="synthetic Allen-like lab", part=f"LFP of probe{probe.name}")
    _add_electrodes(nwb, params, made, probe)
    number = probe_id(params, made, probe)
    region = nwb.create_electrode_table_region(
        list(range(params.channels)), "all channels of the probe"
    )
    lfp = LFP(name=f"probe_{number}_lfp")
    nwb.add_acquisition(lfp)
    series = ElectricalSeries(
        name=f"probe_{number}_lfp_data",
        description="synthetic LFP",
        data=compressed((probe.lfp * 1e-6).astype(np.float32), (47193, 1)),
        electrodes=region,
        timestamps=compressed(sample_times(made, params.seed), (47193,)),
    )
    lfp.add_electrical_series(series)
    return nwb


def _add_electrodes(nwb: NWBFile, params: LabParams, made: SyntheticSession, probe: Probe) -> None:
    number = probe_id(params, made, probe)
    device = nwb.create_device(f"probe{probe.name}", description="synthetic probe")
    group = nwb.create_electrode_group(
        f"probe{probe.name}",
        description=f"synthetic probe, id {number}",
        location="cortex, hippocampus and thalamus, as drawn",
        device=device,
    )
    if not nwb.electrodes:
        for column, about in COLUMNS.items():
            nwb.add_electrode_column(column, about)
    track, first = probe.track, FIRST_CHANNEL_ID + 1000 * (number % 100_000)
    for i, acronym in enumerate(track.acronyms):
        nwb.add_electrode(
            id=first + 4 * i + 2,
            x=float(track.x[i]),
            y=float(track.y[i]),
            z=float(track.z[i]),
            imp=0.15e6,
            location=acronym or "root",
            filtering="synthetic: 0.1 Hz high-pass",
            group=group,
            probe_vertical_position=float(track.from_tip_um[i]),
            probe_horizontal_position=float((43, 11, 59, 27)[i % 4]),
            probe_id=number,
            local_index=4 * i + 2,
            valid_data=not bool(probe.bad[i]),
        )
