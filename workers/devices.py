"""Which device a worker computes on; a GPU serves one worker."""

import platform

from schemas._reap import live_leases

from .lanes import LaneError


def choose_device(asked: str, *, lanes: tuple[str, ...]) -> str:
    """The device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``: a GPU no other worker has.

    Raises
    ------
    LaneError
        If a GPU was asked for and there is none, or each has its worker.
    """
    if "gpu" not in lanes or asked == "cpu":
        return "cpu"
    from .extras import need

    need("torch", "transformers")
    import torch

    there = torch.cuda.device_count()
    if asked == "auto" and not there:
        return "cpu"
    numbers = range(there) if asked in ("auto", "cuda") else [int(asked.partition(":")[2])]
    if not there or max(numbers) >= there:
        raise LaneError(
            f"asked for the device {asked!r}; this machine has {there} CUDA devices. "
            "Give --device cpu, or install a torch that sees the GPU"
        )
    taken = {
        row["worker_device"]
        for row in live_leases()
        if row["worker_host"] == platform.node() and row["worker_device"].startswith("cuda")
    }
    free = [f"cuda:{number}" for number in numbers if f"cuda:{number}" not in taken]
    if not free:
        raise LaneError(
            f"each of {', '.join(f'cuda:{n}' for n in numbers)} has a worker on this machine; one "
            "worker per GPU, or they take each other's memory"
        )
    return free[0]
