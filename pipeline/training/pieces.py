"""Some rows of a batch, computed as if the others were there too."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


def cut(rows: slice, at_once: int) -> list[slice]:
    """Consecutive slices of at most ``at_once`` rows."""
    return [
        slice(first, min(first + at_once, rows.stop))
        for first in range(rows.start, rows.stop, at_once)
    ]


REDRAWN = "attention dropout of a batch in pieces is drawn anew on a GPU"


def drawn_together(rows: slice, of: int, notes: set[str]) -> AbstractContextManager:
    """Dropout inside is that of these rows when the whole batch of ``of`` rows is computed.

    Where it cannot be, that is added to the notes.
    """
    return nullcontext() if rows.stop - rows.start == of else _DrawnTogether(rows, of, notes)


class _DrawnTogether(TorchFunctionMode):
    """Draws every dropout mask for the whole batch and takes the rows'.

    The first axis must count rows, or a multiple of them. Attention with dropout is written out:
    the fused kernels of a GPU draw in an order of their own, so there, and only there, the masks
    differ from those of the whole batch.
    """

    def __init__(self, rows: slice, of: int, notes: set[str]) -> None:
        super().__init__()
        self.rows, self.of, self.notes = rows, of, notes

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.dropout:
            return self._dropout(*args, **kwargs)
        if func is F.scaled_dot_product_attention and kwargs.get("dropout_p", 0.0) > 0:
            return self._attention(*args, **kwargs)
        return func(*args, **kwargs)

    def _dropout(
        self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or p == 0:
            return x
        return x * self._noise(x, p)

    def _noise(self, x: Tensor, p: float) -> Tensor:
        count = self.rows.stop - self.rows.start
        each, rest = divmod(len(x), count)
        if rest:
            raise ValueError(f"dropout over {len(x)} rows, the piece of the batch has {count}")
        whole = torch.ones(each * self.of, *x.shape[1:], dtype=x.dtype, device=x.device)
        with torch.no_grad():
            noise = F.dropout(whole, p)
        return noise[each * self.rows.start : each * self.rows.stop]

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        if query.is_cuda:
            self.notes.add(REDRAWN)
        if is_causal:
            raise NotImplementedError("causal attention with dropout in pieces of a batch")
        scores = query @ key.transpose(-2, -1) * (scale or query.shape[-1] ** -0.5)
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, float("-inf"))
        elif attn_mask is not None:
            scores = scores + attn_mask
        weights = scores.softmax(dim=-1)
        return (weights * self._noise(weights, dropout_p)) @ value
