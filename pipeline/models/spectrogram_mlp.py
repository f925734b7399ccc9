"""One hidden layer on the flattened spectrogram: a supervised baseline."""

from jaxtyping import Float
from torch import Tensor, nn

from .context import DataContext
from .head import Head
from .spectral import SpectralModel
from .spectral_parameters import SpectrogramMlpParams


class SpectrogramMlp(SpectralModel):
    """The head does it all: what it reads is the spectrogram itself."""

    def __init__(self, params: SpectrogramMlpParams, context: DataContext) -> None:
        super().__init__(params, context)
        self.backbone = nn.Flatten(start_dim=1)
        n, width = len(context.classes), params.frames * params.bins
        self.head = Head(width, params.head_dim, n, relu=True) if n else None

    def hidden(
        self, spectra: Float[Tensor, "sequence frame bin"], *, layer: int = -1
    ) -> Float[Tensor, "sequence 1 dim"]:
        return self.backbone(spectra)[:, None]
