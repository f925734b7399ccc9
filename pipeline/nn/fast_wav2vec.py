"""The forward pass of wav2vec 2.0 as matrix products over frames, for inference only.

The same function as ``transformers``' Wav2Vec2Model without dropout (a test holds it), laid out
``(window, frame, feature)`` throughout: convolutions become products over unfolded frames, the
group norm of the first layer is folded into its weights, queries, keys and values are one
product, the weight norm of the positional convolution is applied once.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from .dense import Dense, Precision, dense


class FastWav2Vec:
    """A Wav2Vec2Model (group norm stem, post-norm encoder) frozen for inference.

    Later changes to the model's weights are not seen.
    """

    def __init__(self, model: nn.Module, precision: Precision) -> None:
        self.one_by_one = precision == "int8"  # its rounding must not depend on the batch
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32

        first, *rest = model.feature_extractor.conv_layers
        self.first = _FirstConv(first)
        self.convs = [_Conv(layer.conv, precision) for layer in rest]
        projection = model.feature_projection
        self.norm_features = _norm(projection.layer_norm, self.dtype)
        self.project = dense(projection.projection.weight, projection.projection.bias, precision)
        self.place = _Place(model.encoder.pos_conv_embed, self.dtype)
        self.norm_input = _norm(model.encoder.layer_norm, self.dtype)
        self.layers = [_Layer(layer, precision, self.dtype) for layer in model.encoder.layers]

    @torch.inference_mode()
    def __call__(
        self, audio: Float[Tensor, "window sample"], *, layers: int | None = None
    ) -> Float[Tensor, "window frame dim"]:
        """Hidden states of the last layer, or of an earlier one (counted from 1)."""
        if self.one_by_one and len(audio) > 1:
            return torch.cat([self(window, layers=layers) for window in audio.split(1)])
        with torch.autocast(audio.device.type, enabled=False):  # formats are settled here
            x = self.first(audio).to(self.dtype)
            for conv in self.convs:
                x = conv(x)
            x = self.project(self.norm_features(x))
            x = self.norm_input(x + self.place(x))
            for layer in self.layers[:layers]:
                x = layer(x)
        return x.float()


class _FirstConv:
    """Convolution, group norm over time and GELU.

    A channel's mean and variance over time follow from those of the unfolded input, so the norm
    becomes one scale and shift of each window's ten weights.
    """

    def __init__(self, layer: nn.Module) -> None:
        self.weight = layer.conv.weight.detach()[:, 0].float()  # (channel, kernel)
        self.stride = layer.conv.stride[0]
        norm = layer.layer_norm
        self.gain, self.shift, self.eps = norm.weight.detach(), norm.bias.detach(), norm.eps

    def __call__(self, audio: Tensor) -> Tensor:
        pieces = audio.float().unfold(-1, self.weight.shape[1], self.stride)  # (B, T, K)
        mean = pieces.mean(dim=1, keepdim=True)
        centred = (pieces - mean).double()
        covariance = centred.transpose(1, 2) @ centred / centred.shape[1]  # (B, K, K)
        weight = self.weight.double()
        variance = torch.einsum("ck,bkl,cl->bc", weight, covariance, weight)
        scale = (self.gain * torch.rsqrt(variance + self.eps)).float()  # (B, C)
        scaled = self.weight.T * scale[:, None]  # (B, K, C)
        bias = self.shift - (mean @ scaled)[:, 0]  # (B, C)
        return F.gelu(torch.baddbmm(bias[:, None], pieces, scaled))


class _Conv:
    """A strided convolution without bias, and GELU."""

    def __init__(self, conv: nn.Conv1d, precision: Precision) -> None:
        self.kernel, self.stride = conv.kernel_size[0], conv.stride[0]
        self.scaled = precision == "int8"
        self.dense = dense(conv.weight.detach().transpose(1, 2).flatten(1), None, precision)

    def __call__(self, x: Tensor) -> Tensor:
        n_windows, steps, channels = x.shape
        frames = (steps - self.kernel) // self.stride + 1
        pieces = x.as_strided(
            (n_windows, frames, self.kernel * channels),
            (steps * channels, self.stride * channels, 1),
        )
        if not self.scaled:
            return F.gelu(self.dense(pieces.contiguous()))
        peak = x.abs().amax(dim=-1).unfold(1, self.kernel, self.stride).amax(dim=-1)
        peak = peak.clamp(min=1e-12)[..., None]  # (B, frame, 1)
        return F.gelu(self.dense(pieces / peak).mul_(peak))


class _Place:
    """The convolutional position embedding."""

    def __init__(self, layer: nn.Module, dtype: torch.dtype) -> None:
        self.weight = layer.conv.weight.detach().to(dtype)
        self.bias = layer.conv.bias.detach().to(dtype)
        self.groups, self.padding = layer.conv.groups, layer.conv.padding[0]

    def __call__(self, x: Tensor) -> Tensor:
        y = F.conv1d(
            x.transpose(1, 2), self.weight, self.bias, padding=self.padding, groups=self.groups
        )
        return F.gelu(y[..., : x.shape[1]]).transpose(1, 2)


class _Layer:
    """Self-attention and feed-forward, each followed by its norm."""

    def __init__(self, layer: nn.Module, precision: Precision, dtype: torch.dtype) -> None:
        attention, forward = layer.attention, layer.feed_forward
        parts = (attention.q_proj, attention.k_proj, attention.v_proj)
        weight, bias = (torch.cat([getattr(p, n) for p in parts]) for n in ("weight", "bias"))
        self.heads = attention.num_heads
        self.qkv = dense(weight, bias, precision)
        self.out = _linear(attention.out_proj, precision)
        self.up = _linear(forward.intermediate_dense, precision)
        self.down = _linear(forward.output_dense, precision)
        self.norms = [_norm(n, dtype) for n in (layer.layer_norm, layer.final_layer_norm)]

    def __call__(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, N, D/H)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, N, D)
        x = self.norms[0](x + self.out(mixed))
        return self.norms[1](x + self.down(F.gelu(self.up(x))))


def _linear(layer: nn.Linear, precision: Precision) -> Dense:
    return dense(layer.weight, layer.bias, precision)


def _norm(layer: nn.LayerNorm, dtype: torch.dtype) -> Dense:
    weight, bias = layer.weight.detach().to(dtype), layer.bias.detach().to(dtype)
    return lambda x: F.layer_norm(x, layer.normalized_shape, weight, bias, layer.eps)
