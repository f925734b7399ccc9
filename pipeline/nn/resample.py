"""Resampling on the device that holds the signal."""

import torch
from jaxtyping import Float
from torch import Tensor


def resample_to(x: Float[Tensor, "*row time"], n_out: int) -> Float[Tensor, "*row out"]:
    """Fourier resampling along the last axis to ``n_out`` samples.

    Equals ``scipy.signal.resample`` for real input without a window.

    Raises
    ------
    ValueError
        If ``n_out`` is not positive.
    """
    n_in = x.shape[-1]
    if n_out < 1:
        raise ValueError(f"resampling needs at least one sample out, asked for {n_out}")
    if n_out == n_in:
        return x
    shared = min(n_in, n_out)
    spectrum = torch.fft.rfft(x)[..., : shared // 2 + 1]
    if shared % 2 == 0:  # the Nyquist bin of the shorter side stands for two
        spectrum = spectrum.clone()
        spectrum[..., -1] *= 2.0 if n_out < n_in else 0.5
    return torch.fft.irfft(spectrum, n=n_out) * (n_out / n_in)


def standardise(x: Float[Tensor, "*row time"], eps: float = 1e-10) -> Float[Tensor, "*row time"]:
    """Mean 0 and population SD 1 along the last axis; ``eps`` is added to the SD."""
    sd, mean = torch.std_mean(x, dim=-1, keepdim=True, correction=0)
    return (x - mean) / (sd + eps)
