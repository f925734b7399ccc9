"""Workers, and the database, killed at random moments (the short form of `bench/faults.py`)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BACKEND = os.environ.get("FIELDBASE_TEST_BACKEND", "postgresql")


def run(*options):
    command = [sys.executable, str(ROOT / "bench" / "faults.py"), "--short", *options]
    done = subprocess.run(
        [*command, "--backend", BACKEND], capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return [line for line in done.stdout.splitlines() if line.startswith(f"{BACKEND}: ")]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9")
def test_workers_killed_at_random_lose_nothing_and_make_nothing_twice(database):
    restarts = 1 if BACKEND == "postgresql" else 0  # MySQL is the server of all tests
    told = run("--kills", "6", "--jobs", "16", "--restarts", str(restarts))
    assert len(told) == 1 + restarts
    for line in told:
        assert re.search(r"6 kills .* 0 lost, 0 made twice, 0 stuck", line)
