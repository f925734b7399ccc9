"""The synthetic field potential: a background per region, rhythms, transients and noise."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64
from scipy import fft

from .disease import gamma_left, power_left
from .laboratories import Hardware, response
from .regions import Region
from .track import Track, theta_profile

SMOOTH_UM = 90.0
"""How far the background is shared along the shank (µm)."""


@dataclass(frozen=True)
class Brain:
    """What makes one subject differ from the next.

    Attributes
    ----------
    gain
        Of the whole field.
    slope
        Added to every region's exponent.
    pitch
        Factor on the frequency of every rhythm.
    levels
        Factor on each region's background, by acronym.
    bumps
        Factor on the power of each region's broad peaks, by acronym.
    theta_hz, theta_uv
        Of this subject's theta at its largest.
    diseased
        Whether its regions have lost gamma, as `disease` says.
    """

    gain: float
    slope: float
    pitch: float
    levels: dict[str, float]
    bumps: dict[str, float]
    theta_hz: float
    theta_uv: float
    diseased: bool = False


def draw_brain(rng: np.random.Generator, acronyms: list[str], jitter: float) -> Brain:
    """Draw a subject; `jitter` is the standard deviation of its logarithmic factors."""
    return Brain(
        gain=rng.lognormal(0, jitter),
        slope=rng.normal(0, jitter / 2),
        pitch=rng.lognormal(0, jitter / 3),
        levels={name: rng.lognormal(0, jitter) for name in acronyms},
        bumps={name: rng.lognormal(0, 2 * jitter) for name in acronyms},
        theta_hz=rng.uniform(6.5, 8.5),
        theta_uv=90 * rng.lognormal(0, jitter),
    )


@dataclass(frozen=True)
class Rhythm:
    """Theta of one session: its phase (rad) and envelope at every sample."""

    phase: Float64[np.ndarray, " time"]
    envelope: Float64[np.ndarray, " time"]


def draw_rhythm(
    rng: np.random.Generator, speed: Float[np.ndarray, " time"], brain: Brain, rate: float
) -> Rhythm:
    """Theta that is stronger and a little faster while the animal runs (speed in cm/s)."""
    run = np.clip(speed / 20, 0, 1)
    wander = slow_noise(rng, len(speed), rate, 0.5)
    hz = brain.theta_hz * brain.pitch * (1 + 0.06 * run + 0.04 * wander)
    envelope = (0.35 + 0.65 * run) * np.exp(0.3 * slow_noise(rng, len(speed), rate, 1.0))
    return Rhythm(2 * np.pi * np.cumsum(hz) / rate, envelope)


def simulate_lfp(
    rng: np.random.Generator, track: Track, brain: Brain, rhythm: Rhythm, hardware: Hardware
) -> Float32[np.ndarray, "time channel"]:
    """Field potential of one probe (µV) as one laboratory would record it."""
    n, rate = len(rhythm.phase), hardware.rate
    freqs = fft.rfftfreq(n, 1 / rate)
    through = response(hardware, freqs)
    lfp = _background(rng, track, brain, freqs, through, n)
    sources, weights = _sources(rng, track, brain, rhythm, rate)
    heard = fft.irfft(fft.rfft(sources, axis=0) * through[:, None], n, axis=0)
    lfp += (heard @ weights.T).astype(np.float32)
    return lfp + _hardware_noise(rng, hardware, lfp.shape)


def slow_noise(
    rng: np.random.Generator, n: int, rate: float, corner_hz: float
) -> Float64[np.ndarray, " time"]:
    """Noise of unit variance with nothing above a corner (Hz)."""
    return band_noise(rng, n, rate, 0.0, corner_hz)


def band_noise(
    rng: np.random.Generator, n: int, rate: float, centre_hz: float, width_hz: float
) -> Float64[np.ndarray, " time"]:
    """Noise of unit variance around a frequency (Hz), Gaussian in its power spectrum."""
    freqs = fft.rfftfreq(n, 1 / rate)
    shape = np.exp(-0.25 * ((freqs - centre_hz) / width_hz) ** 2)
    shape[0] = 0
    noise = fft.irfft(shape * fft.rfft(rng.normal(size=n)), n)
    return noise / noise.std()


def _background(
    rng: np.random.Generator,
    track: Track,
    brain: Brain,
    freqs: np.ndarray,
    through: np.ndarray,
    n: int,
) -> Float32[np.ndarray, "time channel"]:
    """Spatially smooth noise through each channel's spectrum; regions blend at their borders."""
    distance = track.distance_um
    shared = np.exp(-0.5 * (distance / SMOOTH_UM) ** 2)
    shared /= np.linalg.norm(shared, axis=1, keepdims=True)
    blend = np.exp(-0.5 * (distance / (SMOOTH_UM / 3)) ** 2)
    blend /= blend.sum(axis=1, keepdims=True)
    known = {r.acronym: _amplitude(r, brain, freqs) for r in set(track.regions)}
    spectra = np.stack([known[acronym] for acronym in track.acronyms])
    shapes = np.exp(blend @ np.log(spectra)) * through  # (channel, freq)
    noise = rng.standard_normal((len(distance), n), dtype=np.float32)
    mixed = shared.astype(np.float32) @ noise
    rough = fft.irfft(fft.rfft(mixed, axis=1) * shapes.astype(np.float32), n, axis=1)
    return np.ascontiguousarray(rough.T, dtype=np.float32)


def _amplitude(
    region: Region, brain: Brain, freqs: Float[np.ndarray, " freq"]
) -> Float64[np.ndarray, " freq"]:
    """Amplitude spectrum of a region's background, scaled to its standard deviation (µV)."""
    slope = region.slope + brain.slope
    power = 1 / (1 + (freqs / region.knee_hz) ** slope)
    plain = power.mean()
    for centre, width, height in region.bumps:
        centre = centre * brain.pitch
        there = 1 / (1 + (centre / region.knee_hz) ** slope)
        bump = np.exp(-0.5 * ((freqs - centre) / width) ** 2)
        power = power + height * brain.bumps[region.acronym] * there * bump
    if brain.diseased:
        power = power * power_left(region.acronym, freqs)
    level = region.level_uv * brain.levels[region.acronym] * brain.gain
    return level * np.sqrt(power / plain)


def _sources(
    rng: np.random.Generator, track: Track, brain: Brain, rhythm: Rhythm, rate: float
) -> tuple[Float64[np.ndarray, "time source"], Float64[np.ndarray, "channel source"]]:
    """What is coherent along the probe: theta, nested gamma, transients; and where it is heard."""
    n, found, weights = len(rhythm.phase), [], []
    amplitude, phase = theta_profile(track.regions, track.within)
    size = brain.gain * brain.theta_uv
    for part, where in ((np.cos, np.cos(phase)), (np.sin, np.sin(phase))):
        skewed = part(rhythm.phase) + 0.25 * part(2 * rhythm.phase)
        found.append(size * rhythm.envelope * skewed)
        weights.append(amplitude * where)
    for region in {region.acronym: region for region in track.regions}.values():
        inside = np.array([other is region for other in track.regions], float)
        if region.gamma:
            carrier = band_noise(rng, n, rate, 70 * brain.pitch, 12.0)
            nested = np.exp(1.2 * np.cos(rhythm.phase - region.nested_phase) - 0.6)
            left = gamma_left(region.acronym) if brain.diseased else 1.0
            found.append(0.12 * size * rhythm.envelope * nested * carrier * left)
            weights.append(region.gamma * inside)
        if region.events != "none":
            found.append(_events(rng, region, n, rate) * brain.gain)
            weights.append(inside * _event_depth(region, track.within))
    return np.stack(found, axis=1), np.stack(weights, axis=1)


def _events(
    rng: np.random.Generator, region: Region, n: int, rate: float
) -> Float64[np.ndarray, " time"]:
    """Transients of one region (µV), at random times."""
    hz, length_s, per_s = {
        "ripple": (150.0, 0.05, 0.5),
        "dentate": (0.0, 0.012, 0.8),
        "down": (1.5, 0.25, 0.4),
        "spindle": (12.0, 0.4, 0.25),
    }[region.events]
    out = np.zeros(n)
    for sample in _poisson_times(rng, n, rate, per_s):
        half = int(3 * length_s * rate)
        t = np.arange(-half, half) / rate
        shape = np.exp(-0.5 * (t / length_s) ** 2) * np.cos(2 * np.pi * hz * t + rng.uniform(0, 1))
        a, b = max(sample - half, 0), min(sample + half, n)
        out[a:b] += rng.lognormal(0, 0.4) * shape[a - sample + half : b - sample + half]
    return out * region.event_uv


def _event_depth(region: Region, within: np.ndarray) -> Float64[np.ndarray, " channel"]:
    """Ripples live in the upper third of CA1; the others fill their region."""
    if region.events == "ripple":
        return np.exp(-0.5 * ((within - 0.3) / 0.2) ** 2)
    return np.ones(len(within))


def _poisson_times(
    rng: np.random.Generator, n: int, rate: float, per_s: float
) -> Int64[np.ndarray, " event"]:
    return np.sort(rng.integers(0, n, rng.poisson(per_s * n / rate)))


def _hardware_noise(
    rng: np.random.Generator, hardware: Hardware, shape: tuple[int, int]
) -> Float32[np.ndarray, "time channel"]:
    """White noise of each channel, noise of the reference, and mains hum (µV)."""
    n, channels = shape
    white = hardware.noise_uv * rng.standard_normal((n, channels), dtype=np.float32)
    common = hardware.common_uv * band_noise(rng, n, hardware.rate, 0.0, 30.0)
    t = np.arange(n) / hardware.rate
    hum = hardware.line_uv * np.sin(2 * np.pi * hardware.line_hz * t + rng.uniform(0, 6.28))
    return white + (common + hum)[:, None].astype(np.float32)
