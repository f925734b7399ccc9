"""A multinomial logistic regression on fixed features: the body of every baseline."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Generator, Tensor, nn

from ..training.batches import Batch
from .context import DataContext
from .draws import Draws, LossInShares, Pool
from .logistic import fit_logistic
from .parameters import EmbedParams, LinearParams


class LinearBaseline(LossInShares, nn.Module):
    """Standardised features and one linear layer, fitted in ``prepare`` by scikit-learn.

    A family gives ``features`` and their number. The embedding is the features themselves,
    standardised once the model has been prepared.
    """

    mean: Tensor
    sd: Tensor
    standardises = True

    def __init__(self, params: LinearParams, context: DataContext, n_features: int) -> None:
        super().__init__()
        self.params = params
        self.context = context
        self.objective = "none"
        self.provenance: dict[str, Any] = {}
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("sd", torch.ones(n_features))
        self.classify = nn.Linear(n_features, max(len(context.classes), 1))
        nn.init.zeros_(self.classify.weight)
        nn.init.zeros_(self.classify.bias)

    @classmethod
    def build(
        cls, params: LinearParams, context: DataContext, *, seed: int, weights: Path | None = None
    ) -> "LinearBaseline":
        """A model that knows nothing yet; it draws no random numbers."""
        return cls(params, context)

    def features(self, batch: Batch) -> Float32[Tensor, "batch channel feature"]:
        """The family's numbers for each channel."""
        raise NotImplementedError

    @torch.no_grad()
    def prepare(self, batches: Iterable[Batch]) -> None:
        """Fit scaling and regression on every labelled row; without classes do nothing.

        Raises
        ------
        ValueError
            If there are classes and no row carries one.
        """
        if not self.context.classes:
            return
        x, y = self._labelled(batches)
        if len(y) == 0:
            raise ValueError(
                f"{self.params.family} has nothing to learn from: no training channel carries one "
                f"of the labels {list(self.context.classes)}"
            )
        if self.standardises:
            sd = x.std(axis=0)
            self.mean.copy_(torch.from_numpy(x.mean(axis=0)))
            self.sd.copy_(torch.from_numpy(np.where(sd > 0, sd, 1)))
        coef, intercept = fit_logistic(
            (x - _np(self.mean)) / _np(self.sd),
            y,
            n_classes=len(self.context.classes),
            inverse_penalty=self.params.inverse_penalty,
            max_iterations=self.params.max_iterations,
            class_weight="balanced" if self.params.balanced else None,
        )
        self.classify.weight.copy_(torch.from_numpy(coef))
        self.classify.bias.copy_(torch.from_numpy(intercept))

    def draw(self, batch: Batch, rng: Generator) -> Draws:
        """Nothing is random here: the loss is about the labelled channels."""
        known = batch.region >= 0
        return Draws(torch.zeros_like(known), known, float(known.sum()))

    def share(self, batch: Batch, draws: Draws, pool: Pool | None = None) -> dict[str, Tensor]:
        """Cross-entropy of the labelled channels."""
        known = batch.region >= 0
        total = nn.functional.cross_entropy(
            self.logits(batch)[known], batch.region[known], reduction="sum"
        )
        return {"total": total / draws.scored}

    def embed(self, batch: Batch, params: EmbedParams) -> Float[Tensor, "batch channel feature"]:
        """The features of each channel."""
        return (self.features(batch) - self.mean) / self.sd

    def logits(self, batch: Batch) -> Float[Tensor, "batch channel klass"]:
        """Linear scores of each class."""
        return self.classify((self.features(batch) - self.mean) / self.sd)

    def predict(self, batch: Batch) -> Float[Tensor, "batch channel klass"]:
        """Class probabilities of each channel."""
        if not self.context.classes:
            raise ValueError(f"{self.params.family} was built without classes; nothing to predict")
        return self.logits(batch).softmax(dim=-1)

    def _labelled(self, batches: Iterable[Batch]) -> tuple[np.ndarray, np.ndarray]:
        x, y = [np.empty((0, len(self.mean)))], [np.empty(0, dtype=np.int64)]
        for batch in batches:
            known = (batch.region >= 0) & batch.channel_valid
            x.append(_np(self.features(batch)[known]).astype(np.float64))
            y.append(_np(batch.region[known]))
        return np.concatenate(x), np.concatenate(y)


def _np(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()
