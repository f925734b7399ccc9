"""The contract between a model family and everything above it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..params import Params
from .context import DataContext
from .parameters import EmbedParams

if TYPE_CHECKING:
    import torch

    from ..training.batches import Batch
    from .draws import Draws, Pool


@runtime_checkable
class FoundationModel(Protocol):
    """A ``torch.nn.Module`` that reads a ``Batch`` of windows as they were recorded.

    Attributes
    ----------
    params, context
        What it was built from; both are stored with the weights.
    objective
        What ``loss`` optimises: ``ssl``, ``finetune`` or ``none``. ``fit`` sets it.
    provenance
        Where its initial weights come from (origin, licence, sha256); empty if random.
    """

    params: Params
    context: DataContext
    objective: str
    provenance: dict[str, Any]

    @classmethod
    def build(
        cls, params: Params, context: DataContext, *, seed: int, weights: Path | None = None
    ) -> "FoundationModel":
        """A model with fresh weights, the same for the same seed."""
        ...

    def prepare(self, batches: "Iterable[Batch]") -> None:
        """See the training data once before the first step; most do nothing."""
        ...

    def loss(self, batch: "Batch", rng: "torch.Generator") -> "dict[str, torch.Tensor]":
        """``total`` (to minimise) and its parts; all randomness of masks comes from ``rng``."""
        ...

    def draw(self, batch: "Batch", rng: "torch.Generator") -> "Draws":
        """Everything random in the loss of a batch (on the CPU); drawn once, then cut to rows."""
        ...

    def share(
        self, batch: "Batch", draws: "Draws", pool: "Pool | None" = None
    ) -> "dict[str, torch.Tensor]":
        """What some rows add to the loss of the batch that was drawn for.

        Shares of all rows sum to ``loss``, and so do their gradients, up to rounding.
        """
        ...

    def pooled(self, batch: "Batch", draws: "Draws") -> "torch.Tensor | None":
        """The sum over rows that the loss is not linear in, for ``pool``; None where it is."""
        ...

    def embed(self, batch: "Batch", params: EmbedParams) -> "torch.Tensor":
        """``(batch, token, dim)``; what a token is, the family's registry entry says."""
        ...

    def predict(self, batch: "Batch") -> "torch.Tensor":
        """Class probabilities ``(batch, channel, class)`` or log-rates ``(batch, time, unit)``."""
        ...
