"""Which cells a model may not see and which it must predict.

A scheme works on flat cells: ``(batch, cell)`` tensors of the cell's integer time ``step``, the
``group`` it belongs to (unit, channel, region, modality) and whether it is ``valid``. A cell is a
token or one entry of a (time, unit) count matrix. What stands in for a hidden cell is the model's
business. Every draw comes from the generator given, on the CPU.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Generator, Tensor

Cells = Int64[Tensor, "batch cell"]
Chosen = Bool[Tensor, "batch cell"]


@dataclass(frozen=True)
class Mask:
    """Cells taken from the input, and those of them that the loss is about."""

    hidden: Bool[Tensor, "batch cell"]
    target: Bool[Tensor, "batch cell"]


def spans(
    step: Cells,
    valid: Chosen,
    rng: Generator,
    *,
    probability: float,
    length: int,
    min_spans: int = 1,
) -> Mask:
    """Hide whole spans of consecutive steps.

    About ``probability * steps / length`` spans (rounded at random, at least ``min_spans``) start
    at distinct steps drawn uniformly; spans may overlap.

    Raises
    ------
    ValueError
        If the steps are fewer than ``length``.

    Source: Baevski et al. 2020 (wav2vec 2.0).
    """
    first, last = int(step.min()), int(step.max())
    n_steps = last - first + 1
    if n_steps < length:
        raise ValueError(f"a span of {length} steps needs as many, got {n_steps}")
    n_starts = n_steps - length + 1
    batch = step.shape[0]
    wanted = probability * n_steps / length + torch.rand(batch, generator=rng)
    count = wanted.long().clamp(min=min_spans).clamp(max=min(n_steps // length, n_starts))
    rank = torch.rand(batch, n_starts, generator=rng).argsort(dim=1).argsort(dim=1)
    starts = rank < count[:, None]  # (B, starts)
    covered = torch.zeros(batch, n_steps, dtype=torch.bool)
    for offset in range(length):
        covered[:, offset : offset + n_starts] |= starts
    hidden = covered.gather(1, step - first) & valid
    return Mask(hidden, hidden)


def random(valid: Chosen, rng: Generator, *, ratio: float) -> Mask:
    """Hide each valid cell with the same probability."""
    hidden = (torch.rand(valid.shape, generator=rng) < ratio) & valid
    return Mask(hidden, hidden)


def whole_groups(group: Cells, valid: Chosen, rng: Generator, *, ratio: float | None) -> Mask:
    """Hide groups as a whole: each with probability ``ratio`` but at least one; None hides one."""
    hidden = _drawn_groups(group, valid, rng, ratio) & valid
    return Mask(hidden, hidden)


def within_region(
    group: Cells, region: Cells, valid: Chosen, rng: Generator, *, ratio: float
) -> Mask:
    """Show one region only and predict some of its groups from the others.

    Everything outside the region is hidden and never scored.

    Source: Zhang et al. 2024 (MtM), intra-region scheme.
    """
    inside = _drawn_groups(region, valid, rng, None) & valid
    target = _drawn_groups(group, inside, rng, ratio) & inside
    return Mask((valid & ~inside) | target, target)


def after(step: Cells, valid: Chosen, *, first: int) -> Mask:
    """Hide every cell at or after a step (forward prediction)."""
    hidden = (step >= first) & valid
    return Mask(hidden, hidden)


def _drawn_groups(group: Cells, valid: Chosen, rng: Generator, ratio: float | None) -> Chosen:
    """Cells of the drawn groups; only groups with a valid cell are drawn, -1 is a group too."""
    group = group - group.min()
    score = torch.rand(group.shape[0], int(group.max()) + 1, generator=rng)
    present = torch.zeros(score.shape).scatter_add_(1, group, valid.float()) > 0
    score = score.masked_fill(~present, 2.0)
    drawn = score == score.min(dim=1, keepdim=True).values
    if ratio is not None:
        drawn |= score < ratio
    return (drawn & present).gather(1, group)
