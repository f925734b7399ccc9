"""Vectors that were made elsewhere, through the same tables as every model."""

from jaxtyping import Float
from torch import Tensor

from ..training.batches import Batch
from .context import DataContext
from .linear import LinearBaseline
from .parameters import EmbedParams, ExternalParams


class External(LinearBaseline):
    """The features as they came; ``embed`` returns them unchanged."""

    def __init__(self, params: ExternalParams, context: DataContext) -> None:
        if context.n_features < 1:
            raise ValueError(
                "the external family needs windows with features, the context counts none; "
                "ingest them with `fieldbase ingest embeddings`"
            )
        super().__init__(params, context, context.n_features)

    def features(self, batch: Batch) -> Float[Tensor, "batch channel feature"]:
        return batch.features

    def embed(self, batch: Batch, params: EmbedParams) -> Float[Tensor, "batch channel feature"]:
        return batch.features
