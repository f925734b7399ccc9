"""What disease does to the synthetic field potential: weaker gamma, more in some regions.

A loss of gamma power is commonly reported of mice that carry App and Psen1 mutations. How much,
and where, was chosen here so that it is modest beside the differences between animals; it was
measured nowhere, and a model that finds it has found this file.
"""

import numpy as np
from jaxtyping import Float, Float64

GAMMA_HZ = (25.0, 100.0)
"""The band that is weaker (Hz)."""

LEFT = {"CA1": 0.4, "DG": 0.5, "VISp": 0.55, "CA3": 0.75}
"""Share of the band's power that is left, by region; all of it in the others."""

EDGE_OCTAVES = 0.25
"""How softly the band begins and ends (octaves)."""


def power_left(acronym: str, freqs: Float[np.ndarray, " freq"]) -> Float64[np.ndarray, " freq"]:
    """Factor on a region's power at each frequency (Hz) in a diseased animal."""
    octave = np.log2(np.maximum(freqs, 1e-3))
    low, high = np.log2(GAMMA_HZ)
    inside = 1 / (1 + np.exp(-(octave - low) / EDGE_OCTAVES * 4))
    inside = inside / (1 + np.exp((octave - high) / EDGE_OCTAVES * 4))
    return LEFT.get(acronym, 1.0) ** inside


def gamma_left(acronym: str) -> float:
    """Factor on the amplitude of a region's gamma that is nested in theta."""
    return LEFT.get(acronym, 1.0) ** 0.5
