"""What the families that read spectrograms have in common."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ..nn.spectrogram import n_bins, spectrogram_db
from ..training.batches import Batch
from .context import DataContext
from .draws import Draws, LossInShares, Pool
from .head import AT_REST, Head, at_rest, label_weight, region_loss, solve_head
from .parameters import EmbedParams
from .spectral_parameters import SpectralParams


class SpectralModel(LossInShares, nn.Module):
    """A backbone on scaled spectrograms and, when there are classes, a head.

    A family gives ``backbone`` (a module) and ``hidden``; with self-supervision also ``draw_ssl``
    and ``share_ssl``. What is hidden of a spectrogram is 0: the mean.
    """

    mean: Tensor
    sd: Tensor
    backbone: nn.Module

    def __init__(self, params: SpectralParams, context: DataContext) -> None:
        super().__init__()
        self.params = params
        self.context = context
        self.objective = "finetune"
        self.provenance: dict[str, Any] = {}
        self.register_buffer("mean", torch.zeros(params.bins))
        self.register_buffer("sd", torch.ones(params.bins))
        self.head: Head | None = None

    @classmethod
    def build(
        cls, params: SpectralParams, context: DataContext, *, seed: int, weights: Path | None = None
    ) -> "SpectralModel":
        """A model with random weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(params, context)

    @torch.no_grad()
    def prepare(self, batches: Iterable[Batch]) -> None:
        """Mean and SD of each bin, unless a parent knows them; without steps the regression too.

        A bin that no training recording has, or that never changes, keeps mean 0 and SD 1.
        """
        unknown = "mean" in self.provenance.get("fresh", ["mean"])
        solves = self.objective == "none" and self.head is not None
        if unknown and solves:
            batches = list(batches)
        if unknown:
            self._measure(batches)
        if solves:
            solve_head(self.head, batches, self._at_rest, getattr(self, "class_weights", None))

    def draw(self, batch: Batch, rng: Generator) -> Draws:
        """Masks of self-supervision; supervised, nothing is random but dropout."""
        if self.objective == "ssl":
            return self.draw_ssl(batch, rng)
        known = batch.region >= 0
        nothing = torch.zeros_like(known)
        return Draws(nothing, known, label_weight(batch.region.flatten(), self))

    def share(self, batch: Batch, draws: Draws, pool: Pool | None = None) -> dict[str, Tensor]:
        """The family's own loss, or cross-entropy of the regions."""
        if self.objective == "ssl":
            return self.share_ssl(batch, draws, pool)
        rest = self.objective in AT_REST
        hidden = self._at_rest(batch) if rest else self.hidden(self.spectra(batch))
        head = self._require_head()
        head.trained |= self.objective != "none"
        logits = head.classify(F.dropout(head.pooled(hidden), self.params.dropout, self.training))
        return {"total": region_loss(logits, batch.region.flatten(), self) / draws.scored}

    def embed(self, batch: Batch, params: EmbedParams) -> Float[Tensor, "batch channel dim"]:
        """Pooled hidden state of each channel, or the input of the last linear layer."""
        at = params.at
        if at == "default":
            at = "head" if self.head is not None and bool(self.head.trained) else "hidden"
        if at == "head":
            pooled = self._require_head().pooled(self.hidden(self.spectra(batch)))
        else:
            hidden = self.hidden(self.spectra(batch), layer=params.layer)
            pooled = hidden.mean(dim=1) if params.pooling == "mean" else hidden.amax(dim=1)
        return pooled.float().unflatten(0, (len(batch), -1))

    def predict(self, batch: Batch) -> Float[Tensor, "batch channel klass"]:
        """Class probabilities of each channel."""
        logits = self._require_head()(self.hidden(self.spectra(batch)))
        return logits.float().softmax(dim=-1).unflatten(0, (len(batch), -1))

    def spectra(self, batch: Batch) -> Float[Tensor, "sequence frame bin"]:
        """Scaled spectrogram of each channel; 0 in bins above its Nyquist frequency."""
        x = self._decibels(batch)
        if self.params.normalise == "window":
            x = (x - x.mean(dim=1, keepdim=True)) / (x.std(dim=1, keepdim=True) + 1e-3)
        else:
            there = x.shape[-1]
            x = (x - self.mean[:there]) / self.sd[:there]
        return F.pad(x, (0, self.params.bins - x.shape[-1]))

    def hidden(
        self, spectra: Float[Tensor, "sequence frame bin"], *, layer: int = -1
    ) -> Float[Tensor, "sequence step dim"]:
        """Hidden states of the last layer, or of an earlier one (0 is the first)."""
        raise NotImplementedError

    def draw_ssl(self, batch: Batch, rng: Generator) -> Draws:
        """All that is random in the self-supervised loss."""
        raise NotImplementedError

    def share_ssl(self, batch: Batch, draws: Draws, pool: Pool | None) -> dict[str, Tensor]:
        """What some rows add to the self-supervised loss."""
        raise NotImplementedError

    def known_bins(self, batch: Batch) -> int:
        """Bins at or below the Nyquist frequency of the batch."""
        return n_bins(batch.rate, self.params.segment_s, self.params.bins)

    def _at_rest(self, batch: Batch) -> Float[Tensor, "sequence step dim"]:
        with at_rest(self.backbone):
            return self.hidden(self.spectra(batch))

    def _decibels(self, batch: Batch) -> Float[Tensor, "sequence frame bin"]:
        p = self.params
        return spectrogram_db(
            batch.lfp.transpose(1, 2).flatten(0, 1),
            batch.rate,
            segment_s=p.segment_s,
            bins=p.bins,
            frames=p.frames,
        )

    def _measure(self, batches: Iterable[Batch]) -> None:
        count = torch.zeros(self.params.bins, dtype=torch.float64)
        total, square = count.clone(), count.clone()
        for batch in batches:
            x = self._decibels(batch).cpu().double()
            there = slice(0, x.shape[-1])
            count[there] += x.shape[0] * x.shape[1]
            total[there] += x.sum(dim=(0, 1))
            square[there] += x.square().sum(dim=(0, 1))
        mean = total / count.clamp(min=1)
        variance = square / count.clamp(min=1) - mean.square()
        self.mean.copy_(mean)
        self.sd.copy_(torch.where(variance > 1e-6, variance, 1.0).sqrt())

    def _require_head(self) -> Head:
        if self.head is None:
            raise ValueError(
                f"this {self.params.family} has no head: its context names no classes. Build it "
                "with classes and fine-tune it, or use its hidden embedding"
            )
        return self.head
