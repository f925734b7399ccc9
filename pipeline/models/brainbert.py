"""A masked spectrogram transformer in the manner of BrainBERT.

Source: Wang et al. 2023, from its description; the network is ours.
"""

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn

from ..nn import masking
from ..nn.losses import content_aware_sums
from ..nn.transformer import Encoder
from ..training.batches import Batch
from .context import DataContext
from .draws import Draws, Pool
from .head import Head
from .spectral import SpectralModel
from .spectral_parameters import BrainBertParams


class BrainBert(SpectralModel):
    """Frames are tokens; masked stretches of time and frequency are predicted from the rest."""

    def __init__(self, params: BrainBertParams, context: DataContext) -> None:
        super().__init__(params, context)
        p = params
        self.backbone = nn.ModuleDict(
            {
                "widen": nn.Linear(p.bins, p.hidden),
                "encoder": Encoder(
                    dim=p.hidden,
                    layers=p.layers,
                    heads=p.heads,
                    feedforward=p.feedforward,
                    dropout=p.dropout,
                ),
            }
        )
        self.restore = nn.Sequential(
            nn.Linear(p.hidden, p.hidden),
            nn.GELU(),
            nn.LayerNorm(p.hidden),
            nn.Linear(p.hidden, p.bins),
        )
        n = len(context.classes)
        self.head = Head(p.hidden, p.head_dim, n, relu=p.head == "relu") if n else None

    def hidden(
        self, spectra: Float[Tensor, "sequence frame bin"], *, layer: int = -1
    ) -> Float[Tensor, "sequence frame dim"]:
        x = self.backbone["widen"](spectra)
        step = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        return self.backbone["encoder"](x, step=step, layers=layer % self.params.layers + 1)

    def draw_ssl(self, batch: Batch, rng: Generator) -> Draws:
        """Spans of frames and of bins; bins above Nyquist are hidden from the loss."""
        p, sequences = self.params, batch.channel.numel()
        frames = _spans(p.frames, sequences, rng, p.time_probability, p.time_span)
        bins = _spans(p.bins, sequences, rng, p.frequency_probability, p.frequency_span)
        hidden = frames[:, :, None] | bins[:, None]  # (S, F, K)
        target = hidden & (torch.arange(p.bins) < self.known_bins(batch))
        rows = hidden.reshape(len(batch), -1), target.reshape(len(batch), -1)
        return Draws(*rows, max(float(target.sum()), 1.0))

    def share_ssl(self, batch: Batch, draws: Draws, pool: Pool | None) -> dict[str, Tensor]:
        """Content-aware absolute error of the hidden cells."""
        truth = self.spectra(batch)
        hidden, target = (
            mask.to(truth.device).reshape(truth.shape) for mask in (draws.hidden, draws.target)
        )
        found = self.restore(self.hidden(truth * ~hidden)).float()
        error, content = content_aware_sums(
            found, truth, target, threshold=self.params.content_threshold
        )
        parts = {"masked": error / draws.scored}
        parts["content"] = content / self._with_content(batch, truth, target, draws, pool)
        return {"total": parts["masked"] + self.params.content_weight * parts["content"], **parts}

    def pooled(self, batch: Batch, draws: Draws) -> Tensor | None:
        """Hidden cells with content: only the signal tells how many there are."""
        if self.objective != "ssl":
            return None
        truth = self.spectra(batch)
        return self._content(truth, draws.target.to(truth.device).reshape(truth.shape))

    def _with_content(
        self, batch: Batch, truth: Tensor, target: Tensor, draws: Draws, pool: Pool | None
    ) -> Tensor:
        own = self._content(truth, target)
        return (own if pool is None else pool(own)).clamp(min=1)

    def _content(self, truth: Tensor, target: Tensor) -> Float[Tensor, ""]:
        return (target & (truth.abs() > self.params.content_threshold)).sum().float()


def _spans(
    steps: int, sequences: int, rng: Generator, probability: float, length: int
) -> Bool[Tensor, "sequence step"]:
    step = torch.arange(steps).expand(sequences, -1)
    valid = torch.ones_like(step, dtype=torch.bool)
    return masking.spans(step, valid, rng, probability=probability, length=length).hidden
