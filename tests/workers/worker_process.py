"""A worker in a process of its own, whose reading of a file takes as long as its name says.

    python worker_process.py PREFIX LOG [option=value ...]

A file ``3.5_name.nwb`` takes 3.5 s to read; while LOG.full is there, the disk is full. LOG gets a
line when a reading begins and one when it ended, and one for each epoch of a training, which
``epoch_s`` makes last longer. The options are `Orders`; ``populate=1`` calls
``populate(reserve_jobs=True)`` instead.
"""

import json
import sys
import time
from pathlib import Path

import datajoint as dj

import schemas
from schemas import _ingest, _lease, recording

EMPTY = {"layout": "generic", "identifier": "made for a test", "subject": {"subject_id": "none"}}


def main() -> None:
    prefix, log, *given = sys.argv[1:]
    options = {name: json.loads(value) for name, _, value in (g.partition("=") for g in given)}
    schemas.activate(prefix, create=False)
    _ingest.read_summary_isolated = lambda source, **_: read(Path(source), Path(log))
    slow_down_epochs(options.pop("epoch_s", None), Path(log))
    if options.pop("populate", False):
        recording.Ingestion.populate(reserve_jobs=True, refresh=False, suppress_errors=True)
        return
    from workers.loop import Orders, run_worker

    orders = Orders(lanes=tuple(options.pop("lanes", ["io"])), **{"poll_s": 0.2} | options)
    done = run_worker(
        orders,
        say=lambda text: tell(text, Path(log)),
        on_job=lambda ended: print(ended, file=sys.stderr) if ended.failure else None,
    )
    print(json.dumps({"made": done.made, "failed": done.failed, "put_off": done.put_off,
                      "left": done.left}))  # fmt: skip


def tell(text: str, log: Path) -> None:
    """Print it; by the first time the worker has both its connections."""
    print(text, file=sys.stderr)
    numbers = dj.conn().connection_id, _lease.held()._connection.connection_id
    log.with_suffix(".connections").write_text(" ".join(map(str, numbers)))


def read(source: Path, log: Path):
    from pipeline.nwb import FileSummary

    if log.with_suffix(".full").exists():
        raise OSError(28, "No space left on device")
    with log.open("a") as file:
        file.write(f"begin {source.name}\n")
    until = time.monotonic() + float(source.name.split("_")[0])
    while time.monotonic() < until:
        time.sleep(0.02)
    with log.open("a") as file:
        file.write(f"end {source.name}\n")
    return FileSummary.model_validate(EMPTY | {"session_id": source.stem})


def slow_down_epochs(seconds: float | None, log: Path) -> None:
    if seconds is None:
        return
    from pipeline.training.run import Run

    whole = Run.epoch

    def epoch(self, state):
        with log.open("a") as file:
            file.write(f"epoch {len(state.epochs) + 1}\n")
        record = whole(self, state)
        time.sleep(seconds)
        return record

    Run.epoch = epoch


if __name__ == "__main__":
    main()
