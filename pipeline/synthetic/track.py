"""Where a synthetic probe went: a region for each channel."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64

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
    shank, across_um
        Number of each channel's shank, and where it stands (µm); None for a single shank.
    """

    regions: tuple[Region, ...]
    from_tip_um: Float64[np.ndarray, " channel"]
    within: Float64[np.ndarray, " channel"]
    x: Float64[np.ndarray, " channel"]
    y: Float64[np.ndarray, " channel"]
    z: Float64[np.ndarray, " channel"]
    shank: Int64[np.ndarray, " channel"] | None = None
    across_um: Float64[np.ndarray, " channel"] | None = None

    @property
    def distance_um(self) -> Float64[np.ndarray, "channel channel"]:
        """Between every two channels (µm); signed along a single shank."""
        along = self.from_tip_um[:, None] - self.from_tip_um
        if self.across_um is None:
            return along
        return np.hypot(along, self.across_um[:, None] - self.across_um)

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
    tracks: tuple[tuple[Region, ...], ...] = TRACKS,
) -> Track:
    """Draw a probe's way through layers of regions, by default cortex, hippocampus and thalamus.

    Parameters
    ----------
    channels, span_um
        Sites, and the length of shank they cover (µm).
    thickness_jitter
        Standard deviation of the logarithm of each region's thickness.
    offset_um
        Standard deviation of how deep the probe went (µm).
    tracks
        Orders in which it may meet regions, from the surface.
    """
    way = _draw_way(rng, tracks, thickness_jitter, offset_um)
    from_tip = span_um / channels * np.arange(channels)
    below = max(span_um - 0.05 * span_um + way.deeper_um, 0.4 * span_um) - from_tip
    regions, within = _pass_through(way.order, way.thickness, below)
    return Track(regions, from_tip, within, *way.places(below))


def draw_shanks(
    rng: np.random.Generator,
    *,
    shanks: int,
    pitch_um: float,
    channels: int,
    span_um: float,
    thickness_jitter: float,
    offset_um: float,
    tracks: tuple[tuple[Region, ...], ...] = TRACKS,
) -> Track:
    """Draw a comb of shanks side by side: one order of regions, borders that drift across.

    Parameters
    ----------
    shanks, pitch_um
        How many, and how far apart (µm).
    channels
        Sites of each shank; the others as in `draw_track`.
    """
    way = _draw_way(rng, tracks, thickness_jitter, offset_um)
    tip = max(0.95 * span_um + way.deeper_um, 0.4 * span_um)
    tilt = rng.normal(0, SHANK_TILT, len(way.order))
    from_tip = span_um / channels * np.arange(channels)
    parts = []
    for shank in range(shanks):
        below = tip + rng.normal(0, SHANK_OFFSET_UM) - from_tip
        across = np.linspace(-0.5, 0.5, shanks)[shank] if shanks > 1 else 0.0
        regions, within = _pass_through(way.order, way.thickness * np.exp(tilt * across), below)
        parts.append((regions, within, below))
    regions, within, below = zip(*parts, strict=True)
    number = np.repeat(np.arange(shanks), channels)
    across = pitch_um * number
    x, y, z = way.places(np.concatenate(below))
    return Track(
        tuple(region for one in regions for region in one),
        np.tile(from_tip, shanks),
        np.concatenate(within),
        x,
        y,
        z + across,
        number,
        across,
    )


@dataclass(frozen=True)
class _Way:
    """What a probe goes through: regions and their thickness (µm), how much deeper than usual it
    went (µm), and where it enters (CCF, µm).
    """

    order: tuple[Region, ...]
    thickness: Float64[np.ndarray, " region"]
    deeper_um: float
    ap: float
    lr: float
    top: float

    def places(self, below: Float64[np.ndarray, " channel"]) -> tuple[np.ndarray, ...]:
        """``x, y, z`` of channels so deep below the surface (µm)."""
        return self.ap + 0.1 * below, self.top + below, self.lr + 0.15 * below


def _draw_way(
    rng: np.random.Generator, tracks: tuple[tuple[Region, ...], ...], jitter: float, offset: float
) -> _Way:
    order = tracks[rng.integers(len(tracks))]
    thickness = np.array([r.thickness_um * rng.lognormal(0, jitter) for r in order])
    deeper = rng.normal(0, offset)
    ap, lr, top = rng.normal(8200, 300), rng.normal(7900, 300), rng.normal(900, 200)
    return _Way(order, thickness, deeper, ap, lr, top)


SHANK_OFFSET_UM, SHANK_TILT = 40.0, 0.4
"""SD of depth between shanks of a comb (µm), and of a region's log thickness from end to end."""


def draw_array(rng: np.random.Generator, region: Region, *, channels: int, span_um: float) -> Track:
    """Draw a probe that lies in one region from tip to top, as each of the macaque's does."""
    from_tip = span_um / channels * np.arange(channels)
    x, y, z = rng.normal((10_000, 4_000, 6_000), 500)
    return Track(
        (region,) * channels,
        from_tip,
        np.linspace(1, 0, channels),
        np.full(channels, x),
        y - from_tip,
        np.full(channels, z),
    )


def _pass_through(
    order: tuple[Region, ...],
    thickness: Float64[np.ndarray, " region"],
    below_surface: Float[np.ndarray, " channel"],
) -> tuple[tuple[Region, ...], Float64[np.ndarray, " channel"]]:
    """Region of each channel and how far into it the channel lies, from how deep it is (µm)."""
    borders = np.concatenate([[0.0], np.cumsum(thickness)])
    layer = np.clip(np.searchsorted(borders, below_surface, side="right") - 1, 0, len(order) - 1)
    within = np.clip((below_surface - borders[layer]) / thickness[layer], 0, 1)
    regions = [OUTSIDE if d < 0 else order[k] for d, k in zip(below_surface, layer, strict=True)]
    return tuple(regions), within


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
