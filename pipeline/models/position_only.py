"""Where the channel is, and nothing it recorded: a control."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from ..training.batches import POSITION, Batch
from .context import DataContext
from .linear import LinearBaseline
from .parameters import PositionOnlyParams

MM_PER_UM = 1e-3


class PositionOnly(LinearBaseline):
    """Absolute depth, lateral offset and x, y, z in mm.

    Never scaled by the span of labelled channels: that span is drawn from the labels and a model
    given it reads them (Lfp2Vec audit, 0.82 withdrawn). An unknown coordinate is 0, the same for
    every channel of a recording that lacks it.
    """

    use: Tensor
    standardises = False

    def __init__(self, params: PositionOnlyParams, context: DataContext) -> None:
        super().__init__(params, context, len(POSITION))
        self.register_buffer("use", torch.ones(len(POSITION), dtype=torch.bool))
        self._choose(params.coordinates != "atlas", params.coordinates in ("atlas", "both"))

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Settle which coordinates count, then fit."""
        batches = list(batches)
        if self.params.coordinates == "auto":
            known = any(bool(b.position[..., :3].isfinite().any()) for b in batches)
            self._choose(known, not known)
        super().prepare(batches)

    def features(self, batch: Batch) -> Float[Tensor, "batch channel feature"]:
        return (batch.position * MM_PER_UM).nan_to_num(0.0) * self.use

    def _choose(self, probe: bool, atlas: bool) -> None:
        self.use.copy_(torch.tensor([probe] * 3 + [atlas] * 3))
