"""SimCLR on spectrograms: two masked views of a window find each other in the batch.

Source: Chen et al. 2020 (SimCLR); He et al. 2025 (Lfp2Vec) for its use on LFP.
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from ..nn import masking
from ..nn.losses import nt_xent_sum
from ..training.batches import Batch
from .context import DataContext
from .draws import Draws, Pool
from .head import Head
from .spectral import SpectralModel
from .spectral_parameters import SimclrParams

VIEWS = 2


class Simclr(SpectralModel):
    """A multilayer perceptron on the flattened spectrogram; layers are told apart by ``layer``."""

    def __init__(self, params: SimclrParams, context: DataContext) -> None:
        super().__init__(params, context)
        widths = (params.frames * params.bins, *params.widths)
        self.backbone = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b), nn.GELU())
            for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.project = nn.Sequential(
            nn.Linear(params.hidden, params.hidden),
            nn.GELU(),
            nn.Linear(params.hidden, params.projection),
        )
        n = len(context.classes)
        relu = params.head == "relu"
        self.head = Head(params.hidden, params.head_dim, n, relu=relu) if n else None

    def hidden(
        self, spectra: Float[Tensor, "sequence frame bin"], *, layer: int = -1
    ) -> Float[Tensor, "sequence 1 dim"]:
        x = spectra.flatten(1)
        for block in self.backbone[: layer % len(self.backbone) + 1]:
            x = block(x)
        return x[:, None]

    def draw_ssl(self, batch: Batch, rng: Generator) -> Draws:
        """Hidden frames of both views of each channel; one target cell per channel counts them."""
        p, sequences = self.params, batch.channel.numel()
        step = torch.arange(p.frames).expand(VIEWS * sequences, -1)
        hidden = masking.spans(
            step,
            torch.ones_like(step, dtype=torch.bool),
            rng,
            probability=p.mask_probability,
            length=p.mask_span,
        ).hidden
        target = torch.zeros(sequences, VIEWS * p.frames, dtype=torch.bool)
        target[:, 0] = True
        return Draws(
            hidden.reshape(len(batch), -1), target.reshape(len(batch), -1), float(sequences)
        )

    def share_ssl(self, batch: Batch, draws: Draws, pool: Pool | None) -> dict[str, Tensor]:
        """NT-Xent over all views of the batch, with the gradient through those of these rows."""
        own = self.views(batch, draws)
        with torch.autocast(own.device.type, enabled=False):
            own, first = own.float(), VIEWS * draws.first
            every = own if pool is None else pool(_among(own.detach(), draws))
            every = torch.cat([every[:first], own, every[first + len(own) :]])
            whole = nt_xent_sum(every, temperature=self.params.temperature)
        whole = whole / len(every)
        return {"total": whole - whole.detach() * (1 - len(own) / len(every))}

    def pooled(self, batch: Batch, draws: Draws) -> Tensor | None:
        """Projected views of these rows among zeros for those of all others."""
        if self.objective != "ssl":
            return None
        return _among(self.views(batch, draws).float(), draws)

    def views(self, batch: Batch, draws: Draws) -> Float[Tensor, "view dim"]:
        """Projection of both views of each channel, those of one channel side by side."""
        spectra = self.spectra(batch).repeat_interleave(VIEWS, dim=0)
        hidden = draws.hidden.to(spectra.device).reshape(len(spectra), -1, 1)
        return self.project(self.hidden(spectra * ~hidden)[:, 0])


def _among(own: Tensor, draws: Draws) -> Tensor:
    found = own.new_zeros(VIEWS * round(draws.scored), own.shape[1])
    found[VIEWS * draws.first :][: len(own)] = own
    return found
