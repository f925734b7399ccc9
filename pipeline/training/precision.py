"""Number formats and random streams of one step."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch


def autocast(device: str, precision: str) -> AbstractContextManager:
    """bf16 autocast when asked for; nothing for fp32 (nor for int8, a matter of the model)."""
    if precision != "bf16":
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


def fast_bf16(device: str) -> bool:
    """Whether the device multiplies bf16 matrices in hardware."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def fast_int8(device: str) -> bool:
    """Whether the CPU multiplies int8 matrices in hardware."""
    return torch.device(device).type == "cpu" and torch.cpu._is_vnni_supported()


@contextmanager
def seeded(device: str, *numbers: int) -> Iterator[torch.Generator]:
    """A CPU generator and torch's global streams, both set by the numbers; restored after.

    Masks are drawn from the generator, dropout inside the layers from the global streams.
    """
    seed = int(np.random.SeedSequence(numbers).generate_state(1, dtype=np.uint64)[0] >> 1)
    target = torch.device(device)
    devices = [target.index or 0] if target.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Streams:
    """Where torch's global random streams stand, to draw the same numbers again."""

    cpu: torch.Tensor
    cuda: torch.Tensor | None = None
    device: str = "cpu"

    @classmethod
    def now(cls, device: str) -> "Streams":
        """The present place; nothing waits for the device."""
        cuda = torch.cuda.get_rng_state(device) if torch.device(device).type == "cuda" else None
        return cls(torch.get_rng_state(), cuda, device)

    def restore(self) -> None:
        """Go back to this place."""
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)
