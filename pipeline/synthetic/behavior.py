"""What the synthetic animal does, and what its neurons make of it."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64

from .signals import Rhythm, slow_noise
from .track import Track

LOCKING = {"VISp": (0.3, 0.0), "CA1": (0.9, 0.5), "CA3": (0.7, -1.0), "DG": (0.8, 2.6)}
"""Depth of the theta modulation of firing, and its phase (rad), by region."""


def draw_speed(rng: np.random.Generator, n: int, rate: float) -> Float64[np.ndarray, " time"]:
    """Running speed (cm/s): bouts between rests."""
    return 12 * np.clip(slow_noise(rng, n, rate, 0.15) + 0.3, 0, None)


def draw_trials(rng: np.random.Generator, start_s: float, stop_s: float) -> pd.DataFrame:
    """Gratings of one second, about every three: start, stop (s), orientation, whether licked."""
    starts = np.arange(start_s + 1, stop_s - 3, 3.0)
    starts = starts + rng.uniform(0, 1, len(starts))
    orientation = rng.choice([0.0, 90.0], len(starts))
    licked = rng.random(len(starts)) < np.where(orientation == 90, 0.8, 0.2)
    return pd.DataFrame(
        {
            "start_time": starts,
            "stop_time": starts + 1.0,
            "orientation": orientation,
            "licked": licked,
        }
    )


def draw_units(
    rng: np.random.Generator,
    track: Track,
    rhythm: Rhythm,
    trials: pd.DataFrame,
    times: Float[np.ndarray, " time"],
    *,
    units: int,
) -> tuple[list[Float64[np.ndarray, " _"]], pd.DataFrame]:
    """Spike times (s) locked to theta and, in cortex, to gratings; one row per unit beside them."""
    inside = [c for c, name in enumerate(track.acronyms) if name]
    step = np.median(np.diff(times))
    spikes, rows = [], []
    for unit in range(units):
        channel = int(rng.choice(inside))
        region = track.acronyms[channel]
        depth, phase = LOCKING.get(region, (0.1, 0.0))
        base = float(rng.lognormal(1.5, 0.6))
        rate = base * np.exp(depth * np.cos(rhythm.phase - phase) + 0.3 * (rhythm.envelope - 0.7))
        if region == "VISp":
            rate = rate * _grating_drive(trials, times, float(rng.choice([0.0, 90.0])))
        counts = rng.poisson(np.clip(rate * step, 0, 0.5))
        at = np.repeat(times, counts) + rng.uniform(0, step, counts.sum())
        spikes.append(np.sort(at))
        rows.append({"unit": unit, "channel": channel, "region": region, "base_hz": base})
    return spikes, pd.DataFrame(rows)


def _grating_drive(
    trials: pd.DataFrame, times: Float[np.ndarray, " time"], preferred: float
) -> Float64[np.ndarray, " time"]:
    drive = np.ones(len(times))
    for trial in trials.itertuples():
        gain = 3.0 if trial.orientation == preferred else 1.3
        drive[(times >= trial.start_time + 0.05) & (times < trial.stop_time)] = gain
    return drive
