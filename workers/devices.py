"""Which device a worker computes on; a GPU serves one worker."""

from typing import NamedTuple

from schemas._reap import live_leases

from .lanes import LaneError


class Device(NamedTuple):
    """A device by its name here (``cpu``, ``cuda:0``) and by one that no other GPU has."""

    name: str
    mark: str


def choose_device(asked: str, *, lanes: tuple[str, ...]) -> Device:
    """The device for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``: a GPU no other worker has.

    A GPU is known by its UUID: tasks of a cluster each call theirs ``cuda:0``.

    Raises
    ------
    LaneError
        If a GPU was asked for and there is none, or each has its worker.
    """
    if "gpu" not in lanes or asked == "cpu":
        return Device("cpu", "cpu")
    from .extras import need

    need("torch", "transformers")
    import torch

    there = torch.cuda.device_count()
    if asked == "auto" and not there:
        return Device("cpu", "cpu")
    numbers = range(there) if asked in ("auto", "cuda") else [int(asked.partition(":")[2])]
    if not there or max(numbers) >= there:
        raise LaneError(
            f"asked for the device {asked!r}; this machine has {there} CUDA devices. "
            "Give --device cpu, or install a torch that sees the GPU"
        )
    found = [
        Device(f"cuda:{n}", f"cuda {torch.cuda.get_device_properties(n).uuid}") for n in numbers
    ]
    taken = {row["worker_device"]: row["worker"] for row in live_leases()}
    free = [device for device in found if device.mark not in taken]
    if not free:
        told = ", ".join(f"{device.name} by {taken[device.mark]}" for device in found)
        raise LaneError(f"each GPU asked for has a worker ({told}); one GPU serves one worker")
    return free[0]
