"""Band power of each channel and a logistic regression."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..training.batches import Batch
from .context import DataContext
from .linear import LinearBaseline
from .parameters import BandPowerParams

BANDS_HZ = (0.0, 4.0, 8.0, 12.0, 30.0)
"""Lower edges; each band ends where the next begins, the last at Nyquist."""
N_FEATURES = 3 + 2 * len(BANDS_HZ)


class BandPower(LinearBaseline):
    """13 features of one window (µV, before any normalisation).

    RMS, mean square, total Welch power, then power and RMS of the density in each band.

    Source: the band-power baseline of the Lfp2Vec code (RMS, total power, two numbers per band);
    the thirteenth, total Welch power, is ours.
    """

    def __init__(self, params: BandPowerParams, context: DataContext) -> None:
        super().__init__(params, context, N_FEATURES)

    def features(self, batch: Batch) -> Float[Tensor, "batch channel feature"]:
        lfp = batch.lfp.transpose(1, 2)  # (B, C, T)
        found = band_features(
            lfp, batch.rate, segment=self.params.segment, highest_hz=self.params.highest_hz
        )
        return found.clamp(min=1e-12).log10() if self.params.log else found


def band_features(
    lfp: Float[Tensor, "*row time"], rate: float, *, segment: int, highest_hz: float | None = None
) -> Float[Tensor, "*row feature"]:
    """The features of ``BandPower`` before the logarithm (µV, µV², µV²/Hz)."""
    frequency, density = welch(lfp, rate, segment=segment)
    top = rate / 2 if highest_hz is None else min(highest_hz, rate / 2)
    width = frequency[1] - frequency[0]
    square = lfp.square().mean(dim=-1)
    total = density[..., frequency <= top].sum(dim=-1) * width
    columns = [square.sqrt(), square, total]
    for low, high in zip(BANDS_HZ, (*BANDS_HZ[1:], top), strict=True):
        inside = (frequency >= low) & ((frequency < high) | (frequency == top) & (high == top))
        band = density[..., inside]
        n = max(int(inside.sum()), 1)
        columns += [band.sum(dim=-1) * width, (band.square().sum(dim=-1) / n).sqrt()]
    return torch.stack(columns, dim=-1)


def welch(
    x: Float[Tensor, "*row time"], rate: float, *, segment: int
) -> tuple[Float[Tensor, " frequency"], Float[Tensor, "*row frequency"]]:
    """Power spectral density (unit²/Hz) and its frequencies (Hz), as ``scipy.signal.welch``.

    Hann window, half overlapping segments, each with its mean removed; a shorter signal is one
    segment.
    """
    segment = min(segment, x.shape[-1])
    window = torch.hann_window(segment, device=x.device, dtype=x.dtype)
    pieces = x.unfold(-1, segment, segment - segment // 2)
    pieces = (pieces - pieces.mean(dim=-1, keepdim=True)) * window
    density = torch.fft.rfft(pieces).abs().square().mean(dim=-2) / (rate * window.square().sum())
    density[..., 1 : -1 if segment % 2 == 0 else None] *= 2
    return torch.fft.rfftfreq(segment, 1 / rate, device=x.device, dtype=x.dtype), density
