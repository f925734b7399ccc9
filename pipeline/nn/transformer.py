"""One encoder with three switches (norm, mlp, rotary) for every family that brings no own."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F


class Encoder(nn.Module):
    """Pre-norm bidirectional transformer.

    Parameters
    ----------
    norm
        LayerNorm or RMSNorm.
    mlp
        GELU or gated SiLU.
    rotary
        Rotate queries and keys by the token's integer step; without it, positions are the
        caller's business.
    """

    def __init__(
        self,
        *,
        dim: int,
        layers: int,
        heads: int,
        feedforward: int,
        dropout: float = 0.0,
        norm: Literal["layer", "rms"] = "layer",
        mlp: Literal["gelu", "gated"] = "gelu",
        rotary: bool = True,
    ) -> None:
        super().__init__()
        if dim % (2 * heads):
            raise ValueError(f"dim {dim} must divide by twice the heads ({2 * heads})")
        norm_class = nn.LayerNorm if norm == "layer" else nn.RMSNorm
        self.blocks = nn.ModuleList(
            _Block(dim, heads, feedforward, dropout, norm_class, mlp == "gated")
            for _ in range(layers)
        )
        self.norm = norm_class(dim)
        self.head_dim = dim // heads
        self.rotary = rotary

    def forward(
        self,
        x: Float[Tensor, "batch token dim"],
        *,
        step: Int64[Tensor, "batch token"],
        attend: Bool[Tensor, "batch token token"] | None = None,
        layers: int | None = None,
    ) -> Float[Tensor, "batch token dim"]:
        """Hidden states of the last layer, or of the first ``layers`` without the final norm.

        Parameters
        ----------
        attend
            Who (row) may attend to whom (column); None allows all.
        """
        turn = rotations(step, self.head_dim) if self.rotary else None
        for block in self.blocks[:layers]:
            x = block(x, turn, attend)
        return x if layers is not None and layers < len(self.blocks) else self.norm(x)


class _Block(nn.Module):
    def __init__(
        self, dim: int, heads: int, feedforward: int, dropout: float, norm: type, gated: bool
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = norm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.project = nn.Linear(dim, dim)
        self.mlp_norm = norm(dim)
        self.mlp = _GatedMlp(dim, feedforward) if gated else _mlp(dim, feedforward)

    def forward(self, x: Tensor, turn: Tensor | None, attend: Tensor | None) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, N, D/H)
            for part in self.qkv(self.attention_norm(x)).chunk(3, dim=-1)
        )
        if turn is not None:
            q, k = rotate(q, turn), rotate(k, turn)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=None if attend is None else attend[:, None], dropout_p=dropout
        )
        mixed = self.project(mixed.transpose(1, 2).flatten(2))  # (B, N, D)
        x = x + F.dropout(mixed, dropout)
        return x + F.dropout(self.mlp(self.mlp_norm(x)), dropout)


def _mlp(dim: int, feedforward: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, feedforward), nn.GELU(), nn.Linear(feedforward, dim))


class _GatedMlp(nn.Module):
    def __init__(self, dim: int, feedforward: int) -> None:
        super().__init__()
        self.up = nn.Linear(dim, 2 * feedforward)
        self.down = nn.Linear(feedforward, dim)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.up(x).chunk(2, dim=-1)
        return self.down(value * F.silu(gate))


def rotations(
    step: Int64[Tensor, "batch token"], head_dim: int, base: float = 10000.0
) -> Float[Tensor, "batch token half 2"]:
    """Cosine and sine of each token's angle per pair of features.

    Source: Su et al. 2021 (rotary position embedding).
    """
    pair = torch.arange(0, head_dim, 2, device=step.device, dtype=torch.float32)
    angle = step[..., None].float() * base ** (-pair / head_dim)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def rotate(
    x: Float[Tensor, "batch head token dim"], turn: Float[Tensor, "batch token half 2"]
) -> Float[Tensor, "batch head token dim"]:
    """Turn each pair of features by its angle; dot products then depend on step differences."""
    cos, sin = turn[:, None].to(x.dtype).unbind(-1)
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
