"""How long the twins of the paper's experiments take: `python bench/experiments.py [--short]`.

    python bench/experiments.py [--all] [--threads 1] [--pages FOLDER] [--profile FILE]

Promise: experiment 1 within one laboratory with every baseline and control, one seed, in 20 minutes
on 2 cores; with ``--all`` the twins of all six experiments, three seeds each, in 4 hours. What
takes long is told by table: seconds of the wall, seconds of the processor and rows; where the wall
is much more, the machine was busy with other work. One thread trains these small networks: the
other core is the database's, and where others work, too, two threads wait for each other (training
took 15 minutes instead of 3). ``--short`` is a quick look: three subjects, 12 channels, cheap
models, the first study of each protocol; nothing is promised of it (the tests' own cut is
tests/workers/test_experiment_pages.py). Synthetic laboratories.
"""

import argparse
import cProfile
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import torch
from _servers import ROOT, server

FIRST = "lfp2vec_within_allen"
STUDIES = {
    1: (FIRST, "lfp2vec_within_ibl", "lfp2vec_within_sinaps"),
    2: ("lfp2vec_cross_lab", "lfp2vec_cross_lab_sinaps"),
    3: ("lfp2vec_species",),
    4: ("lfp2vec_scaling",),
    5: ("lfp2vec_disease",),
    6: ("lfp2vec_embeddings",),
}
"""Files of each experiment."""
PROMISE_S = {"one": 20 * 60.0, "all": 4 * 3600.0}
CHEAP = ("spectrogram MLP", "band power", "position only")


@dataclass
class Clock:
    """Wall and processor seconds by table, from what a run says while it works."""

    spent: dict[str, list[float]] = field(default_factory=dict)
    now: str = "files"
    since: tuple[float, float] = field(default_factory=lambda: _times())

    def __call__(self, text: str) -> None:
        if found := re.match(r"(\w+): (\d+) to make", text):
            self.turn(found[1], int(found[2]))

    def turn(self, name: str, rows: int = 0) -> None:
        """What follows is another table's."""
        wall, cpu = _times()
        spent = self.spent.setdefault(self.now, [0.0, 0.0, 0])
        spent[0] += wall - self.since[0]
        spent[1] += cpu - self.since[1]
        self.spent.setdefault(name, [0.0, 0.0, 0])[2] += rows
        print(f"{spent[0]:8.1f} s in {self.now}", file=sys.stderr, flush=True)
        self.now, self.since = name, (wall, cpu)


def _times() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def experiment(name: str, seeds: int, short: bool):
    """The twin of a study file, each model with so many seeds."""
    from workers.study.experiment import read_experiment

    whole = read_experiment(ROOT / "studies" / f"{name}.toml", twin=True)
    labs, asked = whole.labs, whole.members
    if short:
        labs = {key: lab.model_copy(update=_small(lab)) for key, lab in labs.items()}
        first = {member.protocol: member for member in reversed(asked)}
        asked = [member for member in asked if first[member.protocol] is member]
    members = tuple(_member(member, seeds, short) for member in asked)
    return whole.model_copy(update={"members": members, "labs": labs})


def _small(lab) -> dict[str, int]:
    """Of one animal its sessions are told apart, of diseased ones some are healthy."""
    subjects = {"subjects": min(lab.subjects, 3)}
    return subjects | {"channels": 12} | ({"subjects": 4, "diseased": 2} if lab.diseased else {})


def _member(member, seeds: int, short: bool):
    spec = member.spec
    models = [m.model_copy(update={"seeds": tuple(range(seeds))}) for m in spec.model]
    if short:
        models = [m for m in models if m.name in CHEAP] or models[:1]
    spec = spec.model_copy(update={"model": tuple(models)})
    return member.model_copy(update={"spec": spec})


def run(name: str, home: Path, given: argparse.Namespace, clock: Clock) -> dict[str, int]:
    """Every study of a file, and its report; rows made and jobs that failed."""
    from workers.study.compare import write_experiment
    from workers.study.experiment import simulate
    from workers.study.run import run_study

    twin = experiment(name, given.seeds, given.short)
    folder = home / "twins" / name
    clock.turn("simulation")
    simulate(twin, folder, clock)
    made = failed = 0
    for member in twin.members:
        clock.turn("files")
        outcome = run_study(member.spec, base=folder, say=clock)
        made += sum(outcome.made.values())
        failed += sum(len(errors) for errors in outcome.failed.values())
    clock.turn("report")
    write_experiment(twin, (given.pages or folder) / f"{name}.html")
    return {"studies": len(twin.members), "rows": made, "failed": failed}


@contextmanager
def profiled(where: Path | None) -> Iterator[None]:
    """Calls of this process, written to a file for `python -m pstats`."""
    if where is None:
        yield
        return
    profile = cProfile.Profile()
    with profile:
        yield
    profile.dump_stats(where)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="three subjects and cheap models")
    parser.add_argument("--all", action="store_true", help="six experiments with three seeds")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--only", help="this study file alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pages", type=Path, help="folder to write each experiment's page to")
    parser.add_argument("--profile", type=Path)
    given = parser.parse_args()
    given.seeds = given.seeds or (3 if given.all and not given.short else 1)
    torch.set_num_threads(given.threads)
    files = [given.only or FIRST]
    if given.all:
        files = [name for names in STUDIES.values() for name in names]
    began, clock, told = _times(), Clock(), {}
    with server("postgresql") as home, profiled(given.profile):
        import schemas

        schemas.activate(home=home)
        for name in files:
            start = time.perf_counter()
            told[name] = run(name, home, given, clock)
            told[name]["minutes"] = round((time.perf_counter() - start) / 60, 1)
            print(json.dumps({name: told[name]}), flush=True)
        clock.turn("end")
    return report(clock, told, given, began)


def report(clock: Clock, told: dict, given: argparse.Namespace, began: tuple) -> int:
    """The promise, what became of it, and where the time went."""
    wall, cpu = (now - then for now, then in zip(_times(), began, strict=True))
    for name, (seconds, busy, rows) in sorted(clock.spent.items(), key=lambda kv: -kv[1][0]):
        if seconds > 0.05:
            print(f"{name:20s} {seconds:8.1f} s  {busy:8.1f} s of processor  {rows:5d} rows")
    promise = None if given.short else PROMISE_S["all" if given.all else "one"]
    failed = sum(one["failed"] for one in told.values())
    kept = failed == 0 and (promise is None or wall <= promise)
    result = {
        "bench": f"twins of {len(told)} study files, {given.seeds} seed(s), "
        f"{given.threads} threads{', short' if given.short else ''}",
        "promise_minutes": promise and promise / 60,
        "minutes": round(wall / 60, 1),
        "processor_minutes": round(cpu / 60, 1),
        "failed": failed,
        "kept": kept,
    }
    print(json.dumps(result))
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
