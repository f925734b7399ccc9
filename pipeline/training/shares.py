"""The loss of one batch, summed from the shares of its rows."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..models import FoundationModel
from ..models.draws import Draws, Pool
from .batches import Batch
from .pieces import cut, drawn_together
from .precision import Streams, autocast
from .world import Alone


class Shares(nn.Module):
    """``model.share`` as the ``forward`` that data-parallel wrappers ask for."""

    def __init__(self, model: FoundationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, draws: Draws, pool: Pool | None) -> dict[str, Tensor]:
        """What these rows add to the loss of their batch."""
        return self.model.share(batch, draws, pool)


@dataclass(frozen=True)
class Shared:
    """How the loss of a batch is computed: on what device, by whom.

    Attributes
    ----------
    forward
        ``Shares`` of the model, wrapped by the world.
    notes
        Where a batch computed in pieces differed from the whole by more than rounding.
    """

    model: FoundationModel
    forward: Callable[..., dict[str, Tensor]]
    world: Alone
    device: str
    precision: str
    notes: set[str] = field(default_factory=set)

    def losses(self, batch: Batch, draws: Draws, at_once: int) -> dict[str, Tensor]:
        """This process' share of the batch's loss and parts, without gradients."""
        return self._sum(batch, draws, at_once, None, last=True)

    def backward(
        self, batch: Batch, draws: Draws, at_once: int, *, weight: float, last: bool
    ) -> dict[str, Tensor]:
        """The same, with ``weight`` times its gradient added to the parameters'.

        Parameters
        ----------
        at_once
            Rows computed together.
        last
            Whether the optimiser steps after this batch: then gradients are summed over processes.
        """
        return self._sum(batch, draws, at_once, weight, last=last)

    def _sum(
        self, batch: Batch, draws: Draws, at_once: int, weight: float | None, *, last: bool
    ) -> dict[str, Tensor]:
        rows, share = self.world.part(len(batch))
        pieces = cut(rows, at_once)
        streams = Streams.now(self.device) if len(pieces) > 1 else None
        pool = self._pool(batch, draws, pieces)
        sums: dict[str, Tensor] = {}
        for piece in pieces:
            if streams is not None:
                streams.restore()
            final = last and piece is pieces[-1]
            with nullcontext() if final else self.world.later(self.forward):
                losses = self._piece(batch, draws, piece, pool)
                if weight is not None:
                    self.world.scale(losses["total"] * (weight * share)).backward()
            for name, value in losses.items():
                value = value.detach() * share
                sums[name] = value + sums[name] if name in sums else value
        return sums

    def _piece(
        self, batch: Batch, draws: Draws, piece: slice, pool: Pool | None
    ) -> dict[str, Tensor]:
        whole = piece.stop - piece.start == len(batch)
        together = drawn_together(piece, len(batch), self.notes)
        with together, autocast(self.device, self.precision):
            if whole:
                return self.forward(batch.to(self.device), draws, pool)
            return self.forward(batch[piece].to(self.device), draws[piece], pool)

    def _pool(self, batch: Batch, draws: Draws, pieces: list[slice]) -> Pool | None:
        """How a sum over one piece becomes that over the batch: summed beforehand, if need be."""
        if pieces[0].stop - pieces[0].start == len(batch):
            return None
        if len(pieces) == 1:
            return self.world.sum
        with torch.no_grad(), autocast(self.device, self.precision):
            found = [self.model.pooled(batch[p].to(self.device), draws[p]) for p in pieces]
        if found[0] is None:
            return self.world.sum  # nobody will ask
        total = self.world.sum(torch.stack(found).sum(dim=0))
        return lambda own: total
