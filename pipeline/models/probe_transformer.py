"""A transformer over the channels of one probe, turned by their depth.

Layout and names of weights are those of ``ProbeTransformer`` in IBL's ``ibleatools`` (MIT), so that
its published weights fit; the code is ours.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class ProbeTransformer(nn.Module):
    """Region scores of every channel of a probe.

    Parameters
    ----------
    n_merfish
        Outputs of a second head that published weights may have; it is not asked.
    """

    def __init__(
        self, *, n_features: int, n_classes: int, d_model: int, n_heads: int, n_layers: int,
        n_merfish: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.input_proj = nn.Linear(n_features, d_model)
        self.layers = nn.ModuleList(_Layer(d_model, n_heads) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, n_classes)
        self.merfish_head = nn.Linear(d_model, n_merfish) if n_merfish else None

    def forward(
        self,
        x: Float[Tensor, "probe channel feature"],
        depth_um: Float[Tensor, "probe channel"],
        there: Bool[Tensor, "probe channel"],
    ) -> Float[Tensor, "probe channel klass"]:
        """Logits of each channel; channels that are not there are attended to by none."""
        return self.head(self.hidden(x, depth_um, there))

    def hidden(self, x: Tensor, depth_um: Tensor, there: Tensor) -> Tensor:
        """States before the head."""
        x = self.input_proj(x)
        for layer in self.layers:
            x = layer(x, depth_um, there)
        return self.norm(x)


class _Layer(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = _Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.ff = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), nn.Identity(), nn.Linear(4 * dim, dim)
        )

    def forward(self, x: Tensor, depth_um: Tensor, there: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), depth_um, there)
        return x + self.ff(self.norm2(x))


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out_proj = nn.Linear(dim, dim)
        half = torch.arange(0, dim // heads, 2).float() / (dim // heads)
        self.rope = nn.Module()
        self.rope.register_buffer("inv_freq", 10000.0**-half)

    def forward(self, x: Tensor, depth_um: Tensor, there: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (P, H, C, D/H)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        angle = depth_um[:, None, :, None] * self.rope.inv_freq  # (P, 1, C, D/2H)
        mixed = F.scaled_dot_product_attention(
            _turned(q, angle), _turned(k, angle), v, attn_mask=there[:, None, None]
        )
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    """The first half of the features against the second, each pair by its angle."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
