"""What every synthetic NWB file shares: its statement, subject, units, trials and running."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from hdmf.backends.hdf5 import H5DataIO
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.file import Subject
from pynwb.misc import Units

from .brains import SPECIES
from .session import LabParams, SyntheticSession

STATEMENT = "Synthetic data made by fieldbase: no animal was recorded."
FIRST_DAY = datetime(2024, 3, 4, 9, 0, tzinfo=UTC)


def new_file(params: LabParams, made: SyntheticSession, *, lab: str, part: str) -> NWBFile:
    """An NWB file that says it is synthetic wherever one looks.

    Parameters
    ----------
    part
        What this file holds of the session.
    """
    name = subject_name(params, made.subject)
    species, age = SPECIES.get(params.brain, ("Mus musculus", f"P{110 + 3 * made.subject}D"))
    key = f"fieldbase-synthetic/{params.digest}/{made.subject}/{made.session}/{part}"
    return NWBFile(
        session_description=f"{STATEMENT} Layout {params.layout}, {part}.",
        identifier=str(uuid.uuid5(uuid.NAMESPACE_URL, key)),
        session_start_time=FIRST_DAY + timedelta(days=7 * made.subject + made.session),
        session_id=session_name(params, made),
        lab=lab,
        institution="fieldbase synthetic laboratory",
        experimenter=["Model, Synthetic"],
        experiment_description=f"{STATEMENT} Parameters {params.digest}.",
        keywords=["synthetic", "local field potential"],
        notes=f"{STATEMENT} Regions are those the signal was made from.",
        subject=Subject(
            subject_id=name,
            species=species,
            sex="MF"[made.subject % 2],
            age=age,
            genotype=genotype(params, made.subject),
            description="synthetic subject",
        ),
    )


def genotype(params: LabParams, subject: int) -> str | None:
    """What a laboratory that studies disease writes of its animals; None in any other."""
    if not params.diseased:
        return None
    return "App/Psen1 (synthetic)" if subject < params.diseased else "wild type (synthetic)"


def subject_name(params: LabParams, subject: int) -> str:
    """Allen's subjects are numbers; the others are called after their laboratory and seed."""
    if params.layout == "allen":
        return str(900_000_000 + 1000 * params.seed + subject)
    return f"SYN-{params.layout}-{params.seed}-{subject:02d}"


def session_name(params: LabParams, made: SyntheticSession) -> str:
    """Numbers for Allen, a uuid for IBL, a date for the generic layout."""
    if params.layout == "allen":
        return str(910_000_000 + 1000 * params.seed + 10 * made.subject + made.session)
    if params.layout == "ibl":
        text = f"fieldbase-synthetic/ibl/{params.seed}/{made.subject}/{made.session}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, text))
    return f"{FIRST_DAY + timedelta(days=7 * made.subject + made.session):%Y%m%d}"


def sample_times(made: SyntheticSession, seed: int) -> np.ndarray:
    """Timestamps (s) as an acquisition system writes them: a few microseconds of jitter."""
    jitter = np.random.default_rng([seed, made.subject, made.session, 99])
    return made.times + 2e-6 * jitter.standard_normal(len(made.times))


def compressed(data: np.ndarray, chunks: tuple[int, ...]) -> H5DataIO:
    """gzip 4, as both archives do."""
    fitting = tuple(min(c, n) for c, n in zip(chunks, data.shape, strict=True))
    return H5DataIO(data, compression="gzip", compression_opts=4, chunks=fitting)


def add_units(nwb: NWBFile, made: SyntheticSession, first_row: dict[str, int]) -> None:
    """Units of all probes, each with the electrode of its peak.

    Parameters
    ----------
    first_row
        Row of each probe's first channel in the electrode table.
    """
    if not any(len(spikes) for probe in made.probes for spikes in probe.spikes):
        return
    nwb.units = Units(name="units", description="synthetic units", resolution=1 / made.rate)
    nwb.add_unit_column("peak_channel_id", "id of the electrode with the largest waveform")
    nwb.add_unit_column("quality", "all units are good: they were made")
    table = nwb.electrodes
    for probe in made.probes:
        for row, spikes in zip(probe.units.itertuples(), probe.spikes, strict=True):
            if len(spikes) == 0:
                continue
            electrode = first_row[probe.name] + row.channel
            nwb.add_unit(
                spike_times=spikes,
                electrodes=[electrode],
                peak_channel_id=int(table.id[electrode]),
                quality="good",
            )


def add_behavior(nwb: NWBFile, made: SyntheticSession) -> None:
    """Running speed at 50 Hz, and trials."""
    step = max(1, round(made.rate / 50))
    module = nwb.create_processing_module("behavior", "what the synthetic animal did")
    module.add(
        TimeSeries(
            name="running_speed",
            description="synthetic running speed",
            data=compressed(made.speed[::step].astype(np.float32) / 100, (4096,)),
            unit="m/s",
            starting_time=float(made.times[0]),
            rate=made.rate / step,
        )
    )
    if made.trials.empty:
        return
    nwb.add_trial_column("orientation", "orientation of the synthetic grating (degrees)")
    nwb.add_trial_column("licked", "whether the synthetic animal licked")
    for trial in made.trials.itertuples(index=False):
        nwb.add_trial(
            start_time=trial.start_time,
            stop_time=trial.stop_time,
            orientation=trial.orientation,
            licked=bool(trial.licked),
        )


def save(nwb: NWBFile, path: Path) -> Path:
    """Write one file, replacing an older one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path
