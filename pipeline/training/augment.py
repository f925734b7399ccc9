"""Training windows as another laboratory might have recorded them, so that none is learned."""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Complex64, Float32
from torch import Generator, Tensor

from .batches import Batch
from .parameters import AugmentParams, Range

TILT_AROUND_HZ, TILT_FROM_HZ = 10.0, 0.5
"""Where a tilt changes nothing, and below which it stays what it is there (Hz)."""


@dataclass(frozen=True)
class Chains:
    """One recording chain for each channel of each window of a batch.

    Attributes
    ----------
    gain
        Amplitude ratio.
    tilt_db
        Slope (dB per octave).
    corner_hz, order
        Of the low-pass; an infinite corner filters nothing.
    line_hz, line_uv, line_phase
        Mains: frequency of the first harmonic (Hz), amplitude of each (µV), phase (rad).
    noise
        Fourier transform of all other noise (µV).
    """

    gain: Float32[Tensor, " row"]
    tilt_db: Float32[Tensor, " row"]
    corner_hz: Float32[Tensor, " row"]
    order: Float32[Tensor, " row"]
    line_hz: Float32[Tensor, " row"]
    line_uv: Float32[Tensor, "row harmonic"]
    line_phase: Float32[Tensor, "row harmonic"]
    noise: Complex64[Tensor, "row freq"]

    def __getitem__(self, rows: slice) -> "Chains":
        """The chains of some of the rows."""
        return Chains(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def to(self, device: str | torch.device) -> "Chains":
        """The same chains on a device."""
        return Chains(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def augment(batch: Batch, params: AugmentParams, rng: Generator, device: str = "cpu") -> Batch:
    """The batch with its LFP changed, on the device.

    Chains are drawn for all rows of the batch, whichever were read, so that several processes
    that share a batch change it like one.
    """
    if not _changes(params):
        return batch
    channels, first = batch.channel.shape[1], batch.first * batch.channel.shape[1]
    chains = draw_chains(batch, params, rng)
    own = chains[first : first + len(batch.lfp) * channels].to(device)
    x = batch.lfp.to(device).transpose(1, 2).flatten(0, 1)  # (B C, T)
    heard = record_through(x, own, batch.rate).unflatten(0, (-1, channels))
    return replace(batch, lfp=heard.transpose(1, 2))  # (B, T, C)


def record_through(
    x: Float32[Tensor, "row time"], chains: Chains, rate: float
) -> Float32[Tensor, "row time"]:
    """Each row (µV) through its chain; ``rate`` in Hz."""
    n = x.shape[-1]
    freqs = torch.fft.rfftfreq(n, 1 / rate, device=x.device)
    spectrum = torch.fft.rfft(x) * response(chains, freqs) + chains.noise
    return torch.fft.irfft(spectrum, n=n) + _hum(chains, n, rate)


def response(chains: Chains, freqs: Float32[Tensor, " freq"]) -> Float32[Tensor, "row freq"]:
    """Amplitude ratio at each frequency (Hz): gain, tilt and a Butterworth low-pass."""
    corner, order = chains.corner_hz[:, None], chains.order[:, None]
    lowpass = torch.rsqrt(1 + (freqs / corner) ** (2 * order))
    octaves = torch.log2(freqs.clamp(min=TILT_FROM_HZ) / TILT_AROUND_HZ)
    tilt = 10 ** (chains.tilt_db[:, None] * octaves / 20)
    return chains.gain[:, None] * tilt * lowpass


def draw_chains(batch: Batch, params: AugmentParams, rng: Generator) -> Chains:
    """A chain for each channel of each row, on the CPU."""
    n, p = batch.channel.numel(), params
    least, most = p.lowpass_orders
    k = torch.arange(1, p.harmonics + 1)
    gain = p.gain_db * (2 * torch.rand(n, generator=rng) - 1) * _chosen(n, p.share, rng)
    tilt = p.tilt_db * (2 * torch.rand(n, generator=rng) - 1) * _chosen(n, p.share, rng)
    corner = _within(p.lowpass_hz or (1.0, 1.0), n, rng)
    filtered = _chosen(n, p.share, rng) & (p.lowpass_hz is not None)
    mains = torch.tensor(p.line_hz)[torch.randint(len(p.line_hz), (n,), generator=rng)]
    parts = torch.rand(n, p.harmonics, generator=rng).index_fill(1, torch.tensor(0), 1.0)
    line = _amount(p.line_uv, n, p.share, rng)
    return Chains(
        gain=10 ** (gain / 20),
        tilt_db=tilt,
        corner_hz=torch.where(filtered, corner, torch.inf),
        order=torch.randint(least, most + 1, (n,), generator=rng).float(),
        line_hz=mains,
        line_uv=line[:, None] * parts / k,
        line_phase=2 * torch.pi * torch.rand(n, p.harmonics, generator=rng),
        noise=_noise(batch, p, rng),
    )


def _noise(batch: Batch, params: AugmentParams, rng: Generator) -> Complex64[Tensor, "row freq"]:
    """White noise of each channel and the reference's of each window."""
    samples, (n_rows, channels) = batch.lfp.shape[1], batch.channel.shape
    n = n_rows * channels
    own = _amount(params.noise_uv, n, params.share, rng)[:, None] * _white(n, samples, rng)
    windows = torch.stack([batch.windowset, batch.window], dim=1).cpu()
    found, window = windows.unique(dim=0, return_inverse=True)
    freqs = torch.fft.rfftfreq(samples, 1 / batch.rate)
    end = _within(params.reference_hz, len(found), rng)[:, None]
    shape = torch.exp(-((freqs / end) ** 2))
    shape[:, 0] = 0
    # a shape of ones over all frequencies above 0 is white noise of SD 1
    shape = shape / shape.square().mean(dim=1, keepdim=True).sqrt()
    level = _amount(params.reference_uv, len(found), params.share, rng)[:, None]
    shared = level * shape * _white(len(found), samples, rng)
    return own + shared[window].repeat_interleave(channels, dim=0)


def _white(n: int, samples: int, rng: Generator) -> Complex64[Tensor, "row freq"]:
    """Fourier transform of white noise of SD 1."""
    freqs = samples // 2 + 1
    parts = torch.randn(n, freqs, 2, generator=rng) * (samples / 2) ** 0.5
    parts[:, 0] *= 2**0.5  # the mean and Nyquist's have no imaginary part
    if samples % 2 == 0:
        parts[:, -1] *= 2**0.5
    return torch.view_as_complex(parts)


def _hum(chains: Chains, n: int, rate: float) -> Float32[Tensor, "row time"]:
    """Harmonics of the mains that the sampling rate (Hz) can hold."""
    t = torch.arange(n, device=chains.line_hz.device) / rate
    out = torch.zeros(len(chains.line_hz), n, device=t.device)
    for k, (uv, phase) in enumerate(zip(chains.line_uv.T, chains.line_phase.T, strict=True), 1):
        hz = k * chains.line_hz
        heard = torch.where(hz < rate / 2, uv, 0.0)
        out += heard[:, None] * torch.sin(2 * torch.pi * hz[:, None] * t + phase[:, None])
    return out


def _within(limits: Range, n: int, rng: Generator) -> Float32[Tensor, " row"]:
    low, high = limits
    return low * (high / low) ** torch.rand(n, generator=rng)


def _chosen(n: int, share: float, rng: Generator) -> Tensor:
    return torch.rand(n, generator=rng) < share


def _amount(limits: Range | None, n: int, share: float, rng: Generator) -> Tensor:
    """A size for each row that was chosen, 0 for the others."""
    if limits is None:
        return torch.zeros(n)
    return _within(limits, n, rng) * _chosen(n, share, rng)


def _changes(params: AugmentParams) -> bool:
    sizes = (params.gain_db, params.tilt_db)
    ranges = (params.lowpass_hz, params.line_uv, params.reference_uv, params.noise_uv)
    return any(sizes) or any(r is not None for r in ranges)
