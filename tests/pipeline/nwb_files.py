"""Small synthetic NWB files, one per layout, with everything about them known."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ecephys import LFP, ElectricalSeries
from pynwb.file import Subject

RATE = 1250.0


@dataclass
class Made:
    """What was written."""

    path: Path
    layout: str
    series: str
    uv: np.ndarray
    rate: float
    ids: list[int]
    probe: str
    locations: list
    evidence: str
    index_on_probe: list[int]
    depth_um: list[float]
    extra: dict = field(default_factory=dict)


def new_file(**changes):
    """An NWBFile with a subject, to be filled."""
    about = dict(
        session_description="synthetic recording for a test",
        identifier="made-1",
        session_start_time=datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        session_id="s1",
        lab="Test lab",
        institution="Test institution",
    )
    nwb = NWBFile(**{**about, **changes})
    nwb.subject = Subject(subject_id="m1", species="Mus musculus", sex="F", age="P90D")
    return nwb


def save(nwb, path):
    """Write and return the path; pynwb refuses an empty location, real files have them."""
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)
    with h5py.File(path, "r+") as file:
        where = file.get("general/extracellular_ephys/electrodes/location")
        if where is not None:
            where[...] = [b"" if text == b"EMPTY" else text for text in where[()]]
    return Path(path)


def add_probe(nwb, group, n, *, columns, description="one probe", device=None):
    """n electrodes of one group; ``columns`` maps a name to one value per electrode."""
    device = device or nwb.create_device(f"device of {group}")
    where = nwb.create_electrode_group(group, description=description, location="x", device=device)
    known = {"location", "x", "y", "z", "rel_x", "rel_y", "filtering", "imp", "id"}
    have = set(nwb.electrodes.colnames) if nwb.electrodes is not None else set()
    for name in set(columns) - known - have:
        nwb.add_electrode_column(name, f"the {name}")
    first = len(nwb.electrodes) if nwb.electrodes is not None else 0
    for i in range(n):
        row = {name: values[i] for name, values in columns.items()}
        nwb.add_electrode(group=where, **row)
    return nwb.create_electrode_table_region(list(range(first, first + n)), "channels")


def signal(n_samples, n_channels, seed=0):
    """int16 noise."""
    return np.random.default_rng(seed).integers(-2000, 2000, (n_samples, n_channels), np.int16)


def write_generic(path):
    """int16 LFP in processing/ecephys/LFP with a rate; labels in ``location`` only."""
    nwb, raw = new_file(), signal(5000, 6)
    columns = {
        "location": ["CA1", "CA1", "CA3", "DG", "unknown", "EMPTY"],
        "rel_x": [0.0] * 6,
        "rel_y": [100.0, 80.0, 60.0, 40.0, 20.0, 0.0],
        "lobe": ["hippocampus"] * 5 + [""],
    }
    region = add_probe(nwb, "probe0", 6, columns=columns)
    series = ElectricalSeries("ES", raw, region, rate=RATE, starting_time=2.0, conversion=2e-7)
    nwb.create_processing_module("ecephys", "lfp").add(LFP(series))
    return Made(
        save(nwb, path), "generic", "processing/ecephys/LFP/ES", raw * 0.2, RATE, list(range(6)),
        "probe0", ["CA1", "CA1", "CA3", "DG", None, None], "target", list(range(6)),
        columns["rel_y"],
    )  # fmt: skip


def write_allen(path):
    """float32 volts with timestamps and no rate; acronyms; ids that are no row numbers."""
    nwb, raw = new_file(institution="Allen Institute for Brain Science"), signal(5000, 4, 1)
    columns = {
        "id": [850090592, 850090600, 850090608, 850090616],
        "x": [-1.0, 8000.0, 8010.0, 8020.0],
        "y": [-1.0, 1000.0, 1040.0, 1080.0],
        "z": [-1.0, 7000.0, 7000.0, 7000.0],
        "location": ["EMPTY", "VISp", "CA1", "DG"],
        "probe_vertical_position": [40, 80, 120, 160],
        "probe_horizontal_position": [59, 59, 59, 59],
        "local_index": [2, 6, 10, 14],
        "valid_data": [True, True, False, True],
    }
    region = add_probe(nwb, "probeA", 4, columns=columns)
    volts = (raw * 1e-6).astype(np.float32)
    times = 3.7 + np.arange(5000) / 1249.998
    series = ElectricalSeries("probe_1_lfp_data", volts, region, timestamps=times)
    nwb.add_acquisition(LFP(series, name="probe_1_lfp"))
    return Made(
        save(nwb, path), "allen", "acquisition/probe_1_lfp/probe_1_lfp_data", raw * 1.0, 1249.998,
        columns["id"], "probeA", [None, "VISp", "CA1", "DG"], "histology", [2, 6, 10, 14],
        [40.0, 80.0, 120.0, 160.0],
    )  # fmt: skip


def write_allen_session(path):
    """Units and invalid times, no LFP."""
    nwb = new_file(institution="Allen Institute for Brain Science")
    for probe, first in (("probeA", 100), ("probeB", 200)):
        columns = {
            "id": [first, first + 1],
            "location": ["VISp", "CA1"],
            "probe_vertical_position": [40, 80],
            "local_index": [0, 1],
        }
        add_probe(nwb, probe, 2, columns=columns)
    nwb.add_unit_column("peak_channel_id", "peak channel")
    nwb.add_unit(spike_times=[1.0, 2.0, 3.0], peak_channel_id=201, id=900)
    nwb.add_unit(spike_times=[0.5], peak_channel_id=100, id=901)
    for start, tags in (
        (10.0, ["EcephysSession", "1", "all_probes"]),
        (20.0, ["EcephysProbe", "2", "probeB"]),
        (30.0, ["EcephysSession", "3", "stimulus"]),
    ):
        nwb.add_invalid_time_interval(start_time=start, stop_time=start + 1, tags=tags)
    return save(nwb, path)


def write_ibl(path, *, localization=True):
    """int16, full CCF names in ``location``, acronyms in tables of the localization extension."""
    nwb, raw = new_file(lab="cortexlab"), signal(5000, 6, 2)
    names = ["Field CA3", "Field CA3", "root", "Dentate gyrus", "Field CA1", "Field CA1"]
    columns = {
        "location": names,
        "rel_x": [16.0, 48.0] * 3,
        "rel_y": [20.0 * i for i in range(6)],
        "channel_name": [f"LF{i}" for i in range(6)],
    }
    region = add_probe(nwb, "Probe00", 6, columns=columns)
    times = 0.5 + np.arange(5000) / 2500.1
    nwb.add_acquisition(
        ElectricalSeries(
            "ElectricalSeriesProbe00LF", raw, region, timestamps=times, conversion=4.6875e-6
        )
    )
    nwb.add_acquisition(
        ElectricalSeries(
            "ElectricalSeriesProbe00AP", raw, region, rate=30000.0, conversion=2.34375e-6
        )
    )
    save(nwb, path)
    acronyms = ["CA3", "CA3", "root", "DG-mo", "CA1", "CA1"]
    if localization:
        with h5py.File(path, "r+") as file:
            _localization(file, acronyms)
    return Made(
        path, "ibl", "acquisition/ElectricalSeriesProbe00LF", raw * 4.6875, 2500.1,
        list(range(6)), "Probe00",
        ["CA3", "CA3", None, "DG-mo", "CA1", "CA1"] if localization
        else ["Field CA3", "Field CA3", None, "Dentate gyrus", "Field CA1", "Field CA1"],
        "histology" if localization else "target", list(range(6)), columns["rel_y"],
        {"beryl_location": "HPF"} if localization else {},
    )  # fmt: skip


def _localization(file, acronyms):
    lab = file.create_group("general/localization")
    lab.attrs.update(neurodata_type="Localization", namespace="ndx-anatomical-localization")
    n = len(acronyms)
    for name in ("ElectrodesCCFv3", "ElectrodesIBLBregma"):
        table = lab.create_group(name)
        table.attrs["neurodata_type"] = "AnatomicalCoordinatesTable"
        table["id"] = np.arange(n)
        table["brain_region"] = np.array(acronyms, dtype=object)
        table["localized_entity"] = np.arange(n)
        for k, axis in enumerate("xyz"):
            table[axis] = np.arange(n) + 1000.0 * (k + 1)
    lab["ElectrodesIBLBregma/beryl_location"] = np.array(["HPF"] * n, dtype=object)
    lab["ElectrodesIBLBregma/atlas_id"] = np.arange(n)


def write_ibl_legacy(path):
    """The names before 2025: ElectricalSeriesLf, ibl_x and beryl_location among the electrodes."""
    nwb, raw = new_file(), signal(3000, 4, 3)
    columns = {
        "location": ["CA1", "CA1", "VISp5", "void"],
        "ibl_x": [0.1, 0.2, 0.3, 0.4],
        "beryl_location": ["CA1", "CA1", "VISp", "void"],
        "cosmos_location": ["HPF", "HPF", "Isocortex", "void"],
        "index_on_probe": [0, 1, 2, 3],
        "rel_y": [20.0, 20.0, 40.0, 40.0],
    }
    region = add_probe(nwb, "probe00", 4, columns=columns)
    nwb.add_acquisition(
        ElectricalSeries("ElectricalSeriesLf", raw, region, rate=2500.0, conversion=4.6875e-6)
    )
    return Made(
        save(nwb, path), "ibl", "acquisition/ElectricalSeriesLf", raw * 4.6875, 2500.0,
        list(range(4)), "probe00", columns["location"], "histology", [0, 1, 2, 3],
        columns["rel_y"], {"beryl_location": "CA1", "cosmos_location": "HPF"},
    )  # fmt: skip


WRITERS = {
    "generic": write_generic,
    "allen": write_allen,
    "ibl": write_ibl,
    "ibl_unlocalized": lambda path: write_ibl(path, localization=False),
    "ibl_legacy": write_ibl_legacy,
}
