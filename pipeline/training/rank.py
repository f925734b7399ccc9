"""One process of a training over several devices; ``torchrun`` starts N of them.

``python -m torch.distributed.run --nproc-per-node N -m pipeline.training.rank FOLDER``
"""

import json
import os
import sys
import threading
import time
import traceback
from datetime import timedelta
from pathlib import Path

RESULT, EPOCHS, HEARD = "result.json", "epochs.jsonl", "heard"
POLL_S = 0.02
PATIENCE = timedelta(hours=6)
"""How long processes wait for each other: a dead one is noticed by torchrun, not by time."""


def main(place: Path) -> None:
    """Train this process' part; the first one reports epochs and writes the result."""
    _die_with_the_launcher()
    rank = int(os.environ["RANK"])
    try:
        _train(place, rank)
    except BaseException as error:  # whatever it is, the launcher must read it
        _write_error(place, rank, error)
        sys.stderr.flush()
        os._exit(1)  # peers may be waiting inside a collective: no clean goodbye


def _train(place: Path, rank: int) -> None:
    import torch

    from .checkpoint import write_json
    from .fit import fit
    from .job import read_job
    from .memory import Portions
    from .world import Ranks

    job, model, train, validation = read_job(place)
    device = "cpu"
    if job.device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    backend = "nccl" if job.device == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=PATIENCE)
    result = fit(
        model, train, validation, job.params,
        seed=job.seed, device=device, folder=job.folder, resume=job.resume, world=Ranks(),
        portions=Portions(device, job.rows, halve=False),
        on_epoch=(lambda record: _tell(place, record)) if rank == 0 else None,
    )  # fmt: skip
    if rank == 0:
        facts = ("best_epoch", "sha256", "resumed_from", "stopped_early", "seconds")
        write_json(place / RESULT, {name: getattr(result, name) for name in facts})
    torch.distributed.destroy_process_group()


def _tell(place: Path, record) -> None:
    """Report an epoch and wait until the launcher has dealt with it: as a call would."""
    with (place / EPOCHS).open("a") as file:
        file.write(json.dumps(record.to_json()) + "\n")
    while _heard(place) < record.epoch:
        time.sleep(POLL_S)


def _heard(place: Path) -> int:
    return int((place / HEARD).read_text() or 0) if (place / HEARD).exists() else 0


def _write_error(place: Path, rank: int, error: BaseException) -> None:
    from .checkpoint import write_json

    told = {
        "rank": rank,
        "at": time.time(),
        "kind": type(error).__name__,
        "message": str(error),
        "rows": getattr(error, "rows", 0),
        "traceback": "".join(traceback.format_exception(error)),
    }
    write_json(place / f"error-{rank}.json", told)


def _die_with_the_launcher() -> None:
    """End at once when the launcher is gone: it holds the other end of our standard input."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os._exit(3)

    threading.Thread(target=watch, daemon=True, name="launcher").start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
