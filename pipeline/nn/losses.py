"""Losses shared by several families."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F


def poisson_nll(
    log_rate: Float[Tensor, "*cell"], counts: Float[Tensor, "*cell"], target: Bool[Tensor, "*cell"]
) -> Float[Tensor, ""]:
    """Mean over target cells of ``exp(r) - y r`` (nats, without the constant ``ln y!``)."""
    return poisson_sum(log_rate, counts, target) / target.sum().clamp(min=1)


def poisson_sum(
    log_rate: Float[Tensor, "*cell"], counts: Float[Tensor, "*cell"], target: Bool[Tensor, "*cell"]
) -> Float[Tensor, ""]:
    """Sum over target cells of ``exp(r) - y r`` (nats)."""
    return ((log_rate.exp() - counts * log_rate) * target).sum()


def contrastive_sum(
    query: Float[Tensor, "cell dim"],
    positive: Float[Tensor, "cell dim"],
    negatives: Int64[Tensor, "cell negative"],
    *,
    temperature: float,
    codeword: Int64[Tensor, " cell"] | None = None,
) -> Float[Tensor, ""]:
    """Sum over cells of the cross-entropy of picking the own target by cosine similarity.

    ``negatives`` indexes rows of ``positive``. A negative equal to the positive (both fell on one
    codeword) is left out.

    Parameters
    ----------
    codeword
        Which codeword each cell fell on; without it equal rows of ``positive`` are looked for,
        which rounding may tell apart.

    Source: Baevski et al. 2020, equation 3.
    """
    similarity = F.normalize(query, dim=-1, eps=1e-8) @ F.normalize(positive, dim=-1, eps=1e-8).T
    own = similarity.diagonal()[:, None]
    others = similarity.gather(1, negatives) / temperature
    if codeword is None:
        codeword = torch.unique(positive.detach(), dim=0, return_inverse=True)[1]
    others = others.masked_fill(codeword[negatives] == codeword[:, None], float("-inf"))
    logits = torch.cat([own / temperature, others], dim=1)
    return F.cross_entropy(logits, torch.zeros_like(negatives[:, 0]), reduction="sum")


def sample_negatives(
    hidden: Bool[Tensor, "batch step"], count: int, rng: torch.Generator
) -> Int64[Tensor, "cell negative"]:
    """For each hidden cell, other hidden cells of the same row drawn uniformly.

    The result indexes the hidden cells in row-major order.

    Raises
    ------
    ValueError
        If a row has exactly one hidden cell: it has no negative.
    """
    per_row = hidden.sum(dim=1)
    if (per_row == 1).any():
        raise ValueError("contrastive loss needs at least two hidden cells per window, got one")
    row = torch.repeat_interleave(torch.arange(len(per_row)), per_row)
    start = (per_row.cumsum(0) - per_row)[row]
    own = torch.arange(len(row)) - start
    draw = (torch.rand(len(row), count, generator=rng) * (per_row[row] - 1)[:, None]).long()
    draw = draw.clamp(max=(per_row[row] - 2)[:, None])
    return start[:, None] + draw + (draw >= own[:, None])


def nt_xent_sum(views: Float[Tensor, "view dim"], *, temperature: float) -> Float[Tensor, ""]:
    """Sum over views of the cross-entropy of picking the other view of the same window.

    Rows 0 and 1 are views of one window, 2 and 3 of the next, …; each view is told from all
    others by cosine similarity.

    Source: Chen et al. 2020 (SimCLR), NT-Xent.
    """
    views = F.normalize(views, dim=-1)
    place = torch.arange(len(views), device=views.device)
    similarity = (views @ views.T / temperature).fill_diagonal_(float("-inf"))
    return F.cross_entropy(similarity, place ^ 1, reduction="sum")


def content_aware_sums(
    found: Float[Tensor, "*cell"],
    truth: Float[Tensor, "*cell"],
    target: Bool[Tensor, "*cell"],
    *,
    threshold: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Summed absolute error of target cells, and of those with content.

    Content is what lies farther than ``threshold`` from the mean, which is 0.

    Source: Wang et al. 2023 (BrainBERT).
    """
    error = (found - truth).abs() * target
    return error.sum(), (error * (truth.abs() > threshold)).sum()
