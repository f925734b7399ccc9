"""A training that is killed goes on elsewhere and ends as if nothing had happened."""

import json
import signal
import time
from contextlib import suppress

import numpy as np
import psutil
import pytest

TINY = {
    "family": "lfp2vec", "size": "tiny", "conv_dim": (8,) * 7, "hidden": 16, "heads": 2,
    "layers": 1, "feedforward": 16, "position_kernel": 8, "position_groups": 2, "codewords": 8,
    "code_dim": 16, "negatives": 8, "head_dim": 16, "model_rate": 4000.0,
}  # fmt: skip
EPOCHS = 5


@pytest.fixture
def task(mice, tables, nobody_asks):
    """A training of five epochs that nobody has begun."""
    from pipeline.models import parse_params
    from pipeline.training import FitParams

    training = tables.training
    fit = FitParams(
        objective="finetune", epochs=EPOCHS, batch_size=8, max_steps_per_epoch=3, select="last",
        lr=1e-3,
    )  # fmt: skip
    nobody_asks(training.Training)
    split = (tables.dataset.SplitFold & {"fold": 0}).keys(limit=1)[0]
    key = training.TrainingTask.ensure(
        **split, **training.ModelParamSet.register(None, parse_params(TINY)),
        **training.FitParamSet.register(None, fit), seed=4,
    )  # fmt: skip
    training.Training.jobs.refresh(key)
    yield key
    (training.Training & key).delete(prompt=False)
    (training.Training.jobs & key).delete_quick()
    (training.TrainingTask & key).delete(prompt=False)


def worker_made(out, err):
    assert out, err
    assert json.loads(out)["failed"] == {}, err
    return json.loads(out)["made"]


def weights_of(tables, task):
    from pipeline.training.checkpoint import load_verified, read_meta
    from schemas._train import checkpoint_folder

    folder = checkpoint_folder(task["training"])
    return load_verified(folder, read_meta(folder))


def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(crew, task, tables):
    training = tables.training.Training
    undisturbed = crew.start(lanes=["gpu"], device="cpu", until_idle=True)
    out, err = undisturbed.communicate(timeout=300)
    assert worker_made(out, err) == {"training.Training": 1}
    expected = weights_of(tables, task)
    (training & task).delete(prompt=False)
    training.jobs.refresh(task)
    crew.log.unlink(missing_ok=True)
    for epoch, late in ((2, 0.1), (4, 0.5)):
        worker = crew.start(lanes=["gpu"], device="cpu", epoch_s=1.0)
        crew.wait_for(lambda epoch=epoch: f"epoch {epoch}" in crew.said())
        time.sleep(late)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    last = crew.start(lanes=["gpu"], device="cpu", until_idle=True, epoch_s=0.0)
    out, err = last.communicate(timeout=300)
    assert worker_made(out, err) == {"training.Training": 1}
    again = [line for line in crew.said() if line.startswith("epoch")]
    assert again.count("epoch 1") == 1  # nobody began anew
    assert len(again) <= EPOCHS + 2
    found = weights_of(tables, task)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), value.numpy())


def test_a_worker_with_two_processes_for_each_training_makes_what_one_makes(crew, task, tables):
    training = tables.training.Training
    crew.start(lanes=["gpu"], device="cpu", until_idle=True).communicate(timeout=300)
    expected = weights_of(tables, task)
    (training & task).delete(prompt=False)
    training.jobs.refresh(task)
    worker = crew.start(lanes=["gpu"], device="cpu", gpus=2, until_idle=True)
    ranks = []
    while worker.poll() is None:
        found = [p.pid for p in psutil.Process(worker.pid).children(recursive=True) if is_rank(p)]
        ranks = max(ranks, found, key=len)
        time.sleep(0.1)
    assert worker_made(*worker.communicate()) == {"training.Training": 1}
    assert len(ranks) == 2
    assert len(training.Epoch & task) == EPOCHS
    for name, value in weights_of(tables, task).items():
        np.testing.assert_allclose(value.numpy(), expected[name].numpy(), rtol=1e-4, atol=1e-5)


def is_rank(process):
    """Whether it trains; what started it names the same module further on."""
    with suppress(psutil.Error, ValueError):
        line = process.cmdline()
        return line[line.index("-m") + 1] == "pipeline.training.rank"
    return False


def test_a_training_told_to_stop_keeps_its_last_epoch_and_is_pending(crew, task, tables):
    worker = crew.start(lanes=["gpu"], device="cpu", epoch_s=1.5, grace_s=2.0)
    crew.wait_for(lambda: "epoch 2" in crew.said())
    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=120)
    assert worker.returncode == 0, err
    (job,) = (tables.training.Training.jobs & task).to_dicts()
    assert job["status"] == "pending"
    assert not tables.training.Training & task
    crew.start(lanes=["gpu"], device="cpu", until_idle=True, epoch_s=0.0).communicate(timeout=300)
    assert len(tables.training.Training.Epoch & task) == EPOCHS
    assert crew.said().count("epoch 1") == 1


def test_a_finished_training_leaves_no_state_behind(crew, task, tables):
    import datajoint as dj

    from schemas._stores import store_named

    crew.start(lanes=["gpu"], device="cpu", until_idle=True).communicate(timeout=300)
    assert tables.training.Training & task
    assert not store_named("checkpoints", dj.config).exists(f"unfinished/{task['training']}")
