"""What distinguishes recordings of two laboratories of the same brain: filter, gain, noise."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

IBL_ATTENUATION = ((100.0, 1.0), (200.0, 3.3), (300.0, 33.0), (500.0, 768.0))
"""Frequency (Hz) and how many times less power IBL's released LF band holds than Allen's.

Source: independent reproduction of Lfp2Vec (mean spectra of seven insertions and ten probes).
"""


@dataclass(frozen=True)
class Hardware:
    """A laboratory's recording chain.

    Attributes
    ----------
    rate
        Sampling rate by its own clock (Hz).
    gain
        Of everything recorded.
    highpass_hz
        First-order corner (Hz).
    attenuation
        (Hz, power ratio), joined by straight lines in log-log and continued; empty for none.
    noise_uv
        White noise of each channel (µV).
    common_uv
        Noise all channels share (µV).
    line_hz, line_uv
        Mains hum (Hz, µV).
    """

    rate: float
    gain: float
    highpass_hz: float
    attenuation: tuple[tuple[float, float], ...]
    noise_uv: float
    common_uv: float
    line_hz: float
    line_uv: float


HARDWARE = {
    "allen": Hardware(1249.9984, 1.0, 0.1, (), 1.5, 10.0, 60.0, 3.0),
    "ibl": Hardware(2500.0213, 0.7, 0.5, IBL_ATTENUATION, 0.3, 25.0, 50.0, 5.0),
    "generic": Hardware(1250.0, 1.3, 0.3, ((300.0, 1.0), (600.0, 10.0)), 3.0, 10.0, 60.0, 8.0),
    "nhp": Hardware(2500.0, 0.9, 0.5, ((400.0, 1.0), (800.0, 8.0)), 2.0, 18.0, 60.0, 6.0),
    "sinaps": Hardware(1250.0, 1.1, 0.1, ((400.0, 1.0), (600.0, 4.0)), 5.0, 12.0, 60.0, 4.0),
}
"""Recording chains; those of ``nhp`` and ``sinaps`` are made up, measured nowhere."""

NUMBER = {"allen": 0, "generic": 1, "ibl": 2, "nhp": 3, "sinaps": 4}
"""Which stream of random numbers a laboratory draws from; never to be renumbered."""

LAB = {"nhp": "synthetic macaque lab", "sinaps": "synthetic SiNAPS-like lab"}
"""What files of the generic layout call their laboratory, where not the generic one."""


def response(hardware: Hardware, freqs: Float[np.ndarray, " freq"]) -> Float64[np.ndarray, " freq"]:
    """Amplitude response at each frequency (Hz), without phase."""
    highpass = freqs / np.hypot(freqs, hardware.highpass_hz)
    if not hardware.attenuation:
        return hardware.gain * highpass
    corners, ratios = np.log(np.array(hardware.attenuation)).T
    at = np.log(np.maximum(freqs, 1e-3))
    loss = np.interp(at, corners, ratios)
    steepness = (ratios[-1] - ratios[-2]) / (corners[-1] - corners[-2])
    loss += np.maximum(at - corners[-1], 0) * steepness
    return hardware.gain * highpass * np.exp(-loss / 2)
