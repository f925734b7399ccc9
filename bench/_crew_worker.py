"""A worker of the fault bench: its jobs take as long as their files' names say.

What it is doing at each moment stands in memory that it shares with whoever kills it. It is forked
from a process that knows the tables already: two hundred workers are started.
"""

import os
import time
from pathlib import Path
from typing import Any

from _crew import STAGES

import schemas
from pipeline.nwb import FileSummary
from schemas import _ingest, recording
from schemas._jobs import LeasedJobs
from schemas._tables import computed_tables
from workers.loop import Orders, run_worker

SUMMARY = {"layout": "generic", "identifier": "bench", "subject": {"subject_id": "none"}}
if os.environ.get("BENCH_PREFIX"):
    schemas.activate(os.environ["BENCH_PREFIX"], create=False)
    for _, table in computed_tables():
        _ = table.jobs


def work(log: str, stage: Any, longest_s: float) -> None:
    """Be a worker until killed."""
    schemas.connect()  # of its own

    def read(source: str, **_: Any) -> FileSummary:
        name = Path(source).stem
        write(log, f"{name} {os.getpid()} {time.time()}")
        time.sleep(float(name.split("_")[0]))
        return FileSummary.model_validate(SUMMARY | {"session_id": name})

    _ingest.read_summary_isolated = read
    for owner, method, name in (
        (LeasedJobs, "reserve", "reserving"),
        (LeasedJobs, "complete", "completing"),
        (recording.Ingestion, "make_compute", "computing"),
        (recording.Ingestion, "make_insert", "inserting"),
    ):
        setattr(owner, method, _telling(getattr(owner, method), stage, STAGES.index(name)))

    def say(text: str) -> None:  # first that it has its lease
        stage.value = stage.value or STAGES.index("between jobs")

    run_worker(Orders(lanes=("io",), poll_s=0.5, max_time_s=longest_s), say=say)


def write(log: str, line: str) -> None:
    """Append one line at once, whoever else does."""
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def _telling(whole: Any, stage: Any, number: int) -> Any:
    def told(*args: Any, **options: Any) -> Any:
        before, stage.value = stage.value, number
        try:
            return whole(*args, **options)
        finally:
            stage.value = before

    return told
