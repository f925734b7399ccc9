"""How large the signal is, and nothing else: a control."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..training.batches import Batch
from .context import DataContext
from .linear import LinearBaseline
from .parameters import AmplitudeOnlyParams


class AmplitudeOnly(LinearBaseline):
    """log10 of the SD and of the peak-to-peak range of a window (µV)."""

    def __init__(self, params: AmplitudeOnlyParams, context: DataContext) -> None:
        super().__init__(params, context, 2)

    def features(self, batch: Batch) -> Float[Tensor, "batch channel feature"]:
        sd = batch.lfp.std(dim=1)
        spread = batch.lfp.amax(dim=1) - batch.lfp.amin(dim=1)
        return torch.stack([sd, spread], dim=-1).clamp(min=1e-6).log10()
