"""The classifier on top of a self-supervised backbone, and how it is trained with that at rest."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..training.batches import Batch
from .logistic import fit_logistic

AT_REST = frozenset({"frozen", "none"})
"""Objectives that leave the backbone as it came: the head is trained, or solved in ``prepare``."""


class Head(nn.Module):
    """Per-frame projection, mean over time, classifier; ``trained`` is stored with the weights."""

    trained: Tensor

    def __init__(self, hidden: int, head_dim: int, n_classes: int, *, relu: bool) -> None:
        super().__init__()
        self.project = nn.Linear(hidden, head_dim)
        self.classify = nn.Linear(head_dim, n_classes)
        self.relu = relu
        self.register_buffer("trained", torch.tensor(False))

    def pooled(self, hidden: Float[Tensor, "s frame dim"]) -> Float[Tensor, "s head"]:
        """What enters the last linear layer.

        The published code projects each frame and averages; the published text averages and
        applies a ReLU layer.
        """
        if self.relu:
            return F.relu(self.project(hidden.mean(dim=1)))
        return self.project(hidden).mean(dim=1)

    def forward(self, hidden: Float[Tensor, "s frame dim"]) -> Float[Tensor, "s klass"]:
        return self.classify(self.pooled(hidden))

    @torch.no_grad()
    def write(
        self, coef: np.ndarray, intercept: np.ndarray, mean: np.ndarray, sd: np.ndarray
    ) -> None:
        """Become a linear map of the standardised mean hidden state.

        The first rows of the projection hold its scores, after a ReLU those and their negatives.

        Raises
        ------
        ValueError
            If the projection is too narrow for that.
        """
        k, needed = len(coef), len(coef) * (1 + self.relu)
        if needed > self.project.out_features:
            raise ValueError(
                f"a regression of {k} classes needs head_dim {needed} or more, the head has "
                f"{self.project.out_features}"
            )
        weight = torch.from_numpy(coef / sd).to(self.project.weight)
        for layer in (self.project, self.classify):
            layer.weight.zero_()
            layer.bias.zero_()
        one = torch.eye(k, device=weight.device)
        for number, sign in enumerate((1, -1)[: 1 + self.relu]):
            self.project.weight[number * k : (number + 1) * k] = sign * weight
            self.classify.weight[:, number * k : (number + 1) * k] = sign * one
        offset = intercept - (coef / sd) @ mean
        self.classify.bias.copy_(torch.from_numpy(offset))


@contextmanager
def at_rest(backbone: nn.Module) -> Iterator[None]:
    """The backbone inside has neither gradients nor dropout; afterwards it is as it was."""
    before = [(module, module.training) for module in backbone.modules()]
    backbone.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in before:
            module.training = training


@torch.no_grad()
def solve_head(
    head: Head,
    batches: Iterable[Batch],
    hidden: Callable[[Batch], Tensor],
    class_weights: Tensor | None,
) -> None:
    """Logistic regression (C = 1, standardised) on the mean hidden state of every labelled row.

    Parameters
    ----------
    hidden
        ``(sequence, frame, dim)`` of a batch, from a backbone at rest.

    Raises
    ------
    ValueError
        If no row carries a label.
    """
    x, y = [], []
    for batch in batches:
        known = ((batch.region >= 0) & batch.channel_valid).flatten()
        x.append(hidden(batch).float().mean(dim=1)[known].cpu().numpy())
        y.append(batch.region.flatten()[known].cpu().numpy())
    x, y = np.concatenate(x), np.concatenate(y)
    if len(y) == 0:
        raise ValueError(
            "a frozen backbone with logistic regression has nothing to learn from: no training "
            "channel carries a label"
        )
    mean, sd = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    sd = np.where(sd > 0, sd, 1)
    weights = None if class_weights is None else class_weights.cpu().numpy()[y]
    found = fit_logistic((x - mean) / sd, y, n_classes=head.classify.out_features, weights=weights)
    head.write(*found, mean, sd)


def region_loss(logits: Tensor, region: Tensor, model: nn.Module) -> Float[Tensor, ""]:
    """Summed cross-entropy of labelled rows, weighted by ``model.class_weights`` if ``fit`` did."""
    weights = getattr(model, "class_weights", None)
    if weights is not None:
        weights = weights.to(logits.device)
    return F.cross_entropy(logits.float(), region, weight=weights, ignore_index=-1, reduction="sum")


def label_weight(region: Tensor, model: nn.Module) -> float:
    """What the mean of ``region_loss`` divides by: the weights of all labelled rows."""
    weights = getattr(model, "class_weights", None)
    labels = region[region >= 0]
    return float(len(labels) if weights is None else weights[labels].sum())
