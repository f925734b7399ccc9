"""The processes that train one model together; here: one alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Alone:
    """One process; the contract that several keep too.

    Attributes
    ----------
    rank, size
        Which process this is, and of how many.
    """

    rank, size = 0, 1

    def part(self, n_rows: int) -> tuple[slice, float]:
        """The rows of a batch that this process computes, and the weight of what it finds."""
        return slice(0, n_rows), 1.0

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        return value

    def gather(self, value: Any) -> list[Any]:
        """What every process has, in order of rank."""
        return [value]

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients that backward sums over all processes."""
        return module

    @contextmanager
    def later(self, wrapped: nn.Module) -> Iterator[None]:
        """Gradients stay local inside; the next backward outside sums them too."""
        yield

    def scale(self, loss: Tensor) -> Tensor:
        """The loss whose gradient, once summed over processes, is that of the batch."""
        return loss


class Ranks(Alone):
    """This process and its peers, joined by ``torch.distributed``; gradients by DDP.

    A batch with fewer rows than processes is computed by each of them and counted once.
    """

    def __init__(self) -> None:
        self.rank = torch.distributed.get_rank()
        self.size = torch.distributed.get_world_size()

    def part(self, n_rows: int) -> tuple[slice, float]:
        if n_rows < self.size:
            return slice(0, n_rows), 1 / self.size
        start, stop = (n_rows * r // self.size for r in (self.rank, self.rank + 1))
        return slice(start, stop), 1.0

    def sum(self, value: Tensor) -> Tensor:
        summed = value.detach().clone()
        torch.distributed.all_reduce(summed)
        return summed

    def gather(self, value: Any) -> list[Any]:
        found: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(found, value)
        return found

    def wrap(self, module: nn.Module) -> nn.Module:
        return nn.parallel.DistributedDataParallel(
            module, broadcast_buffers=False, find_unused_parameters=True
        )

    @contextmanager
    def later(self, wrapped: nn.Module) -> Iterator[None]:
        with wrapped.no_sync():
            yield

    def scale(self, loss: Tensor) -> Tensor:
        return loss * self.size  # DDP takes the mean over processes
