"""Killed at any moment, a training goes on in another process to the same weights, bit for bit."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from model_worlds import context_of, params_of, world  # noqa: E402

from pipeline.models import MODELS, build  # noqa: E402
from pipeline.training import FitParams  # noqa: E402
from pipeline.training.fit import fit  # noqa: E402

TRAIN, VALIDATION = [world("s1"), world("s2", seed=1)], [world("s3", seed=2)]
CONTEXT = context_of([*TRAIN, *VALIDATION])
TRAINED = [(n, o) for n, entry in MODELS.items() for o in entry.objectives if o != "none"]


def params(objective):
    return FitParams(
        objective=objective,
        epochs=4,
        batch_size=8,
        lr=1e-3,
        max_steps_per_epoch=2,
        max_validation_batches=1,
        select="loss",
    )


def train(family, objective, folder):
    model = build(params_of(family, dropout=0.1), CONTEXT, seed=1)
    return fit(model, TRAIN, VALIDATION, params(objective), seed=5, folder=folder)


def in_another_process(work, *, at_event=None, after_s=None, folder=None):
    """Fork, work, and be killed at the n-th file operation in the folder or after a time.

    Returns the exit status and the number of file operations.
    """
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            count = count_events(folder, at_event)
            work()
            os.write(tell, str(count()).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(tell)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(told) as pipe:
        return os.waitstatus_to_exitcode(status), int(pipe.read() or 0)


def count_events(folder, at_event):
    """Count what is opened, renamed and removed in a folder; die by SIGKILL at one of them."""
    seen = []

    def hook(event, args):
        if event in ("open", "os.rename", "os.remove") and str(folder) in str(args[0]):
            seen.append(event)
            if len(seen) == at_event:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return lambda: len(seen)


def digest(folder):
    return json.loads((folder / "checkpoint" / "meta.json").read_text())["sha256"]


@pytest.mark.parametrize(("family", "objective"), TRAINED)
def test_killed_again_and_again_it_ends_with_the_weights_of_an_undisturbed_run(
    family, objective, tmp_path
):
    draw = random.Random(f"{family} {objective}")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(family, objective, tmp_path / "warm-up")
    started = time.monotonic()
    code, events = in_another_process(lambda: train(family, objective, whole), folder=whole)
    took = time.monotonic() - started
    assert code == 0
    assert events > 30
    first, *later = sorted(draw.sample(range(1, events // 2), 4))
    codes = []
    for moment in (first, *later):  # in the middle of saving, sooner or later after each resume
        codes.append(
            in_another_process(
                lambda: train(family, objective, broken), at_event=moment, folder=broken
            )[0]
        )
        in_another_process(
            lambda: train(family, objective, broken), after_s=draw.uniform(0, took / 2)
        )
    assert -signal.SIGKILL in codes
    assert in_another_process(lambda: train(family, objective, broken))[0] == 0
    assert digest(broken) == digest(whole)
