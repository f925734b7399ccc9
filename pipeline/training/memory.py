"""Computing in smaller pieces where memory runs out."""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from .errors import OutOfMemory
from .precision import Streams

log = logging.getLogger(__name__)
T = TypeVar("T")
SIGNS = ("out of memory", "can't allocate memory", "alloc_failed", "could not create a primitive")
"""How allocators, cuBLAS and oneDNN say so in a plain RuntimeError."""


class Portions:
    """How many rows are computed together: whole batches until memory runs out, then half.

    What was learned stays for the life of the object, so a size fails once and not per batch. The
    size is found by trying: no formula knows what else lies on the device.

    Parameters
    ----------
    rows
        Where to start; None starts with whole batches.
    halve
        False gives up at once: several devices have to agree on a smaller size.
    """

    def __init__(self, device: str, rows: int | None = None, *, halve: bool = True) -> None:
        self.device, self.rows, self.halve = device, rows, halve

    def run(self, compute: Callable[[int], T], largest: int) -> T:
        """``compute(rows)`` with at most ``largest`` rows, again with fewer if memory runs out.

        Every try begins at the same place of torch's random streams.

        Raises
        ------
        OutOfMemory
            If one row does not fit.
        """
        while True:
            rows = min(self.rows or largest, largest)
            streams = Streams.now(self.device)
            try:
                return compute(rows)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                said = _first_line(error)
            # only here, outside the handler, has the failed try let go of its tensors
            if rows <= 1 or not self.halve:
                raise OutOfMemory(_too_large(rows, self.device, said), rows)
            self.rows = rows // 2
            log.warning("%d rows do not fit on %s; %d at a time", rows, self.device, self.rows)
            _release(self.device)
            streams.restore()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator, of the device or of the host, gave up."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)


@contextmanager
def explaining(device: str) -> Iterator[None]:
    """Failing allocations that no smaller piece can mend become ``OutOfMemory``."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(_too_large(0, device, _first_line(error))) from error


def _too_large(rows: int, device: str, said: str) -> str:
    what = f"{rows} row{'s' * (rows != 1)} at a time"
    if rows == 0:
        what = "model, optimiser and windows as read, no row computed"
    return (
        f"memory of {device} ran out with {what} ({said}); free memory on the device, take a "
        "larger one, shorter windows or a smaller model, or compute on the cpu"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _release(device: str) -> None:
    gc.collect()  # a traceback may hold itself, and with it every tensor of the failed try
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
