"""Gumbel vector quantisation of some frames of a batch, as if all had been quantised together."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

Usage = Float[Tensor, "group codeword"]


def quantise(
    quantizer: nn.Module, features: Float[Tensor, "cell dim"], *, first: int, of: int
) -> tuple[Float[Tensor, "cell code"], Int64[Tensor, " cell"], Usage]:
    """Codes of hidden frames, their codewords, and how often each is used (summed over frames).

    In training a codeword is drawn (Gumbel, straight through); else the likeliest one is taken.

    Parameters
    ----------
    quantizer
        ``transformers``' Wav2Vec2GumbelVectorQuantizer: weights and temperature.
    first, of
        Which cells of the whole batch these are: the noise of all is drawn and theirs is taken.
    """
    groups, words = quantizer.num_groups, quantizer.num_vars
    logits = _logits(quantizer, features)
    with torch.autocast(features.device.type, enabled=False):
        if quantizer.training:
            noise = logits.new_empty(of * groups, words).exponential_().log().neg()
            noise = noise.unflatten(0, (of, groups))[first : first + len(features)]
            soft = ((logits + noise) / quantizer.temperature).softmax(dim=-1)
            word = soft.argmax(dim=-1)
            chosen = F.one_hot(word, words) + (soft - soft.detach())  # exactly one and zeros
        else:
            word = logits.argmax(dim=-1)
            chosen = F.one_hot(word, words).to(logits.dtype)
        book = quantizer.codevectors[0].float().unflatten(0, (groups, words))
        codes = torch.einsum("ngv,gvd->ngd", chosen, book).flatten(1)
    number = (word * words ** torch.arange(groups, device=word.device)).sum(dim=1)
    return codes, number, _usage(quantizer, logits)


def codeword_usage(quantizer: nn.Module, features: Float[Tensor, "cell dim"]) -> Usage:
    """How often each codeword is used, summed over frames; in training its probability counts."""
    return _usage(quantizer, _logits(quantizer, features))


def perplexity(usage: Usage, cells: int) -> Float[Tensor, ""]:
    """How many codewords are in use, summed over groups."""
    marginal = usage / cells
    return (-torch.xlogy(marginal, marginal).sum(dim=-1)).exp().sum()


def _logits(quantizer: nn.Module, features: Tensor) -> Float[Tensor, "cell group codeword"]:
    each = (quantizer.num_groups, quantizer.num_vars)
    return quantizer.weight_proj(features).float().unflatten(-1, each)


def _usage(quantizer: nn.Module, logits: Tensor) -> Usage:
    if quantizer.training:
        return logits.softmax(dim=-1).sum(dim=0)
    return F.one_hot(logits.argmax(dim=-1), quantizer.num_vars).sum(dim=0).to(logits.dtype)
