"""All that is random in the loss of one batch, drawn once and shared out to its rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jaxtyping import Bool, Int64
from torch import Generator, Tensor

if TYPE_CHECKING:
    from ..training.batches import Batch

Pool = Callable[[Tensor], Tensor]
"""Turns a sum over some rows of a batch into the sum over all of them."""


@dataclass(frozen=True)
class Draws:
    """Masks of a batch and what its mean is taken over; cut like the batch, always on the CPU.

    Attributes
    ----------
    hidden, target
        Cells of each row that the model may not see, and that its loss is about.
    scored
        What the mean loss divides by: cells or weights of the whole batch, also after a cut.
    first
        Target cells of the whole batch that come before these rows.
    scheme
        Number of the mask scheme, where a family has several.
    negatives
        For each target cell the cells to tell it from, counted from these rows' first one. Never
        of another row.
    """

    hidden: Bool[Tensor, "batch cell"]
    target: Bool[Tensor, "batch cell"]
    scored: float
    first: int = 0
    scheme: int = 0
    negatives: Int64[Tensor, "target negative"] | None = None

    def __getitem__(self, rows: slice) -> "Draws":
        """What was drawn for some of the rows."""
        before = int(self.target[: rows.indices(len(self.target))[0]].sum())
        inside = int(self.target[rows].sum())
        negatives = self.negatives
        if negatives is not None:
            negatives = negatives[before : before + inside] - before
        return replace(
            self,
            hidden=self.hidden[rows],
            target=self.target[rows],
            first=self.first + before,
            negatives=negatives,
        )


class LossInShares:
    """A family that can say what some rows add to the loss of their batch.

    The shares of all rows sum to the loss of the batch, and their gradients to its gradient, so
    that a batch may be computed in pieces or on several devices.
    """

    def loss(self, batch: "Batch", rng: Generator) -> dict[str, Tensor]:
        """``total`` (to minimise) and its parts; all randomness of masks comes from ``rng``."""
        return self.share(batch, self.draw(batch, rng))

    def pooled(self, batch: "Batch", draws: Draws) -> Tensor | None:
        """The sum over rows that the loss is not linear in; None where it is linear in rows."""
        return None
