"""Kill workers and the database at random moments, and look for what was lost.

    python bench/faults.py [--backend postgresql|mysql|both] [--short] [--seed 0]
                           [--kills 200] [--restarts 10] [--workers 4] [--jobs 400]

Promises, with workers killed (-9): no job lost, none made twice, none stuck, none taken from a
worker that lives, and each job of a killed worker in other hands or pending within 10 s. Then the
same with the database killed in between: no job lost, made twice or stuck.
"""

import os
import random
import sys
import time
from pathlib import Path
from statistics import median

from _crew import Crew, Found
from _restart import restart
from _servers import activate, each_backend, parse, server

LIMIT_S = {False: 1800.0, True: 120.0}
LONGEST_JOB_S = {False: 0.6, True: 0.3}


def main() -> None:
    given = parse(__doc__, add_options)
    if given.short:
        given.kills, given.restarts = min(given.kills, 10), min(given.restarts, 1)
        given.workers, given.jobs = 2, min(given.jobs, 24)
    if given.backend == "both":
        sys.exit(each_backend(__file__))
    with server(given.backend, lasting=given.restarts > 0) as home:
        os.environ["BENCH_PREFIX"] = activate(home)
        broken = run(home, given, restarts=0)
        if given.restarts:
            broken += run(home, given, restarts=given.restarts)
    sys.exit("; ".join(broken) or 0)


def add_options(parser) -> None:
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=400)


def run(home: Path, given, *, restarts: int) -> list[str]:
    """One run through all jobs; the promises it broke."""
    draw = random.Random(f"{given.seed} {restarts}")
    began = time.monotonic()
    with Crew(home, given.workers, LIMIT_S[given.short]) as crew:
        crew.queue(given.jobs, draw, LONGEST_JOB_S[given.short])
        plan = faults(given.kills, restarts, given.jobs, draw)
        while crew.left() or plan:
            crew.watch()
            if plan and crew.done >= plan[0][0]:
                _, what = plan.pop(0)
                crew.wait(draw.uniform(0, 0.3))
                if what == "restart":
                    restart(given.backend, home)
                    crew.restarted()
                else:
                    crew.kill(draw)
            if time.monotonic() - began > LIMIT_S[given.short]:
                break
        found = crew.judge()
    tell(given.backend, found, restarts, time.monotonic() - began)
    return [f"{given.backend}: {text}" for text in found.broken(restarts)]


def faults(kills: int, restarts: int, jobs: int, draw: random.Random) -> list[tuple[float, str]]:
    """After how many jobs done each fault comes, in order."""
    what = ["kill"] * kills + ["restart"] * restarts
    return sorted((draw.uniform(0, 0.95 * jobs), kind) for kind in what)


def tell(backend: str, found: "Found", restarts: int, seconds: float) -> None:
    hits = ", ".join(f"{count} {stage}" for stage, count in found.hits.most_common())
    times = sorted(found.recovery)
    spread = "no job was held"
    if times:
        p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
        spread = f"{median(times):.2f} s (median), {p95:.2f} (p95), {times[-1]:.2f} (longest)"
    print(
        f"{backend}: {found.kills} kills ({hits}) and {restarts} restarts of the database over "
        f"{found.jobs} jobs in {seconds:.0f} s: {found.lost} lost, {found.double} made twice, "
        f"{found.stuck} stuck, {found.stolen} taken from the living; "
        f"{len(times)} jobs recovered in {spread}",
        flush=True,
    )


if __name__ == "__main__":
    main()
