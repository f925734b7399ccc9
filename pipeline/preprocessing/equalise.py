"""One typical spectrum for every probe, so that filter and gain of a laboratory are not learned.

What a recording chain does to all channels alike is in the typical spectrum of the probe, what
distinguishes regions is in how channels differ from it. The typical spectrum is measured on the
recording itself, without labels, and every channel is filtered by the same ratio. What it costs:
a probe that lies mostly in one region has that region's spectrum for its typical one, and what
all channels of a subject share is lost with what its laboratory did.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64
from scipy import signal

from .readers import LfpSource, runs
from .stages import Block, Run, Stage

STRETCH_S = 4.0
"""Length of one stretch that is looked at (s)."""

LEVEL_UV2, KNEE_HZ = 1e4, 2.0
"""The typical spectrum afterwards: so much over the square of the frequency, flat below the knee
(µV² Hz; Hz)."""

BEYOND = 1.5
"""The spectrum is followed to this multiple of the highest frequency, where little is left."""

STEEPNESS = 8
"""Order of the low-pass at the highest frequency."""

MOST_DB = 40.0
"""A gain is at most so much above the median of the band: nothing is made of nothing."""


@dataclass(frozen=True)
class Equaliser:
    """A filter without phase, and what was left out.

    Attributes
    ----------
    taps
        Symmetric, of odd length; None where nothing could be measured.
    """

    taps: Float64[np.ndarray, " tap"] | None
    notes: list[str]


def learn_equaliser(
    source: LfpSource,
    build: Callable[[Run], tuple[Stage, int]],
    good: Bool[np.ndarray, " channel"],
    *,
    to_hz: float,
    resolution_hz: float,
    stretches: int,
    span_s: tuple[float, float],
    invalid: Sequence[tuple[float, float]] = (),
) -> Equaliser:
    """Measure a recording's typical spectrum on a few stretches, and the filter that mends it.

    Parameters
    ----------
    build
        Last stage of everything that comes before, for one unbroken run, and its decimation.
    good
        Channels that count.
    to_hz, resolution_hz
        Highest frequency, and how finely the spectrum is followed (Hz).
    stretches
        At most so many are read, evenly over `span_s` (s, session clock).
    invalid
        Stretches (s) in which the recording is not to be used.
    """
    found, rate = [], source.rate
    for block, usable, rate in _stretches(source, build, stretches, resolution_hz, span_s, invalid):
        size = round(rate / resolution_hz)
        if len(block) >= size and (usable & good).any():
            freqs, power = signal.welch(block, rate, nperseg=size, axis=0)
            found.append(np.where(usable & good & (power[1:] > 0).all(axis=0), power, np.nan))
    if not found or np.isnan(found).all():
        return Equaliser(None, ["equalisation left out: no stretch of a good channel to measure"])
    notes, most = [], 0.8 * rate / 2
    if to_hz > most:
        notes.append(f"equalised to {most:g} Hz only: sampling at {rate:g} Hz holds no more")
    typical = typical_spectrum(np.array(found))
    taps = equalising_taps(freqs, typical, rate, to_hz=min(to_hz, most))
    return Equaliser(taps, notes)


def typical_spectrum(
    power: Float[np.ndarray, "stretch freq channel"],
) -> Float64[np.ndarray, " freq"]:
    """Median over channels of each one's median over stretches; NaN where one does not count."""
    counted = power[:, :, ~np.isnan(power).all(axis=(0, 1))]
    return np.median(np.nanmedian(counted, axis=0), axis=1).astype(np.float64)


def equalising_taps(
    freqs: Float[np.ndarray, " freq"],
    power: Float[np.ndarray, " freq"],
    rate: float,
    *,
    to_hz: float,
) -> Float64[np.ndarray, " tap"]:
    """Filter that turns a spectrum (µV²/Hz) into the fixed one, and damps what lies beyond.

    The first bin is not used: below the second the gain is what it is there.
    """
    followed = (freqs > 0) & (freqs <= max(min(BEYOND * to_hz, 0.95 * rate / 2), freqs[1]))
    at, there = freqs[followed], power[followed]
    wanted = LEVEL_UV2 / np.maximum(at, KNEE_HZ) ** 2
    gain = 0.5 * np.log(wanted / np.maximum(there, np.finfo(float).tiny))
    gain = np.minimum(gain, np.median(gain) + MOST_DB / 20 * np.log(10))
    half = round(rate / (freqs[1] - freqs[0]))
    fine = np.fft.rfftfreq(8 * half, 1 / rate)
    damped = 1 / np.sqrt(1 + (fine / to_hz) ** (2 * STEEPNESS))
    impulse = np.fft.irfft(np.exp(np.interp(fine, at, gain)) * damped, 8 * half)
    return np.roll(impulse, half)[: 2 * half + 1] * np.hanning(2 * half + 1)


def convolve(
    padded: Float32[np.ndarray, "padded channel"],
    taps: Float64[np.ndarray, " tap"],
    *,
    channels_at_once: int = 64,
) -> Float32[np.ndarray, "time channel"]:
    """Each channel through a filter; the ends that lack part of it are left out."""
    out = np.empty((len(padded) - len(taps) + 1, padded.shape[1]), np.float32)
    for first in range(0, padded.shape[1], channels_at_once):
        some = slice(first, first + channels_at_once)
        wide = np.ascontiguousarray(padded[:, some].T, dtype=np.float64)  # (channel, time)
        out[:, some] = signal.oaconvolve(wide, taps[None], mode="valid", axes=1).T
    return out


@dataclass
class Equalised:
    """The parent through a symmetric filter; beyond its ends it stays what it is there."""

    parent: Stage
    taps: Float64[np.ndarray, " tap"]

    def __post_init__(self) -> None:
        self.rate, self.n_channels = self.parent.rate, self.parent.n_channels
        self.n_samples = self.parent.n_samples

    def read(self, start: int, stop: int) -> Block:
        half = len(self.taps) // 2
        a, b = start - half, stop + half
        inside = self.parent.read(max(a, 0), min(b, self.n_samples))
        missing = (max(-a, 0), max(b - self.n_samples, 0))
        return convolve(np.pad(inside, (missing, (0, 0)), mode="edge"), self.taps)


def _stretches(
    source: LfpSource,
    build: Callable[[Run], tuple[Stage, int]],
    most: int,
    resolution_hz: float,
    span_s: tuple[float, float],
    invalid: Sequence[tuple[float, float]],
) -> Iterator[tuple[Block, np.ndarray, float]]:
    """Samples after the chain so far, which channels are whole in them, and their rate (Hz)."""
    if not span_s[1] > span_s[0]:  # nor NaN
        return
    length = min(max(STRETCH_S, 4 / resolution_hz), span_s[1] - span_s[0])
    n = max(1, min(most, int((span_s[1] - span_s[0]) / length + 1e-6)))
    for begin in np.linspace(span_s[0], span_s[1] - length, n):
        if any(begin < last and begin + length > first for first, last in invalid):
            continue
        sample = source.sample_at(begin)
        first, last = next(run for run in reversed(runs(source)) if run[0] <= sample)
        whole = np.ones(source.n_channels, bool)
        stage, factor = build(Run(source, first, last, observe=_Watch(whole)))
        a = -(-(sample - first) // factor)
        b = min(a + round(length * stage.rate), stage.n_samples)
        if b > a:
            yield stage.read(a, b), whole, float(stage.rate)


@dataclass
class _Watch:
    """Notes which channels lack samples, or never change, in anything that is read."""

    whole: np.ndarray

    def __call__(self, _: int, raw: np.ndarray) -> None:
        self.whole &= np.ptp(raw, axis=0) > 0  # NaN is not, either
