"""Queue the jobs of many files: `LeasedJobs.refresh` against DataJoint's own, in turns.

    python bench/queue_jobs.py [--keys 10000] [--rounds 3]

Promise: ten times as fast, the same jobs. Runs on an embedded server of its own.
"""

import argparse
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("DJ_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="fbb-", ignore_cleanup_errors=True) as home:
        try:
            compare(Path(home), given.keys, given.rounds)
        finally:
            from schemas._server import stop_server

            stop_server(Path(home))


def compare(home: Path, n_keys: int, rounds: int) -> None:
    import schemas
    from schemas import recording, session

    schemas.activate("bench", home=home)
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    file = {"file_kind": "nwb", "revision": 0, "registered": now}
    keys = range(n_keys)
    session.NwbFile.insert({**file, "nwb_file": f"{i:064x}", "path": f"{i}.nwb"} for i in keys)
    from datajoint.jobs import Job

    queues = {"ours": recording.Ingestion.jobs, "theirs": Job(recording.Ingestion())}
    took: dict[str, list[float]] = {name: [] for name in queues}
    queued = {}
    for _ in range(rounds):
        for name, queue in queues.items():
            queue.delete_quick()
            began = time.perf_counter()
            queue.refresh()
            took[name].append(time.perf_counter() - began)
            queued[name] = sorted(queue.pending.to_arrays("nwb_file"))
    assert queued["ours"] == queued["theirs"] != []
    ours, theirs = (median(took[name]) for name in ("ours", "theirs"))
    spent = f"{ours:.2f} s against {theirs:.1f} s"
    print(f"{n_keys:,} keys: {theirs / ours:.0f} x ({spent}), the same jobs")


if __name__ == "__main__":
    main()
