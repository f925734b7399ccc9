"""The spike autoencoder: co-smoothing beats the null on a population that shares a latent."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from model_worlds import batch_of, context_of, generator, params_of, world  # noqa: E402

from pipeline.models import build  # noqa: E402
from pipeline.training import FitParams  # noqa: E402
from pipeline.training.fit import fit  # noqa: E402
from pipeline.training.inference import predict_windows  # noqa: E402

WHOLE = world(windows=96, channels=1, rate=20.0, units=20)
NAMES = ("unit", "time", "region", "within_region", "after")


def part(first, last):
    arrays = ("start_s", "valid", "lfp", "spikes", "features")
    return replace(WHOLE, **{name: getattr(WHOLE, name)[first:last] for name in arrays})


TRAIN, VALIDATION, TEST = part(0, 64), part(64, 80), part(80, 96)
CONTEXT = context_of([WHOLE])


def bits_per_spike(log_rate, counts):
    """Pooled over units; the null knows each unit's mean over the scored windows."""
    null = np.broadcast_to(counts.mean((0, 1)), counts.shape)
    gain = (counts * log_rate - np.exp(log_rate)).sum() - (counts * np.log(null) - null).sum()
    return gain / np.log(2) / counts.sum()


def test_held_out_units_are_predicted_better_than_by_their_mean(tmp_path):
    model = build(params_of("mtm", schemes=("unit", "time")), CONTEXT, seed=0)
    params = FitParams(objective="ssl", epochs=25, batch_size=16, lr=3e-3, weight_decay=0.01)
    fit(model, [TRAIN], [VALIDATION], params, seed=0, folder=tmp_path)
    counts = TEST.spikes.astype(float)
    found = bits_per_spike(predict_windows(model, TEST).outputs, counts)
    assert found > 0.1
    shuffled = replace(TEST, spikes=np.random.default_rng(0).permuted(TEST.spikes, axis=1))
    assert bits_per_spike(predict_windows(model, shuffled).outputs, shuffled.spikes) < 0.05


@pytest.mark.parametrize("shared", [0.0, 1.0])
def test_it_earns_most_of_what_the_true_rates_earn_and_never_more(tmp_path, shared):
    rng = np.random.default_rng(5)
    latent = np.cumsum(rng.normal(size=(96, 50)), axis=1)
    latent = (latent - latent.mean(1, keepdims=True)) / latent.std(1, keepdims=True)
    log_rate = -0.3 + shared * latent[..., None] * np.where(np.arange(20) % 2, 1.0, -1.0)
    whole = replace(WHOLE, spikes=rng.poisson(np.exp(log_rate)).astype(np.uint16))
    train, test = (
        replace(whole, spikes=whole.spikes[i], **rows(i)) for i in (slice(64), slice(80, 96))
    )
    model = build(params_of("mtm", schemes=("unit",)), CONTEXT, seed=0)
    params = FitParams(objective="ssl", epochs=25, batch_size=16, lr=3e-3)
    fit(model, [train], [], params, seed=0, folder=tmp_path)
    counts = test.spikes.astype(float)
    found = bits_per_spike(predict_windows(model, test).outputs, counts)
    true = bits_per_spike(log_rate[80:96], counts)
    assert found < true + 0.01
    assert found > 0.6 * true - 0.05
    assert true == pytest.approx(information(np.exp(log_rate[80:96])), abs=0.02)


def information(rate):
    """Bits per spike that knowing the rates is worth, in expectation."""
    return (rate * np.log2(rate / rate.mean((0, 1)))).sum() / rate.sum()


def rows(index):
    return {name: getattr(WHOLE, name)[index] for name in ("start_s", "valid", "lfp", "features")}


def test_before_any_step_it_is_the_null_model():
    model = build(params_of("mtm"), CONTEXT, seed=0)
    model.prepare([batch_of("mtm", TRAIN, CONTEXT, size=64)])
    mean = model.read_out.maps[next(iter(model.read_out.maps))].bias.exp()
    assert np.allclose(mean.detach(), TRAIN.spikes.mean((0, 1)), rtol=0.01)


def test_a_unit_never_sees_its_own_spikes_when_it_is_predicted():
    model = build(params_of("mtm"), CONTEXT, seed=0).eval()
    batch = batch_of("mtm", TEST, CONTEXT, size=4)
    louder = batch.spikes.clone()
    louder[..., 7] += 5
    with torch.no_grad():
        before = model.predict(batch)
        after = model.predict(replace(batch, spikes=louder))
    assert torch.allclose(before[..., 7], after[..., 7], atol=1e-6)
    assert not torch.allclose(before[..., 6], after[..., 6])


@pytest.mark.parametrize("scheme", NAMES)
def test_each_scheme_hides_what_it_says_and_leaves_the_callers_spikes_alone(scheme):
    model = build(params_of("mtm", schemes=(scheme,)), CONTEXT, seed=0)
    batch = batch_of("mtm", TEST, CONTEXT, size=4)
    kept = batch.spikes.clone()
    assert set(model.loss(batch, generator())) == {"total", scheme}
    assert torch.equal(batch.spikes, kept)
    target = model.draw_mask(batch, scheme, generator()).target.view(4, 50, 20)
    if scheme in ("unit", "region", "within_region"):
        assert (target.all(1) == target.any(1)).all()
    else:
        assert (target.all(2) == target.any(2)).all()
    if scheme == "region":
        assert (target[:, 0].sum(1) == 10).all()
    if scheme == "after":
        assert target[:, -10:].all()
        assert not target[:, :-10].any()


def test_a_session_it_was_not_built_for_is_refused_by_name():
    model = build(params_of("mtm"), CONTEXT, seed=0)
    with pytest.raises(KeyError, match="no read-in for session 'new'"):
        predict_windows(model, replace(TEST, session="new"))
