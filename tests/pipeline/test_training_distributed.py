"""Several processes train what one would have trained, report like one and die like one."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from model_worlds import context_of, params_of, world  # noqa: E402

from pipeline.models import build  # noqa: E402
from pipeline.training import FitParams, OutOfMemory, RankFailed, distributed  # noqa: E402
from pipeline.training.checkpoint import load_checkpoint  # noqa: E402
from pipeline.training.distributed import fit_distributed  # noqa: E402
from pipeline.training.fit import fit  # noqa: E402
from pipeline.training.job import Job, read_job, write_job  # noqa: E402

TRAIN, VALIDATION = [world("s1"), world("s2", seed=1)], [world("s3", seed=2)]
CONTEXT = context_of([*TRAIN, *VALIDATION])
SHORT = FitParams(
    objective="ssl", epochs=3, batch_size=7, accumulate=2, lr=1e-3,
    max_steps_per_epoch=2, max_validation_batches=2,
)  # fmt: skip

KILLED = """
import sys, time
sys.path[:0] = {path!r}
from test_training_distributed import *
def slow(record):
    print(record.epoch, flush=True)
    time.sleep(1 if record.epoch == 1 else 60)
fit_distributed(built("mtm"), TRAIN, VALIDATION, SHORT, seed=5, device="cpu", processes=2,
                folder=Path({folder!r}), on_epoch=slow)
"""


def built(family):
    return build(params_of(family, dropout=0.2), CONTEXT, seed=1)


def flat(model):
    return torch.cat([value.float().flatten() for value in model.state_dict().values()])


def assert_same(one, other, family):
    """Equal weights up to the rounding of sums in another order."""
    moved = (flat(one) - flat(built(family))).norm()
    assert moved > 0.01
    assert (flat(one) - flat(other)).norm() < 1e-4 * moved
    assert torch.allclose(flat(one), flat(other), rtol=1e-5, atol=1e-5)


def ranks_of(folder):
    """Processes that train in a folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "pipeline.training.rank" in line and str(folder) in line[-1]:
            found.append(process)
    return found


def stop(record):
    raise InterruptedError(f"told to stop after epoch {record.epoch}")


def test_two_processes_go_on_where_one_stopped_to_its_weights_and_curve(tmp_path):
    one, two, told = built("lfp2vec"), built("lfp2vec"), []
    alone = fit(one, TRAIN, VALIDATION, SHORT, seed=5, folder=tmp_path / "one")
    with pytest.raises(InterruptedError):
        fit(two, TRAIN, VALIDATION, SHORT, seed=5, folder=tmp_path / "two", on_epoch=stop)
    two = built("lfp2vec")
    shared = fit_distributed(
        two, TRAIN, VALIDATION, SHORT, seed=5, device="cpu", processes=2,
        folder=tmp_path / "two", on_epoch=told.append,
    )  # fmt: skip
    assert_same(one, two, "lfp2vec")
    assert told == shared.epochs
    assert [e.epoch for e in told] == [1, 2, 3]
    for mine, theirs in zip(alone.epochs, shared.epochs, strict=True):
        assert theirs.train_loss == pytest.approx(mine.train_loss, rel=1e-5)
        assert theirs.parts == pytest.approx(mine.parts, rel=1e-5)
        assert theirs.validation == pytest.approx(mine.validation, rel=1e-5)
    assert (shared.best_epoch, shared.resumed_from) == (alone.best_epoch, 1)
    assert torch.equal(flat(load_checkpoint(shared.checkpoint)), flat(two))
    assert not (tmp_path / "two" / "ranks").exists()


def test_killed_with_its_launcher_it_leaves_no_process_and_goes_on_elsewhere(tmp_path):
    folder = tmp_path / "killed"
    path = [str(HERE), str(HERE.parents[1])]
    script = KILLED.format(path=path, folder=str(folder))
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert [child.stdout.readline().strip() for _ in range(2)] == ["1", "2"]
    ranks = ranks_of(folder)
    assert len(ranks) >= 2
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    _, alive = psutil.wait_procs(ranks, timeout=15)
    assert alive == []
    whole, resumed = built("mtm"), built("mtm")
    fit(whole, TRAIN, VALIDATION, SHORT, seed=5, folder=tmp_path / "whole")
    result = fit(resumed, TRAIN, VALIDATION, SHORT, seed=5, folder=folder)
    assert result.resumed_from == 2
    assert_same(whole, resumed, "mtm")  # batches of 7 and of 1: fewer rows than processes


def test_the_failure_of_a_process_is_one_exception_with_its_traceback(tmp_path):
    params = SHORT.model_copy(update={"lr": 1e30, "epochs": 9})
    with pytest.raises(FloatingPointError, match="loss became") as failure:
        fit_distributed(
            built("mtm"), TRAIN, [], params, seed=5, device="cpu", processes=2, folder=tmp_path
        )
    assert isinstance(failure.value.__cause__, RankFailed)
    assert "_check_finite" in str(failure.value.__cause__)
    assert ranks_of(tmp_path) == []
    assert not (tmp_path / "ranks").exists()


def test_processes_begin_again_with_half_the_rows_until_they_fit(tmp_path, monkeypatch):
    launched = []

    def launch(place, processes, told, on_epoch):
        rows = json.loads((place / "job.json").read_text())["rows"]
        launched.append(rows)
        if rows is None or rows > 1:
            raise OutOfMemory("full", rows or 5)
        raise OutOfMemory("full", 1)

    monkeypatch.setattr(distributed, "_launch", launch)
    with pytest.raises(OutOfMemory):
        fit_distributed(
            built("mtm"), TRAIN, [], SHORT, seed=5, device="cpu", processes=2, folder=tmp_path
        )
    assert launched == [None, 2, 1]


def test_more_gpus_than_there_are_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(ValueError, match="asked for 97 GPUs, this machine shows"):
        fit_distributed(built("mtm"), TRAIN, [], SHORT, seed=5, processes=97, folder=tmp_path)


def test_a_job_tells_the_processes_all_that_decides_the_weights(tmp_path):
    np.save(tmp_path / "lfp.npy", TRAIN[0].lfp)
    mapped = np.load(tmp_path / "lfp.npy", mmap_mode="r")
    gaps = TRAIN[0].channels.assign(region=[None, *TRAIN[0].channels["region"][1:]])
    sets = [
        replace(TRAIN[0], lfp=mapped, channels=gaps),
        replace(TRAIN[1], lfp=mapped[::-1]),
        replace(VALIDATION[0], lfp=None, rate=float("nan"), units=None, spikes=None),
    ]
    job = Job(SHORT, 5, "cpu", tmp_path / "t", rows=3)
    model = built("lfp2vec")
    write_job(tmp_path / "ranks", job, model, sets[:2], sets[2:])
    told, theirs, train, validation = read_job(tmp_path / "ranks")
    assert told == job
    assert torch.equal(flat(theirs), flat(model))
    for mine, read in zip(sets, [*train, *validation], strict=True):
        for name in ("start_s", "valid", "lfp", "spikes", "behavior", "features"):
            ours, found = getattr(mine, name), getattr(read, name)
            assert found is None if ours is None else np.array_equal(ours, found)
        assert read.channels["region"].tolist() == mine.channels["region"].tolist()
        assert (read.windows, read.session) == (mine.windows, mine.session)
        assert read.rate == mine.rate or np.isnan(mine.rate)
    copied = {path.name for path in (tmp_path / "ranks").glob("*.lfp.npy")}
    assert copied == {"train-1.lfp.npy"}  # a map is not copied, a view of one is
