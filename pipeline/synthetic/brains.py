"""Brains beside the mouse of the other laboratories: its motor cortex, and a macaque's.

Levels and rhythms follow what is commonly reported: beta in motor cortex, slower towards the
premotor fields, and beta with a flat background in the basal ganglia; the macaque's lie lower in
frequency than the mouse's. None of it was measured, and how alike the two species are was chosen.
"""

from .regions import OUTSIDE, REGIONS, TRACKS, Region

MOP = Region(
    "MOp", "Primary motor area", "MOp", "Isocortex",
    1100.0, 105.0, 1.9, 2.5, ((24.0, 6.0, 0.9), (60.0, 16.0, 0.4)),
    theta=0.1, gamma=0.1, events="down", event_uv=140.0,
)  # fmt: skip
MOS = Region(
    "MOs", "Secondary motor area", "MOs", "Isocortex",
    900.0, 105.0, 1.95, 2.5, ((14.0, 4.0, 0.8), (45.0, 12.0, 0.35)),
    theta=0.15, gamma=0.1, events="down", event_uv=140.0,
)  # fmt: skip
CP = Region(
    "CP", "Caudoputamen", "CP", "CNU",
    1500.0, 70.0, 1.65, 4.0, ((18.0, 5.0, 0.3), (80.0, 20.0, 0.8)),
    theta=0.1, gamma=0.15, events="spindle", event_uv=50.0,
)  # fmt: skip

M1 = Region(
    "M1", "Primary motor cortex", "", "",
    0.0, 90.0, 1.95, 2.2, ((20.0, 5.0, 1.2), (50.0, 15.0, 0.35)),
    theta=0.05, gamma=0.1, events="none",
)  # fmt: skip
SMA = Region(
    "SMA", "Supplementary motor area", "", "",
    0.0, 95.0, 2.0, 2.2, ((12.0, 4.0, 0.9), (38.0, 11.0, 0.3)),
    theta=0.1, gamma=0.1, events="none",
)  # fmt: skip
BG = Region(
    "BG", "Basal ganglia", "", "",
    0.0, 60.0, 1.7, 3.5, ((16.0, 5.0, 0.4), (70.0, 18.0, 0.7)),
    theta=0.05, gamma=0.1, events="none",
)  # fmt: skip

MACAQUE = (BG, SMA, M1)
"""Region of the first, second and third probe: as in the paper, a probe is a region."""

BRAINS: dict[str, dict[str, Region]] = {
    "mouse": REGIONS,
    "mouse motor": {region.acronym: region for region in (MOP, MOS, CP, OUTSIDE)},
    "macaque": {region.acronym: region for region in (*MACAQUE, OUTSIDE)},
}
"""Regions of each brain, in the order their variation between subjects is drawn in."""

WAYS = {"mouse": TRACKS, "mouse motor": ((MOS, MOP, CP), (MOP, MOS, CP))}
"""Orders in which a probe meets them; a macaque's probes lie in one region each."""

SPECIES = {"macaque": ("Macaca mulatta", "P8Y")}
"""Latin name and age; the others are mice of some four months."""
