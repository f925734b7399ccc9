"""Masked autoencoder of binned spikes with one learned prompt per mask scheme.

Source: Zhang et al. 2024 (MtM), in small. Differs where the published code has defects: sessions
are found by name, masks are drawn per window, and the caller's spikes are never written to.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from ..nn import masking
from ..nn.losses import poisson_sum
from ..nn.readin import SessionReadIn, SessionReadOut, session_key
from ..nn.transformer import Encoder
from ..training.batches import Batch
from .context import DataContext
from .draws import Draws, LossInShares, Pool
from .parameters import EmbedParams, MtmParams

ROWS_AT_ONCE = 512
"""Windows times hidden units that co-smoothing runs through the encoder together."""
UNITS_AT_ONCE = 16
"""Of few windows not more units than that: fewer windows must take less memory."""


class Mtm(LossInShares, nn.Module):
    """Bins are tokens; hidden counts are zero; the output is the log-rate of every unit."""

    def __init__(self, params: MtmParams, context: DataContext) -> None:
        super().__init__()
        if not context.sessions:
            raise ValueError("mtm needs windows with spikes, the context names no session with any")
        self.params = params
        self.context = context
        self.objective = "ssl"
        self.provenance: dict[str, Any] = {}
        p = params
        self.read_in = SessionReadIn(context.sessions, p.read_in)
        self.widen = nn.Sequential(nn.GELU(), nn.Linear(p.read_in, p.hidden))
        self.prompts = nn.Parameter(0.02 * torch.randn(len(p.schemes), p.hidden))
        self.place = nn.Parameter(0.02 * torch.randn(0 if p.rotary else context.n_bins, p.hidden))
        self.encoder = Encoder(
            dim=p.hidden,
            layers=p.layers,
            heads=p.heads,
            feedforward=p.feedforward,
            dropout=p.dropout,
            norm=p.norm,
            mlp=p.mlp,
            rotary=p.rotary,
        )
        self.narrow = nn.Linear(p.hidden, p.read_in)
        self.read_out = SessionReadOut(context.sessions, p.read_in)

    @classmethod
    def build(
        cls, params: MtmParams, context: DataContext, *, seed: int, weights: Path | None = None
    ) -> "Mtm":
        """A model with random weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(params, context)

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Start every unit at its mean log-rate: a model that has learned nothing is the null."""
        totals: dict[str, Tensor] = {}
        bins: dict[str, int] = {}
        for batch in batches:
            name = batch.session[0]
            totals[name] = totals.get(name, 0) + batch.spikes.sum(dim=(0, 1))
            bins[name] = bins.get(name, 0) + batch.spikes.shape[0] * batch.spikes.shape[1]
        fresh = self.provenance.get("fresh")
        for name, total in totals.items():
            if fresh is not None and f"read_out.maps.{session_key(name)}.bias" not in fresh:
                continue  # a parent's weights know this session
            self.read_out.set_bias(name, ((total + 0.5) / (bins[name] + 1)).log())

    def draw(self, batch: Batch, rng: Generator) -> Draws:
        """One scheme for the batch, and its mask for each window."""
        chosen = int(torch.randint(len(self.params.schemes), (1,), generator=rng))
        mask = self.draw_mask(batch, self.params.schemes[chosen], rng)
        scored = max(float(mask.target.sum()), 1.0)
        return Draws(mask.hidden, mask.target, scored, scheme=chosen)

    def share(self, batch: Batch, draws: Draws, pool: Pool | None = None) -> dict[str, Tensor]:
        """Poisson loss (nats per hidden entry) under the scheme that was drawn."""
        hidden, target = (
            m.view(batch.spikes.shape).to(batch.spikes.device) for m in (draws.hidden, draws.target)
        )
        log_rate = self.log_rates(batch.spikes * ~hidden, batch.session[0], prompt=draws.scheme)
        loss = poisson_sum(log_rate.float(), batch.spikes, target) / draws.scored
        return {"total": loss, self.params.schemes[draws.scheme]: loss}

    def embed(self, batch: Batch, params: EmbedParams) -> Float[Tensor, "batch bin dim"]:
        """Encoder state of every bin, with nothing hidden."""
        layer = params.layer % self.params.layers + 1
        return self.states(batch.spikes, batch.session[0], prompt=0, layers=layer).float()

    def predict(self, batch: Batch) -> Float[Tensor, "batch bin unit"]:
        """Log-rate of each unit from all others: each is hidden in turn (co-smoothing)."""
        n_units = batch.spikes.shape[2]
        prompt = self.params.schemes.index("unit") if "unit" in self.params.schemes else 0
        out = torch.empty_like(batch.spikes)
        together = max(1, min(UNITS_AT_ONCE, ROWS_AT_ONCE // len(batch)))
        for units in torch.arange(n_units, device=out.device).split(together):
            shown = torch.ones(len(units), n_units, device=out.device)
            shown[torch.arange(len(units)), units] = 0
            spikes = (batch.spikes[None] * shown[:, None, None]).flatten(0, 1)  # (u B, T, U)
            rates = self.log_rates(spikes, batch.session[0], prompt=prompt)
            rates = rates.unflatten(0, (len(units), -1))  # (u, B, T, U)
            picked = rates[torch.arange(len(units)), :, :, units]  # (u, B, T)
            out[..., units] = picked.permute(1, 2, 0).to(out.dtype)
        return out

    def states(
        self,
        spikes: Float[Tensor, "batch bin unit"],
        session: str,
        *,
        prompt: int,
        layers: int | None = None,
    ) -> Float[Tensor, "batch bin dim"]:
        """Encoder states of the bins, the prompt token left out."""
        x = self.widen(self.read_in(spikes.log1p(), session))
        if not self.params.rotary:
            x = x + self.place
        x = torch.cat([self.prompts[prompt].expand(len(x), 1, -1), x], dim=1)
        step = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        return self.encoder(x, step=step, layers=layers)[:, 1:]

    def log_rates(
        self, spikes: Float[Tensor, "batch bin unit"], session: str, *, prompt: int
    ) -> Float[Tensor, "batch bin unit"]:
        """Log spikes per bin of every unit of the session."""
        return self.read_out(self.narrow(self.states(spikes, session, prompt=prompt)), session)

    def draw_mask(self, batch: Batch, scheme: str, rng: Generator) -> masking.Mask:
        """A mask over the flattened (bin, unit) cells of each window."""
        p = self.params
        step, unit, region = cells(batch)
        valid = torch.ones_like(step, dtype=torch.bool)
        if scheme == "unit":
            return masking.whole_groups(unit, valid, rng, ratio=p.unit_ratio)
        if scheme == "time":
            return masking.whole_groups(step, valid, rng, ratio=p.time_ratio)
        if scheme == "region" and bool((region != region[0, 0]).any()):
            return masking.whole_groups(region, valid, rng, ratio=None)
        if scheme in ("region", "within_region"):  # of one region only, hide single units
            return masking.within_region(unit, region, valid, rng, ratio=p.unit_ratio)
        return masking.after(step, valid, first=batch.spikes.shape[1] - p.after_bins)


def cells(
    batch: Batch,
) -> tuple[Int64[Tensor, "b cell"], Int64[Tensor, "b cell"], Int64[Tensor, "b cell"]]:
    """Bin, unit and region of every entry of the count matrix, flattened, on the CPU."""
    n, (bins, units) = len(batch), batch.spikes.shape[1:]
    step = torch.arange(bins)[:, None].expand(bins, units).flatten().expand(n, -1)
    unit = torch.arange(units).expand(bins, units).flatten().expand(n, -1)
    if batch.unit_region is None:
        region = torch.zeros_like(unit)
    else:
        region = batch.unit_region.cpu()[:, None].expand(n, bins, units).flatten(1)
    return step, unit, region
