"""Spectrograms that cover the same band and time whatever rate a window was recorded at."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

FLOOR_UV2 = 1e-6
"""Power added before the logarithm (µV²): silence is -60 dB."""


def n_bins(rate: float, segment_s: float, bins: int) -> int:
    """How many of the first bins a recording at this rate (Hz) has: none lies above Nyquist."""
    return min(bins, round(segment_s * rate) // 2 + 1)


def spectrogram_db(
    x: Float[Tensor, "row time"], rate: float, *, segment_s: float, bins: int, frames: int
) -> Float[Tensor, "row frame bin"]:
    """Power (dB re 1 µV²) of the first bins in frames spread evenly over the window.

    As ``scipy.signal.stft`` with a Hann window and ``boundary="even"``: frames are centred, the
    first on the first sample and the last on the end, so ``segment_s`` and not the rate sets what
    a bin means. Bins above Nyquist are left out.

    Raises
    ------
    ValueError
        If the segment is too long to be mirrored at the window's ends, or there are fewer than
        two frames.
    """
    size, n = round(segment_s * rate), x.shape[-1]
    half = size // 2
    if not 0 < half < n - 1 or frames < 2:
        raise ValueError(
            f"a spectrogram needs segments of less than twice the window and two frames or more, "
            f"got {segment_s} s of {n / rate:.3g} s and {frames}"
        )
    padded = F.pad(x[:, None], (half, half + 1), mode="reflect")[:, 0]
    start = torch.linspace(0, n, frames, dtype=torch.float64).round().long().clamp(max=n)
    index = start[:, None] + torch.arange(size)
    window = torch.hann_window(size, device=x.device, dtype=x.dtype)
    pieces = padded[:, index.to(x.device)] * window
    found = torch.fft.rfft(pieces)[..., : n_bins(rate, segment_s, bins)].abs().square()
    return 10 * (found / window.sum().square() + FLOOR_UV2).log10()
