"""Where a synthetic probe went: a region for each channel."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from .regions import CA1, OUTSIDE, TRACKS, Region


@dataclass(frozen=True)
class Track:
    """One probe, channels ordered from the tip up.

    Attributes
    ----------
    regions
        Region of each channel.
    from_tip_um
        Along the shank (µm).
    within
        How far into its region a channel lies, from the region's upper border (0) to its lower (1).
    x, y, z
        Allen CCF (µm; anterior-posterior, dorsal-ventral, left-right).
    """

    regions: tuple[Region, ...]
    from_tip_um: Float64[np.ndarray, " channel"]
    within: Float64[np.ndarray, " channel"]
    x: Float64[np.ndarray, " channel"]
    y: Float64[np.ndarray, " channel"]
    z: Float64[np.ndarray, " channel"]

    @property
    def acronyms(self) -> list[str]:
        """Allen acronym of each channel; empty above the surface."""
        return [region.acronym for region in self.regions]


def draw_track(
    rng: np.random.Generator,
    *,
    channels: int,
    span_um: float,
    thickness_jitter: float,
    offset_um: float,
) -> Track:
    """Draw a probe's way through cortex, hippocampus and thalamus.

    Parameters
    ----------
    channels, span_um
        Sites, and the length of shank they cover (µm).
    thickness_jitter
        Standard deviation of the logarithm of each region's thickness.
    offset_um
        Standard deviation of how deep the probe went (µm).
    """
    order = TRACKS[rng.integers(len(TRACKS))]
    thickness = [r.thickness_um * rng.lognormal(0, thickness_jitter) for r in order]
    borders = np.concatenate([[0.0], np.cumsum(thickness)])
    pitch = span_um / channels
    from_tip = pitch * np.arange(channels)
    tip = max(span_um - 0.05 * span_um + rng.normal(0, offset_um), 0.4 * span_um)
    below_surface = tip - from_tip
    layer = np.clip(np.searchsorted(borders, below_surface, side="right") - 1, 0, len(order) - 1)
    within = np.clip((below_surface - borders[layer]) / np.array(thickness)[layer], 0, 1)
    regions = [OUTSIDE if d < 0 else order[k] for d, k in zip(below_surface, layer, strict=True)]
    ap, lr = rng.normal(8200, 300), rng.normal(7900, 300)
    return Track(
        tuple(regions),
        from_tip,
        within,
        np.full(channels, ap) + 0.1 * below_surface,
        below_surface + rng.normal(900, 200),
        np.full(channels, lr) + 0.15 * below_surface,
    )


def theta_profile(
    regions: tuple[Region, ...], within: Float[np.ndarray, " channel"]
) -> tuple[Float64[np.ndarray, " channel"], Float64[np.ndarray, " channel"]]:
    """Amplitude and phase (rad) of theta at each channel.

    Phase turns by half a cycle across CA1, from the pyramidal layer (a third of the way down) to
    the fissure, and amplitude dips where it turns; below the fissure it stays reversed.
    """
    amplitude = np.array([region.theta for region in regions])
    phase = np.zeros(len(regions))
    ca1 = np.array([region is CA1 for region in regions])
    phase[ca1] = np.pi / (1 + np.exp(-12 * (within[ca1] - 0.5)))
    amplitude[ca1] *= 0.35 + 0.65 * np.abs(np.cos(phase[ca1])) * (0.4 + 0.6 * within[ca1])
    for name, turned in (("DG", np.pi), ("CA3", 0.75 * np.pi), ("LP", 0.9 * np.pi)):
        phase[[region.acronym == name for region in regions]] = turned
    return amplitude, phase
