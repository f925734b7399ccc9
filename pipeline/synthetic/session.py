"""One synthetic recording: probes, units, trials and running, with the flaws of a real one."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Float64
from pydantic import Field, model_validator
from scipy import fft

from ..params import Params
from .behavior import draw_speed, draw_trials, draw_units
from .brains import BRAINS, MACAQUE, WAYS
from .laboratories import HARDWARE, NUMBER
from .signals import draw_brain, draw_rhythm, simulate_lfp
from .track import Track, draw_array, draw_shanks, draw_track


class LabParams(Params):
    """A synthetic laboratory: who is recorded, with what, and how much subjects differ."""

    later: ClassVar[frozenset[str]] = frozenset({"brain", "shanks", "shank_pitch_um", "diseased"})
    layout: Literal["allen", "ibl", "generic"] = Field(
        "allen", description="how files are laid out"
    )
    hardware: Literal["allen", "ibl", "generic", "nhp", "sinaps"] | None = Field(
        None, description="recording chain; None: that of the layout"
    )
    brain: Literal["mouse", "mouse motor", "macaque"] = Field(
        "mouse", description="what is recorded; of a macaque each probe lies in one region"
    )
    subjects: int = Field(4, ge=1)
    sessions: int = Field(1, ge=1, description="of each subject")
    probes: int = Field(1, ge=1, le=6, description="of each session")
    channels: int = Field(32, ge=4, le=384, description="of each shank of each probe")
    shanks: int = Field(1, ge=1, le=8, description="of each probe; several need layout generic")
    shank_pitch_um: float = Field(250.0, gt=0, description="between shanks (µm)")
    span_um: float = Field(2600.0, gt=0, description="shank covered by the channels (µm)")
    duration_s: float = Field(60.0, ge=3, description="or up to 2 % less, for a quick transform")
    units: int = Field(12, ge=0, description="of each probe")
    bad_channels: int = Field(2, ge=0, description="of each probe, dead and noisy in turn")
    artifacts: int = Field(2, ge=0, description="of each session, every second one marked invalid")
    thickness_jitter: float = Field(0.35, ge=0, description="SD of log thickness of regions")
    offset_um: float = Field(450.0, ge=0, description="SD of insertion depth (µm)")
    jitter: float = Field(0.2, ge=0, description="SD of log factors between subjects")
    diseased: int = Field(0, ge=0, description="the first so many subjects, see `disease`")
    seed: int = 0

    @model_validator(mode="after")
    def _possible(self) -> "LabParams":
        if self.shanks > 1 and (self.layout != "generic" or self.brain == "macaque"):
            raise ValueError("several shanks need layout='generic' and the brain of a mouse")
        if self.brain == "macaque" and self.probes > len(MACAQUE):
            raise ValueError(f"the synthetic macaque has {len(MACAQUE)} regions, a probe in each")
        if self.diseased > self.subjects:
            raise ValueError(f"{self.diseased} of {self.subjects} subjects cannot be diseased")
        return self

    @property
    def sites(self) -> int:
        """Channels of each probe."""
        return self.shanks * self.channels


@dataclass(frozen=True)
class Probe:
    """One probe of a session.

    Attributes
    ----------
    lfp
        Voltage (µV).
    bad
        Channels made dead or noisy.
    spikes
        Times (s, session clock) per unit.
    units
        ``unit, channel, region, base_hz``.
    """

    name: str
    track: Track
    lfp: Float32[np.ndarray, "time channel"]
    bad: Bool[np.ndarray, " channel"]
    spikes: list[Float64[np.ndarray, " _"]]
    units: pd.DataFrame


@dataclass(frozen=True)
class SyntheticSession:
    """One session before it is written.

    Attributes
    ----------
    times
        Of every LFP sample (s, session clock).
    speed
        Running speed (cm/s) at `times`.
    invalid
        (start s, stop s) of the artefacts that are marked.
    """

    subject: int
    session: int
    probes: list[Probe]
    times: Float64[np.ndarray, " time"]
    rate: float
    speed: Float64[np.ndarray, " time"]
    trials: pd.DataFrame
    invalid: list[tuple[float, float]]


def simulate_session(params: LabParams, subject: int, session: int = 0) -> SyntheticSession:
    """Simulate one session; the same numbers for the same parameters.

    The subject's brain is the same in all its sessions; where probes went is not. The layout
    decides the recording chain, never the brain.
    """
    hardware = HARDWARE[params.hardware or params.layout]
    lab = NUMBER[params.hardware or params.layout]
    brain = draw_brain(_rng(params, lab, subject), list(BRAINS[params.brain]), params.jitter)
    brain = replace(brain, diseased=subject < params.diseased)
    rng = _rng(params, lab, subject, session + 1)
    n = fft.prev_fast_len(round(params.duration_s * hardware.rate), real=True)
    times = 3.0 + np.arange(n) / hardware.rate
    speed = draw_speed(rng, n, hardware.rate)
    rhythm = draw_rhythm(rng, speed, brain, hardware.rate)
    trials = draw_trials(rng, times[0], times[-1])
    marks = _artifact_times(rng, params, times)
    probes = []
    for p in range(params.probes):
        track = _insert(rng, params, p)
        insertion = replace(brain, gain=brain.gain * rng.lognormal(0, params.jitter / 2))
        lfp = simulate_lfp(rng, track, insertion, rhythm, hardware)
        bad = _spoil(rng, lfp, params.bad_channels)
        _add_artifacts(rng, lfp, marks, hardware.rate)
        spikes, units = draw_units(rng, track, rhythm, trials, times, units=params.units)
        probes.append(Probe("ABCDEF"[p], track, lfp, bad, spikes, units))
    invalid = [(times[s] - 0.3, times[s] + 0.7) for s in marks[::2]]
    return SyntheticSession(subject, session, probes, times, hardware.rate, speed, trials, invalid)


def _insert(rng: np.random.Generator, params: LabParams, probe: int) -> Track:
    """Where one probe of a session went."""
    if params.brain == "macaque":
        region = MACAQUE[probe]
        return draw_array(rng, region, channels=params.channels, span_um=params.span_um)
    how = {name: getattr(params, name) for name in
           ("channels", "span_um", "thickness_jitter", "offset_um")}  # fmt: skip
    how["tracks"] = WAYS[params.brain]
    if params.shanks == 1:
        return draw_track(rng, **how)
    return draw_shanks(rng, shanks=params.shanks, pitch_um=params.shank_pitch_um, **how)


def _rng(params: LabParams, *path: int) -> np.random.Generator:
    return np.random.default_rng([params.seed, *path])


def _artifact_times(rng: np.random.Generator, params: LabParams, times: np.ndarray) -> list[int]:
    return sorted(rng.integers(len(times) // 10, len(times) * 9 // 10, params.artifacts).tolist())


def _spoil(
    rng: np.random.Generator, lfp: Float32[np.ndarray, "time channel"], how_many: int
) -> Bool[np.ndarray, " channel"]:
    """Make channels dead and noisy in turn, in place."""
    bad = np.zeros(lfp.shape[1], bool)
    for i, channel in enumerate(rng.permutation(lfp.shape[1])[:how_many]):
        noise = rng.standard_normal(len(lfp), dtype=np.float32)
        lfp[:, channel] = 0.3 * noise if i % 2 == 0 else lfp[:, channel] + 400 * noise
        bad[channel] = True
    return bad


def _add_artifacts(rng: np.random.Generator, lfp: np.ndarray, marks: list[int], rate: float):
    """Movement: a transient of milliVolts on all channels, in place."""
    for sample in marks:
        t = np.arange(int(0.4 * rate)) / rate
        shape = np.exp(-t / 0.1) * np.sin(2 * np.pi * 9 * t) * rng.uniform(4000, 8000)
        part = lfp[sample : sample + len(t)]
        part += (shape[: len(part), None] * rng.uniform(0.7, 1.3, lfp.shape[1])).astype(np.float32)
