"""What the queue costs beside the jobs themselves: per job, with two workers, at 100,000 jobs.

    python bench/overhead.py [--backend postgresql|mysql|both] [--short]

Promises: 20 ms a job with one worker; two workers 1.8 times one on jobs that compute, where two
bare processes are twice as fast as one (else in proportion); reserve and complete in 5 ms (median)
while 100,000 jobs wait; those queued in 10 s.
"""

import hashlib
import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from _servers import activate, each_backend, parse, server

SUMMARY = {"layout": "generic", "identifier": "bench", "subject": {"subject_id": "none"}}
STEPS = ("make_fetch", "make_compute", "make_insert")
ROUNDS = 3
BATCH = 100


def main() -> None:
    given = parse(__doc__)
    if given.backend == "both":
        sys.exit(each_backend(__file__))
    with server(given.backend) as home:
        prefix = activate(home)
        cost = per_job(home, 60 if given.short else 300)
        ratio, bare = two_workers(home, prefix, 24 if given.short else 80)
        n_keys = 5_000 if given.short else 100_000
        queued_s, pair_s = large_queue(n_keys)
    print(
        f"{given.backend}: {1e3 * cost:.1f} ms a job; two workers {ratio:.2f} x one (two bare "
        f"processes {bare:.2f} x); {n_keys:,} keys queued in {queued_s:.1f} s; reserve and "
        f"complete {1e3 * pair_s:.1f} ms among them"
    )
    kept = {
        "more than 20 ms a job": cost <= 0.020,
        "two workers are slow": ratio >= 1.8 * min(1.0, bare / 2),
        "queueing took over 10 s": queued_s <= 10,
        "reserve and complete took over 5 ms": pair_s <= 0.005,
    }
    sys.exit("; ".join(name for name, good in kept.items() if not good) or 0)


def per_job(home: Path, n_jobs: int) -> float:
    """What one worker takes beside the jobs' own steps, for each of them (s)."""
    from workers.loop import Orders, run_worker

    register(home, [f"short-{number}" for number in range(n_jobs)])
    with reading(lambda source: None), timed() as own:
        began = time.perf_counter()
        record = run_worker(Orders(lanes=("io",), until_idle=True, poll_s=0.05))  # leaves at once
        took = time.perf_counter() - began
    assert record.made == {"recording.Ingestion": n_jobs}, record
    return (took - sum(own)) / n_jobs


def two_workers(home: Path, prefix: str, n_jobs: int) -> tuple[float, float]:
    """How many times as fast two workers are as one on jobs that only compute; bare processes."""
    speeds: dict[tuple[int, bool], list[float]] = {
        (workers, bare): [] for workers in (1, 2) for bare in (False, True)
    }
    for turn in range(ROUNDS):
        for workers, bare in speeds:
            if not bare:
                register(home, [f"busy-{turn}-{workers}-{number}" for number in range(n_jobs)])
            took = at_work(prefix, workers, bare=n_jobs // workers if bare else 0)
            speeds[workers, bare].append(n_jobs / took)
    one, two, bare_one, bare_two = (
        median(speeds[key]) for key in ((1, False), (2, False), (1, True), (2, True))
    )
    return two / one, bare_two / bare_one


def at_work(prefix: str, workers: int, *, busy: bool = True, bare: int = 0) -> float:
    """Time that so many workers take from their start until nothing is left (s).

    Parameters
    ----------
    busy
        Let the jobs compute instead of reading files.
    bare
        Let each process do so many such computations, and no job.
    """
    context = multiprocessing.get_context("spawn")
    ready, done = context.Barrier(workers + 1), context.Barrier(workers + 1)
    team = [
        context.Process(target=worker, args=(prefix, ready, done, busy, bare), daemon=True)
        for _ in range(workers)
    ]
    for process in team:
        process.start()
    ready.wait(120)
    began = time.perf_counter()
    done.wait(1800)
    took = time.perf_counter() - began
    for process in team:
        process.join()
        assert process.exitcode == 0
    return took


def worker(prefix: str, ready: Any, done: Any, busy: bool, bare: int) -> None:
    """A process: one worker, or so many computations."""
    if bare:
        ready.wait(120)
        for _ in range(bare):
            compute()
        done.wait(1800)
        return
    import schemas
    from workers.loop import Orders, run_worker

    schemas.activate(prefix, create=False)
    with reading(lambda source: compute()) if busy else nullcontext():
        ready.wait(120)
        run_worker(Orders(lanes=("io",), until_idle=True))
        done.wait(1800)


def compute(rounds: int = 40) -> bytes:
    """The same work each time: on one core, nothing but hashing."""
    block = bytes(1 << 21)
    for _ in range(rounds):
        block = hashlib.sha256(block).digest() * (1 << 16)
    return block


def large_queue(n_keys: int) -> tuple[float, float]:
    """Seconds to queue so many keys, and to reserve and complete one of them."""
    from schemas import _lease, recording

    jobs = recording.Ingestion.jobs
    register(None, [f"waiting-{number}" for number in range(n_keys)])
    began = time.perf_counter()
    assert jobs.refresh()["added"] == n_keys
    queued = time.perf_counter() - began
    _lease.take(lane="io")
    pairs = [took for _ in range(3) for took in take(jobs, BATCH)]
    _lease.end()
    jobs.delete_quick()
    return queued, median(pairs)


def take(jobs: Any, number: int) -> Iterator[float]:
    """Seconds for each of so many jobs, the look for them shared among them."""
    began = time.perf_counter()
    due = jobs.pending & "scheduled_time <= CURRENT_TIMESTAMP(3)"
    keys = due.keys(order_by="priority ASC, scheduled_time ASC", limit=number)
    look = (time.perf_counter() - began) / len(keys)
    for key in keys:
        began = time.perf_counter()
        assert jobs.reserve(key)
        jobs.complete(key, 0.0)
        yield look + time.perf_counter() - began


def register(home: Path | None, names: list[str]) -> None:
    """Register files of these names, and write them where a folder is given."""
    from schemas import session

    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    file = {"root": "bench", "file_kind": "nwb", "revision": 0, "registered": now}
    rows = [
        {**file, "nwb_file": hashlib.sha256(name.encode()).hexdigest(), "path": f"{name}.nwb"}
        for name in names
    ]
    for start in range(0, len(rows), 5000):
        session.NwbFile.insert(rows[start : start + 5000])
    for row in rows if home else ():
        (home / row["path"]).touch()


@contextmanager
def reading(work: Any) -> Iterator[None]:
    """Let reading a file be some other work."""
    from pipeline.nwb import FileSummary
    from schemas import _ingest

    def read(source: str, **_: Any) -> FileSummary:
        work(source)
        return FileSummary.model_validate(SUMMARY | {"session_id": Path(source).stem})

    whole, _ingest.read_summary_isolated = _ingest.read_summary_isolated, read
    yield
    _ingest.read_summary_isolated = whole


@contextmanager
def timed() -> Iterator[list[float]]:
    """Time of every step of every job (s)."""
    from schemas.recording import Ingestion

    spent: list[float] = []
    whole = {name: getattr(Ingestion, name) for name in STEPS}
    for name, step in whole.items():
        setattr(Ingestion, name, _timing(step, spent))
    yield spent
    for name, step in whole.items():
        setattr(Ingestion, name, step)


def _timing(step: Any, spent: list[float]) -> Any:
    def run(*args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return step(*args, **options)
        finally:
            spent.append(time.perf_counter() - began)

    return run


if __name__ == "__main__":
    main()
