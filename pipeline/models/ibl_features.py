"""The features of LFP that IBL's region decoders read, from windows of our own.

Source: International Brain Laboratory, ``ibleatools`` (MIT): names, bands and units are theirs, the
code is ours. Ours are of one window; theirs are medians over a recording, destriped, and smoothed
along the shank. ``APPROXIMATE`` says so beside every score.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

BANDS_HZ = {
    "delta": (0.0, 4.0),
    "theta": (4.0, 10.0),
    "alpha": (8.0, 12.0),
    "beta": (15.0, 30.0),
    "gamma": (30.0, 90.0),
    "lfp": (0.0, 90.0),
}
FROM_LFP = ("rms_lf", *(f"psd_{band}" for band in BANDS_HZ))
FROM_CSD = tuple(f"{name}_csd" for name in FROM_LFP)
COMPUTED = FROM_LFP + FROM_CSD
"""What LFP gives; theirs also have features of spikes and of the AP band."""
APPROXIMATE = (
    "features of single windows as preprocessed here, neither destriped by IBL's code nor "
    "denoised along the shank; current source density without Cadzow filter"
)
VOLT_PER_UV = 1e-6
METRE_PER_UM = 1e-6
CONDUCTIVITY = 1 / 3
"""Of the tissue (S/m)."""


def ibl_features(
    lfp: Float[Tensor, "window time channel"],
    rate: float,
    *,
    depth_um: Float[Tensor, " channel"],
    column: Int64[Tensor, " channel"],
    good: Bool[Tensor, "window channel"],
    names: Sequence[str],
) -> Float[Tensor, "window channel feature"]:
    """The named features of each channel; NaN for those that LFP does not give.

    RMS in dB re 1 V, band powers in dB re 1 V²/Hz (of the current source density: A/m³).

    Parameters
    ----------
    lfp
        Voltage (µV).
    depth_um
        Along the shank; NaN where unknown.
    column
        Column of sites, of one probe, that a channel is in: its current source density is the
        second difference along that column.
    good
        Channels that were not rejected; others enter no second difference.
    """
    volt = lfp.transpose(1, 2) * VOLT_PER_UV  # (W, C, T)
    found = dict(zip(FROM_LFP, spectral_features(volt, rate).unbind(-1), strict=True))
    if set(names) & set(FROM_CSD):
        density = source_density(volt, depth_um, column, good)
        found |= dict(zip(FROM_CSD, spectral_features(density, rate).unbind(-1), strict=True))
    missing = torch.full(volt.shape[:2], math.nan, dtype=volt.dtype, device=volt.device)
    return torch.stack([found.get(name, missing) for name in names], dim=-1)


def spectral_features(x: Float[Tensor, "*row time"], rate: float) -> Float[Tensor, "*row 7"]:
    """``FROM_LFP`` of each row (dB): RMS, then the periodogram averaged over each band.

    A band's weights fall from its centre as a raised cosine and reach zero one width away, as
    theirs do: neighbouring bands overlap.
    """
    n = x.shape[-1]
    power = torch.fft.rfft(x - x.mean(dim=-1, keepdim=True)).abs().square() / (rate * n)
    power[..., 1 : -1 if n % 2 == 0 else None] *= 2
    hz = torch.fft.rfftfreq(n, 1 / rate, device=x.device, dtype=x.dtype)
    columns = [20 * x.square().mean(dim=-1).sqrt().log10()]
    for low, high in BANDS_HZ.values():
        away = ((hz - (low + high) / 2).abs() / (high - low)).clamp(max=1)
        weight = (1 + (math.pi * away).cos()) / 2
        columns.append(10 * (power @ (weight / weight.sum())).log10())
    return torch.stack(columns, dim=-1)


def source_density(
    volt: Float[Tensor, "window channel time"],
    depth_um: Float[Tensor, " channel"],
    column: Int64[Tensor, " channel"],
    good: Bool[Tensor, "window channel"],
) -> Float[Tensor, "window channel time"]:
    """Second difference along each column times the conductivity (A/m³).

    The ends of a column get their neighbour's. NaN in columns of fewer than three sites, where
    the depth is not known, and beside rejected channels.
    """
    found = torch.full_like(volt, math.nan)
    usable = torch.where(good[..., None], volt, math.nan)
    for number in column.unique():
        at = (column == number).nonzero()[:, 0]
        at = at[depth_um[at].argsort()]
        if len(at) < 3 or bool(depth_um[at].isnan().any()):
            continue
        step = depth_um[at].diff().median() * METRE_PER_UM
        inner = usable[:, at].diff(n=2, dim=1) / step**2 * CONDUCTIVITY
        found[:, at] = torch.cat([inner[:, :1], inner, inner[:, -1:]], dim=1)
    return found
