"""What needs no model: power by depth and frequency, band power, and where theta reverses."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Complex, Float, Float32, Integer
from pydantic import Field
from scipy import signal

from ..params import Params
from .regions import shank_order

BLOCK_BYTES = 16 << 20  # windows go through the FFT in blocks of about this size


class SpectraParams(Params):
    """How spectra are estimated, and which bands are read off them."""

    segment_s: float = Field(1.0, gt=0, description="Welch segment (s); 1/segment_s is resolution")
    overlap: float = Field(0.5, ge=0, lt=1, description="overlap of segments (share)")
    delta: tuple[float, float] = Field((1.0, 4.0), description="(Hz)")
    theta: tuple[float, float] = Field((6.0, 10.0), description="(Hz)")
    beta: tuple[float, float] = Field((15.0, 30.0), description="(Hz)")
    gamma: tuple[float, float] = Field((30.0, 90.0), description="(Hz)")
    ripple: tuple[float, float] = Field((120.0, 200.0), description="(Hz)")
    min_coherence: float = Field(
        0.3, ge=0, le=1, description="least coherence of a channel that takes part in a reversal"
    )
    chance: float = Field(
        0.001, gt=0, lt=1, description="share of unrelated channels whose coherence is believed"
    )
    min_reversal_deg: float = Field(
        120.0, gt=0, le=180, description="least phase difference between the two sides (degrees)"
    )

    @property
    def bands(self) -> dict[str, tuple[float, float]]:
        """Name of each band and its edges (Hz)."""
        return {b: getattr(self, b) for b in ("delta", "theta", "beta", "gamma", "ripple")}


@dataclass(frozen=True)
class Spectra:
    """Spectral density of each channel.

    Attributes
    ----------
    freqs
        (Hz).
    power
        (µV²/Hz), mean over the valid windows; NaN for a channel without one.
    n_windows
        Windows behind each channel.
    """

    freqs: Float[np.ndarray, " freq"]
    power: Float[np.ndarray, "channel freq"]
    n_windows: Integer[np.ndarray, " channel"]


@dataclass(frozen=True)
class PhaseProfile:
    """Phase of theta along the probe, relative to one channel.

    Attributes
    ----------
    theta_hz
        Frequency of the peak (Hz).
    reference
        Row of the reference channel: the one with most theta power.
    phase, coherence
        Per channel (rad, -pi to pi) and (0 to 1).
    reversals
        ``shank`` (number), ``depth_um``, ``below``, ``above`` (rows either side), ``change_deg``.
    """

    theta_hz: float
    reference: int
    phase: Float[np.ndarray, " channel"]
    coherence: Float[np.ndarray, " channel"]
    reversals: pd.DataFrame


def power_spectra(
    lfp: Float32[np.ndarray, "window time channel"],
    rate: float,
    valid: Bool[np.ndarray, "window channel"],
    params: SpectraParams,
) -> Spectra:
    """Welch density of each channel, averaged over its valid windows.

    Parameters
    ----------
    lfp
        Voltage (µV).
    rate
        Sampling rate (Hz).
    """
    segment = min(round(params.segment_s * rate), lfp.shape[1])
    freqs = np.fft.rfftfreq(segment, 1 / rate)
    total = np.zeros((lfp.shape[2], len(freqs)))
    for block in _blocks(lfp):
        _, power = signal.welch(
            lfp[block], rate, nperseg=segment, noverlap=int(params.overlap * segment), axis=1
        )
        total += np.einsum("wfc,wc->cf", np.nan_to_num(power), valid[block], dtype=np.float64)
    count = valid.sum(axis=0)
    power = np.full_like(total, np.nan)
    np.divide(total, count[:, None], out=power, where=count[:, None] > 0)
    return Spectra(freqs, power, count)


def band_power(spectra: Spectra, band: tuple[float, float]) -> Float[np.ndarray, " channel"]:
    """Power in a band (µV²) of each channel; NaN if the band reaches beyond the spectrum."""
    low, high = band
    if high > spectra.freqs[-1] + 1e-9:
        return np.full(len(spectra.power), np.nan)
    inside = (spectra.freqs >= low) & (spectra.freqs < high)
    return spectra.power[:, inside].sum(axis=1) * (spectra.freqs[1] - spectra.freqs[0])


def band_powers(spectra: Spectra, params: SpectraParams) -> pd.DataFrame:
    """One column per band (µV²), one row per channel."""
    return pd.DataFrame({name: band_power(spectra, b) for name, b in params.bands.items()})


def phase_profile(
    lfp: Float32[np.ndarray, "window time channel"],
    rate: float,
    valid: Bool[np.ndarray, "window channel"],
    channels: pd.DataFrame,
    params: SpectraParams,
) -> PhaseProfile | None:
    """Phase and coherence of theta along depth; None where no channel holds a theta band.

    The sign of theta turns over between the pyramidal layer of CA1 and the hippocampal fissure
    (Buzsáki 2002, Neuron 33:325), which makes the crossing a landmark on the probe.
    """
    spectra = power_spectra(lfp, rate, valid, params)
    inside = (spectra.freqs >= params.theta[0]) & (spectra.freqs <= params.theta[1])
    theta = spectra.power[:, inside]
    if not inside.any() or not np.nansum(theta) > 0:
        return None
    whitened = np.nanmedian(theta, axis=0) * spectra.freqs[inside]
    peak_hz = float(spectra.freqs[inside][whitened.argmax()])
    reference = int(np.nan_to_num(theta.sum(axis=1)).argmax())
    cross, coherence = _cross_spectrum(lfp, rate, valid, reference, peak_hz, params)
    phase = np.where(np.isfinite(coherence), np.angle(cross), np.nan)
    reversals = find_reversals(phase, coherence, channels, params)
    return PhaseProfile(peak_hz, reference, phase, coherence, reversals)


def find_reversals(
    phase: Float[np.ndarray, " channel"],
    coherence: Float[np.ndarray, " channel"],
    channels: pd.DataFrame,
    params: SpectraParams,
) -> pd.DataFrame:
    """Places along each shank where the phase turns over (see `PhaseProfile.reversals`).

    A shank with a channel of unknown depth has none: the order in a file is not anatomy.
    """
    depth = pd.to_numeric(channels.get("depth_um", pd.Series(np.nan, channels.index))).to_numpy()
    found = []
    for shank, rows in enumerate(shank_order(channels)):
        if np.isnan(depth[rows]).any():
            continue
        rows = rows[np.nan_to_num(coherence[rows]) >= params.min_coherence]
        sign = np.cos(phase[rows]) > 0
        edges = np.flatnonzero(np.diff(sign)) + 1
        for before, after in zip(np.split(rows, edges), np.split(rows, edges)[1:], strict=False):
            change = _phase_between(phase[before], phase[after])
            if change >= params.min_reversal_deg:
                low, high = before[-1], after[0]
                near, far = np.cos(phase[low]), np.cos(phase[high])
                place = depth[low] + (depth[high] - depth[low]) * near / (near - far)
                found.append((shank, float(place), int(low), int(high), change))
    return pd.DataFrame(found, columns=["shank", "depth_um", "below", "above", "change_deg"])


def _phase_between(one: np.ndarray, other: np.ndarray) -> float:
    mean_one, mean_other = np.exp(1j * one).mean(), np.exp(1j * other).mean()
    return float(np.degrees(abs(np.angle(mean_one * np.conj(mean_other)))))


def _cross_spectrum(
    lfp: Float32[np.ndarray, "window time channel"],
    rate: float,
    valid: Bool[np.ndarray, "window channel"],
    reference: int,
    peak_hz: float,
    params: SpectraParams,
) -> tuple[Complex[np.ndarray, " channel"], Float[np.ndarray, " channel"]]:
    """Cross-spectrum with the reference at one frequency, and coherence, over valid windows.

    Coherence that unrelated signals reach by chance is 0: of n segments, a share ``chance`` of
    them exceeds 1 - chance^(1 / (n - 1)) (Carter 1987, Proc. IEEE 75:236).
    """
    segment = min(round(params.segment_s * rate), lfp.shape[1])
    step = max(1, segment - int(params.overlap * segment))
    wave = np.hanning(segment) * np.exp(-2j * np.pi * peak_hz * np.arange(segment) / rate)
    wave -= wave.mean()  # as if each segment had lost its mean
    parts = np.stack([wave.real, wave.imag]).astype(np.float32)
    cross, own, other, count = (np.zeros(lfp.shape[2], complex) for _ in range(4))
    for block in _blocks(lfp):
        both = valid[block] & valid[block, reference][:, None]
        for start in range(0, lfp.shape[1] - segment + 1, step):
            piece = np.nan_to_num(lfp[block, start : start + segment])
            at = parts @ piece  # (window, real and imaginary, channel)
            at = at[:, 0].astype(float) + 1j * at[:, 1]
            anchor = at[:, reference, None]
            cross += (both * at * anchor.conj()).sum(axis=0)
            own += (both * np.abs(at) ** 2).sum(axis=0)
            other += (both * np.abs(anchor) ** 2).sum(axis=0)
            count += both.sum(axis=0) * (1 - params.overlap / 2)  # overlapping ones say less
    with np.errstate(invalid="ignore", divide="ignore"):
        coherence = (np.abs(cross) ** 2 / (own * other)).real
    by_chance = 1 - params.chance ** (1 / np.maximum(count.real - 1, 1e-3))
    return cross, np.where(coherence < by_chance, 0.0, coherence)


def _blocks(lfp: np.ndarray) -> list[slice]:
    size = max(1, BLOCK_BYTES // max(1, lfp[:1].nbytes))
    return [slice(start, start + size) for start in range(0, len(lfp), size)]
