"""What a recording is once it has left its file: arrays with units and a clock.

Time comes first: ``(time, channel)``, ``(window, time, channel)``. Units are s, Hz, µV, µm and
counts per bin. Every time is in seconds on the session's clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Integer, UInt8


@dataclass(frozen=True)
class Lfp:
    """A stretch of field potential.

    Attributes
    ----------
    data
        Voltage (µV), ``(time, channel)``.
    rate
        Measured sampling rate (Hz).
    start_s
        Time of the first sample (s, session clock).
    """

    data: Float32[np.ndarray, "time channel"]
    rate: float
    start_s: float

    @property
    def duration_s(self) -> float:
        """Samples divided by rate (s)."""
        return len(self.data) / self.rate


@dataclass(frozen=True)
class Spikes:
    """Spike times of one population, sorted within each unit.

    Attributes
    ----------
    times
        One array of spike times (s, session clock) per unit.
    units
        One row per unit: ``unit`` (id in the file), ``probe``, ``channel`` (peak), ``region``.
    """

    times: Sequence[Float[np.ndarray, " _spike"]]
    units: pd.DataFrame


@dataclass(frozen=True)
class WindowSet:
    """All windows cut from one session's sources: what models train on and are tested on.

    A modality that was not asked for is None. Arrays may be read-only memory maps.

    Attributes
    ----------
    windows
        Digest of the windows task (64 hex digits): the row they came from.
    session, subject, source
        Who was recorded and by whom (lab or consortium).
    start_s
        Window starts (s, session clock).
    window_s
        Window length (s).
    rate
        Sampling rate of ``lfp`` (Hz); NaN without LFP.
    lfp
        Voltage (µV) after the preprocessing chain, at its native rate.
    valid
        Which (window, channel) pairs survived rejection.
    channels
        One row per channel: ``probe``, ``channel``, ``depth_um`` (from the tip), ``x, y, z``
        (µm CCF, NaN if unknown), ``rel_x, rel_y`` (µm on the shank), ``region`` (label in the
        asked scheme, None if unknown).
    spikes
        Counts per bin.
    units
        One row per unit: ``unit``, ``probe``, ``channel``, ``region``.
    behavior
        One column per variable, at bin centres.
    features
        Vectors made elsewhere, one per (window, channel).
    synthetic
        True when no animal was recorded.
    """

    windows: str
    session: str
    subject: str
    source: str
    start_s: Float[np.ndarray, " window"]
    window_s: float
    valid: Bool[np.ndarray, "window channel"]
    channels: pd.DataFrame
    rate: float = float("nan")
    lfp: Float32[np.ndarray, "window time channel"] | None = None
    bin_s: float = float("nan")
    spikes: Integer[np.ndarray, "window bin unit"] | None = None
    units: pd.DataFrame | None = None
    behavior: Float32[np.ndarray, "window bin variable"] | None = None
    features: Float32[np.ndarray, "window channel feature"] | None = None
    synthetic: bool = False
    provenance: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.start_s)

    def take(self, keep: Bool[np.ndarray, " window"]) -> "WindowSet":
        """Some of the windows; the same object, its memory maps unread, where that is all."""
        if keep.all():
            return self
        names = ("start_s", "valid", "lfp", "spikes", "behavior", "features")
        kept = {name: getattr(self, name) for name in names}
        return replace(self, **{n: None if a is None else a[keep] for n, a in kept.items()})


REASONS = ("kept", "nan", "zero", "invalid_interval", "bad_channel", "outside", "artifact")
"""Why a (window, channel) pair was rejected; stored as its index (uint8), 0 is kept."""

Reasons = UInt8[np.ndarray, "window channel"]
