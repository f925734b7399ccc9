"""Which device a worker computes on; a GPU serves one worker."""

from typing import NamedTuple

from .lanes import LaneError


class Device(NamedTuple):
    """A device, or several, by the name they have here and by marks no other device has.

    A mark is the UUID of a GPU: tasks of a cluster each call theirs ``cuda:0``.
    """

    name: str
    marks: tuple[str, ...] = ()


def find_devices(asked: str, *, lanes: tuple[str, ...], gpus: int = 1) -> list[Device]:
    """What ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` stands for here, the best first.

    Parameters
    ----------
    gpus
        How many GPUs one training runs on; with more than one, they are the first ones.

    Raises
    ------
    LaneError
        If GPUs were asked for and there are none, or too few.
    """
    if "gpu" not in lanes or asked == "cpu":
        return [Device("cpu")]
    from .extras import need

    need("torch", "transformers")
    import torch

    there = torch.cuda.device_count()
    if asked == "auto" and gpus == 1 and not there:
        return [Device("cpu")]
    numbers = range(there) if asked in ("auto", "cuda") else [int(asked.partition(":")[2])]
    if not there or max(numbers) >= there or gpus > len(numbers):
        raise LaneError(
            f"asked for {gpus} × {asked!r}; this machine has {there} CUDA devices. "
            "Give --device cpu, fewer --gpus, or install a torch that sees the GPU"
        )
    marks = {n: f"cuda {torch.cuda.get_device_properties(n).uuid}" for n in numbers}
    if gpus > 1:
        return [Device("cuda", tuple(marks[n] for n in range(gpus)))]
    return [Device(f"cuda:{n}", (mark,)) for n, mark in marks.items()]
