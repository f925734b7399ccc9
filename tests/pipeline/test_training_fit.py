"""The loop: resuming, choosing an epoch, and what it refuses."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from model_worlds import context_of, params_of, world  # noqa: E402

from pipeline.models import build  # noqa: E402
from pipeline.training import FitParams  # noqa: E402
from pipeline.training.checkpoint import initialise_from, load_checkpoint, read_meta  # noqa: E402
from pipeline.training.fit import fit  # noqa: E402
from pipeline.training.run import learning_rate  # noqa: E402

TRAIN, VALIDATION = [world("s1"), world("s2", seed=1)], [world("s3", seed=2)]
CONTEXT = context_of([*TRAIN, *VALIDATION])
SHORT = FitParams(objective="ssl", epochs=4, batch_size=24, lr=1e-3, max_steps_per_epoch=2)

KILLED = """
import sys
sys.path[:0] = {path!r}
from test_training_fit import *
def slow(record):
    print(record.epoch, flush=True)
    time.sleep(0.3)
fit(build(params_of("lfp2vec", dropout=0.1), CONTEXT, seed=1), TRAIN, VALIDATION, SHORT,
    seed=5, folder=Path({folder!r}), on_epoch=slow)
"""


def run(folder, params=SHORT, *, seed=5, family="lfp2vec", **options):
    changes = {"dropout": 0.1} if family == "lfp2vec" else {}
    model = build(params_of(family, **changes), CONTEXT, seed=1)
    return model, fit(model, TRAIN, VALIDATION, params, seed=seed, folder=folder, **options)


def equal(a, b):
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_a_run_killed_outright_goes_on_to_bit_identical_weights(tmp_path):
    threads = torch.get_num_threads()
    script = KILLED.format(path=[str(HERE), str(HERE.parents[1])], folder=str(tmp_path / "killed"))
    script = f"import torch; torch.set_num_threads({threads})\n" + script
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline().strip() == "1"
    assert child.stdout.readline().strip() == "2"
    child.send_signal(signal.SIGKILL)
    child.wait()
    whole, _ = run(tmp_path / "whole")
    told = []
    resumed, result = run(tmp_path / "killed", on_epoch=told.append)
    assert 2 <= result.resumed_from < 4
    assert [e.epoch for e in told] == [1, 2, 3, 4]
    assert equal(whole, resumed)
    other, _ = run(tmp_path / "other", seed=6)
    assert not equal(whole, other)


def test_a_finished_run_is_not_run_again_and_another_one_is_refused_its_folder(tmp_path):
    first, result = run(tmp_path)
    again, second = run(tmp_path)
    assert second.resumed_from == 4
    assert second.sha256 == result.sha256
    assert equal(first, again)
    with pytest.raises(ValueError, match="state of another training"):
        run(tmp_path, seed=7)
    assert run(tmp_path, seed=7, resume=False)[1].resumed_from == 0


def test_supervised_training_learns_and_keeps_the_epoch_with_the_best_metric(tmp_path):
    params = FitParams(
        objective="finetune",
        epochs=12,
        batch_size=32,
        lr=1e-2,
        select="balanced_accuracy",
        schedule="cosine",
        class_weights="balanced",
        clip_norm=1.0,
    )
    model, result = run(tmp_path, params)
    scores = [e.validation["balanced_accuracy"] for e in result.epochs]
    assert max(scores) > 0.9
    assert result.best_epoch == 1 + int(np.argmax(scores))
    assert [e.best for e in result.epochs][result.best_epoch - 1]
    assert equal(model, load_checkpoint(result.checkpoint))
    facts = read_meta(result.checkpoint)
    assert facts["meta"]["fit"] == params.to_json()
    assert result.epochs[-1].seconds_left == 0


@pytest.mark.parametrize("objective", ["ssl", "finetune"])
def test_the_same_seed_gives_the_same_weights_whatever_the_global_streams(objective, tmp_path):
    params = SHORT.model_copy(update={"objective": objective, "epochs": 1})
    weights = []
    for place in ("one", "two"):
        weights.append(run(tmp_path / place, params)[0])
        np.random.seed(len(place))  # noqa: NPY002 the stream that transformers masks from
        torch.manual_seed(11)
    assert equal(*weights)


def test_patience_stops_a_run_that_no_longer_improves(tmp_path):
    params = SHORT.model_copy(
        update={"epochs": 30, "lr": 1e-12, "patience": 2, "warmup_fraction": 0}
    )
    _, result = run(tmp_path, params)
    assert result.stopped_early
    assert len(result.epochs) - result.best_epoch == 2


def test_accumulated_batches_step_as_one_large_batch(tmp_path):
    base = dict(objective="finetune", epochs=1, lr=1e-3, select="last", warmup_fraction=0)
    models = []
    for size, accumulate in ((24, 1), (8, 3)):
        params = FitParams(**base, batch_size=size, accumulate=accumulate, max_steps_per_epoch=1)
        model = build(params_of("lfp2vec"), CONTEXT, seed=1)
        fit(model, TRAIN[:1], [], params, seed=5, folder=tmp_path / str(size))
        models.append(model.head.classify.weight)
    start = build(params_of("lfp2vec"), CONTEXT, seed=1).head.classify.weight
    assert not torch.equal(models[0], start)
    assert (models[0] - start).sign().eq((models[1] - start).sign()).float().mean() > 0.6


def test_fine_tuning_starts_from_the_weights_of_its_parent(tmp_path):
    parent, result = run(tmp_path / "ssl")
    child = build(params_of("lfp2vec"), CONTEXT, seed=77)
    origin = initialise_from(child, result.checkpoint)
    assert origin["parent"] == result.sha256
    assert origin["fresh"] == []
    for name, value in parent.network.state_dict().items():
        assert torch.equal(value, child.network.state_dict()[name])
    other = build(params_of("lfp2vec"), CONTEXT.model_copy(update={"classes": ("a", "b")}), seed=0)
    assert all(n.startswith("head.") for n in initialise_from(other, result.checkpoint)["fresh"])
    with pytest.raises(ValueError, match="cannot start from a lfp2vec"):
        initialise_from(build(params_of("mtm"), CONTEXT, seed=0), result.checkpoint)


def test_a_baseline_is_fitted_in_prepare_alone(tmp_path):
    params = FitParams(objective="none", epochs=0)
    model, result = run(tmp_path, params, family="band_power")
    assert result.epochs == []
    assert result.best_epoch == 0
    assert equal(model, load_checkpoint(result.checkpoint))


def test_damaged_weights_and_pickles_are_refused(tmp_path):
    _, result = run(tmp_path, FitParams(objective="none", epochs=0), family="amplitude_only")
    with (result.checkpoint / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    with pytest.raises(ValueError, match="changed or damaged"):
        load_checkpoint(result.checkpoint)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "weights.pt").write_bytes(b"")
    with pytest.raises(ValueError, match="never loaded"):
        load_checkpoint(tmp_path / "theirs")
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load_checkpoint(tmp_path / "nowhere")


def test_impossible_runs_say_why(tmp_path):
    with pytest.raises(ValueError, match="band_power has no objective 'ssl'"):
        run(tmp_path, family="band_power")
    with pytest.raises(ValueError, match="'none' goes with 0 epochs"):
        run(tmp_path, FitParams(objective="none", epochs=3), family="band_power")
    with pytest.raises(ValueError, match="no validation accuracy"):
        run(tmp_path, SHORT.model_copy(update={"select": "accuracy"}))
    unlabelled = CONTEXT.model_copy(update={"classes": ("nowhere",)})
    model = build(params_of("lfp2vec"), unlabelled, seed=0)
    with pytest.raises(ValueError, match="nothing to train lfp2vec on"):
        fit(model, TRAIN, [], FitParams(), seed=0, folder=tmp_path)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_learning_rate_warms_up_to_its_peak_and_follows_its_schedule(schedule):
    params = FitParams(lr=1.0, warmup_fraction=0.1, schedule=schedule)
    rates = [learning_rate(params, step, 100) for step in range(100)]
    assert np.all(np.diff(rates[:11]) > 0)
    assert max(rates) == rates[10] == 1.0
    last = {"constant": 1.0, "linear": 1 / 90, "cosine": 0.5 * (1 + np.cos(np.pi * 89 / 90))}
    assert rates[-1] == pytest.approx(last[schedule])


def test_the_curve_is_plain_json(tmp_path):
    _, result = run(tmp_path)
    record = result.epochs[0]
    assert type(record).from_json(json.loads(json.dumps(record.to_json()))) == record
    assert {"contrastive", "diversity"} <= set(record.parts)
    assert record.seconds <= time.monotonic()


def halve(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize("damaged", ["state.json", "last-4.safetensors", "missing"])
def test_from_a_damaged_state_it_goes_back_one_epoch_and_to_the_same_weights(damaged, tmp_path):
    whole, _ = run(tmp_path, family="mtm")
    if damaged == "missing":
        (tmp_path / "last-4.safetensors").unlink()
    else:
        halve(tmp_path / damaged)
    again, result = run(tmp_path, family="mtm")
    assert result.resumed_from == 3
    assert equal(whole, again)
    for path in tmp_path.glob("last-*.safetensors"):
        halve(path)
    fresh, result = run(tmp_path, family="mtm")
    assert result.resumed_from == 0
    assert equal(whole, fresh)
