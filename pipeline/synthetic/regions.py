"""What the field potential of each region is made of, in the synthetic laboratory.

Levels and rhythms follow what is commonly reported for the mouse: theta largest near the
hippocampal fissure and reversed across CA1, gamma nested in theta, ripples in the CA1 pyramidal
layer, dentate spikes, down states in cortex, spindles in thalamus. None of it was measured.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """One region's share in each source.

    Attributes
    ----------
    acronym, full_name, beryl, cosmos
        Allen acronym and name, and IBL's two coarser labels.
    thickness_um
        Along the track, before variation between subjects (µm).
    level_uv
        Standard deviation of the background (µV).
    slope
        Exponent of its power above the knee.
    knee_hz
        Where the background starts to fall (Hz).
    bumps
        Broad peaks of the background: (centre Hz, width Hz, power over the background's there).
    theta, gamma, nested_phase
        Amplitudes relative to the largest of the session, and the theta phase (rad) at which
        gamma is strongest.
    events
        Kind of transient: ripple, dentate, down, spindle, or none.
    event_uv
        Its size (µV).
    """

    acronym: str
    full_name: str
    beryl: str
    cosmos: str
    thickness_um: float
    level_uv: float
    slope: float
    knee_hz: float
    bumps: tuple[tuple[float, float, float], ...] = ()
    theta: float = 0.0
    gamma: float = 0.0
    nested_phase: float = 0.0
    events: str = "none"
    event_uv: float = 0.0


VISP = Region(
    "VISp", "Primary visual area", "VISp", "Isocortex",
    750.0, 110.0, 1.9, 2.5, ((4.0, 2.0, 0.4), (55.0, 16.0, 0.55)),
    theta=0.15, gamma=0.1, nested_phase=0.0, events="down", event_uv=160.0,
)  # fmt: skip
CA1 = Region(
    "CA1", "Field CA1", "CA1", "HPF",
    520.0, 105.0, 1.85, 3.0, ((30.0, 10.0, 0.2), (140.0, 35.0, 0.6)),
    theta=1.0, gamma=0.8, nested_phase=1.6, events="ripple", event_uv=110.0,
)  # fmt: skip
CA3 = Region(
    "CA3", "Field CA3", "CA3", "HPF",
    380.0, 95.0, 1.85, 3.5, ((35.0, 9.0, 0.85),),
    theta=0.5, gamma=0.5, nested_phase=-1.6, events="none",
)  # fmt: skip
DG = Region(
    "DG", "Dentate gyrus", "DG", "HPF",
    460.0, 115.0, 1.8, 3.0, ((85.0, 22.0, 0.85),),
    theta=0.7, gamma=1.0, nested_phase=3.1, events="dentate", event_uv=260.0,
)  # fmt: skip
LP = Region(
    "LP", "Lateral posterior nucleus of the thalamus", "LP", "TH",
    900.0, 75.0, 1.75, 3.0, ((12.0, 3.0, 1.5),),
    theta=0.15, gamma=0.1, events="spindle", event_uv=70.0,
)  # fmt: skip
OUTSIDE = Region("", "root", "root", "root", 0.0, 12.0, 1.2, 2.0)
"""Above the surface: nothing but what the reference carries."""

TRACKS = ((VISP, CA1, DG, CA3, LP), (VISP, CA1, CA3, DG, LP), (VISP, CA1, DG, LP, CA3))
"""Orders in which a probe meets regions, from the surface; which one depends on the subject."""

REGIONS = {region.acronym: region for region in (VISP, CA1, CA3, DG, LP, OUTSIDE)}
