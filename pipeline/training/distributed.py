"""One training over several devices of a machine: ``torchrun`` and data-parallel gradients.

This process stays the one that answers for the training (it holds the lease, reports epochs, sees
failures); it starts one process per device and trains nothing itself.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from ..models import FoundationModel
from ..recording import WindowSet
from .checkpoint import load_verified, read_meta
from .errors import OutOfMemory, RankFailed
from .fit import CHECKPOINT, FitResult, check, fit
from .job import Job, rewrite_job, write_job
from .parameters import EpochRecord, FitParams
from .rank import EPOCHS, HEARD, RESULT

PLACE, LOG = "ranks", "log.txt"
POLL_S = 0.1
KINDS: dict[str, type[Exception]] = {
    each.__name__: each
    for each in (ValueError, FloatingPointError, LookupError, KeyError, FileNotFoundError, OSError)
}
"""Failures of a process that are raised here as what they were."""


def fit_distributed(
    model: FoundationModel,
    train: Sequence[WindowSet],
    validation: Sequence[WindowSet],
    params: FitParams,
    *,
    seed: int,
    device: str = "cuda",
    processes: int,
    folder: Path,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    resume: bool = True,
) -> FitResult:
    """``fit`` by several processes that share every batch; the same result up to rounding.

    State and checkpoint are those of ``fit``: a training begun on one device may go on on four.
    ``batch_size`` stays that of the whole batch. An exception from ``on_epoch`` or a signal
    handler ends all processes; so does the death of this one.

    Parameters
    ----------
    device
        ``cuda``: one GPU per process; ``cpu``: for tests.

    Raises
    ------
    ValueError
        As ``fit``, or if there are fewer GPUs than processes.
    OutOfMemory
        If not even one row per process fits.
    RankFailed
        If a process fails in another way; an error that ``fit`` raises keeps its type and has
        this one as its cause.
    """
    check(model, params, bool(validation))
    if processes < 2 or params.objective == "none":
        return fit(
            model, train, validation, params,
            seed=seed, device=device, folder=folder, on_epoch=on_epoch, resume=resume,
        )  # fmt: skip
    kind = torch.device(device).type
    if kind == "cuda" and torch.cuda.device_count() < processes:
        raise ValueError(
            f"asked for {processes} GPUs, this machine shows {torch.cuda.device_count()}; ask for "
            "fewer, or look at CUDA_VISIBLE_DEVICES"
        )
    place = folder / PLACE
    job = Job(params, seed, kind, folder, None, resume)
    try:
        write_job(place, job, model, train, validation)
        told = _launch_until_it_fits(place, job, processes, on_epoch)
        facts = json.loads((place / RESULT).read_text())
    finally:
        shutil.rmtree(place, ignore_errors=True)  # weights and arrays; errors carry what was said
    result = FitResult(epochs=told, checkpoint=folder / CHECKPOINT, **facts)
    model.objective = params.objective
    model.load_state_dict(load_verified(result.checkpoint, read_meta(result.checkpoint)))
    model.to(device).eval()
    return result


def _launch_until_it_fits(
    place: Path, job: Job, processes: int, on_epoch: Callable[[EpochRecord], None] | None
) -> list[EpochRecord]:
    """Start all processes again with half the rows while memory runs out in one of them."""
    told: list[EpochRecord] = []
    while True:
        try:
            _launch(place, processes, told, on_epoch)
            return told
        except OutOfMemory as error:
            if error.rows <= 1:
                raise
            job = Job(job.params, job.seed, job.device, job.folder, error.rows // 2)
            rewrite_job(place, job)


def _launch(
    place: Path,
    processes: int,
    told: list[EpochRecord],
    on_epoch: Callable[[EpochRecord], None] | None,
) -> None:
    """Run all processes to their end, and tell each new epoch."""
    for left in (place / EPOCHS, place / HEARD, place / RESULT, *place.glob("error-*.json")):
        left.unlink(missing_ok=True)
    with _torchrun(place, processes) as agent:
        while True:
            ended = _ended(agent)
            known = _epochs(place)
            for record in known[len(told) :]:
                told.append(record)
                if on_epoch is not None:
                    on_epoch(record)
            (place / HEARD).write_text(str(len(known)))
            if ended:
                break
    if agent.returncode or not (place / RESULT).exists():
        _raise_first_error(place, processes, agent.returncode)


@contextmanager
def _torchrun(place: Path, processes: int) -> Iterator[subprocess.Popen]:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts", "0",
        "--local-addr", "localhost", "--nproc-per-node", str(processes),
        "--monitor-interval", str(POLL_S), "-m", "pipeline.training.rank", str(place.absolute()),
    ]  # fmt: skip
    with (place / LOG).open("w") as log:
        agent = subprocess.Popen(
            command, env=_environment(), stdin=subprocess.PIPE, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield agent
    finally:
        agent.stdin.close()  # what every process watches
        if agent.poll() is None:
            agent.terminate()
        try:
            agent.wait(timeout=10)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    here = {"GLOO_SOCKET_IFNAME": loopback[0]} if loopback else {}
    return {**here, **os.environ, "PYTHONPATH": path}


def _ended(agent: subprocess.Popen) -> bool:
    try:
        agent.wait(timeout=POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _epochs(place: Path) -> list[EpochRecord]:
    if not (place / EPOCHS).exists():
        return []
    lines = (place / EPOCHS).read_text().splitlines(keepends=True)
    return [EpochRecord.from_json(json.loads(line)) for line in lines if line.endswith("\n")]


def _raise_first_error(place: Path, processes: int, code: int) -> None:
    """The error that came first: those of the others are its echo."""
    errors = [json.loads(path.read_text()) for path in place.glob("error-*.json")]
    if not errors:
        end = (place / LOG).read_text(errors="replace")[-2000:]
        raise RankFailed(
            f"one of {processes} processes died without a word (launcher's exit code {code}); it "
            f"may have been killed for memory. The end of its log:\n{end}"
        )
    first = min(errors, key=lambda error: error["at"])
    cause = RankFailed(f"process {first['rank']} of {processes}:\n{first['traceback']}")
    if first["kind"] == OutOfMemory.__name__:
        raise OutOfMemory(first["message"], first["rows"]) from cause
    if first["kind"] in KINDS:
        raise KINDS[first["kind"]](first["message"]) from cause
    raise cause
