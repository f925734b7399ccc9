"""Baselines against SciPy and scikit-learn, and the controls against what they must not see."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parent))
from model_worlds import batch_of, context_of, params_of, world  # noqa: E402

from pipeline.models import EmbedParams, build  # noqa: E402
from pipeline.models.band_power import band_features, welch  # noqa: E402
from pipeline.training.inference import predict_windows  # noqa: E402

WORLD = world()
CONTEXT = context_of([WORLD])


@pytest.mark.parametrize(("samples", "segment"), [(3750, 1024), (600, 1024), (3000, 501)])
def test_welch_equals_scipy(samples, segment):
    x = np.random.default_rng(0).normal(size=(2, samples)).cumsum(-1)
    expected_f, expected = signal.welch(x, 1250.0, nperseg=min(segment, samples))
    found_f, found = welch(torch.from_numpy(x), 1250.0, segment=segment)
    assert np.allclose(found_f, expected_f)
    assert np.allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("highest_hz", [None, 100.0])
def test_the_thirteen_features_equal_a_direct_welch(highest_hz):
    x, rate = np.random.default_rng(1).normal(size=(3, 3750)).cumsum(-1), 1250.0
    hz, power = signal.welch(x, rate, nperseg=1024)
    top = rate / 2 if highest_hz is None else highest_hz
    rms = np.sqrt(np.mean(x**2, axis=1))
    expected = [rms, rms**2, power[:, hz <= top].sum(1) * (hz[1] - hz[0])]
    for low, high in [(0, 4), (4, 8), (8, 12), (12, 30), (30, top)]:
        inside = (hz >= low) & (hz < high) if high < top else (hz >= low) & (hz <= top)
        band = power[:, inside]
        expected += [band.sum(1) * (hz[1] - hz[0]), np.sqrt(np.mean(band**2, axis=1))]
    found = band_features(torch.from_numpy(x), rate, segment=1024, highest_hz=highest_hz)
    assert np.allclose(found, np.stack(expected, axis=1), rtol=1e-6)


def test_a_sine_has_its_power_in_its_band_and_thirteen_features():
    t = torch.arange(3750) / 1250
    found = band_features(100 * torch.sin(2 * torch.pi * 6 * t)[None], 1250.0, segment=1024)[0]
    assert found.shape == (13,)
    assert float(found[0]) == pytest.approx(100 / 2**0.5, rel=1e-3)
    powers = found[3::2]
    assert int(powers.argmax()) == 1
    assert float(powers.sum()) == pytest.approx(5000, rel=0.05)
    capped = band_features(torch.randn(1, 3750), 1250.0, segment=1024, highest_hz=100.0)[0]
    assert capped[2] < 0.25 * capped[1]


def test_prediction_equals_scikit_learns_with_a_class_missing_from_training():
    classes = ("CA1", "CA3", "VISp")
    context = CONTEXT.model_copy(update={"classes": classes})
    model = build(params_of("external"), context, seed=0)
    batch = batch_of("external", WORLD, context, size=100)
    model.prepare([batch])
    x = batch.features[:, 0].numpy().astype(float)
    y = batch.region[:, 0].numpy()
    z = (x - x.mean(0)) / x.std(0)
    expected = LogisticRegression(max_iter=1000).fit(z, y).predict_proba(z)
    found = model.predict(batch)[:, 0].detach().numpy()
    assert np.allclose(found[:, [0, 2]], expected, atol=1e-3)
    assert found[:, 1].max() < 1e-6


@pytest.mark.parametrize("family", ["band_power", "position_only", "amplitude_only", "external"])
def test_it_finds_regions_that_differ_in_what_it_sees(family):
    model = build(params_of(family), CONTEXT, seed=0)
    model.prepare([batch_of(family, WORLD, CONTEXT, size=100)])
    found = predict_windows(model, world("s9", seed=9))
    chosen = np.array(found.classes)[found.outputs.argmax(1)]
    assert (chosen == WORLD.channels["region"].to_numpy()[found.channel]).mean() > 0.95


def test_position_hears_no_signal_and_does_not_know_the_labelled_span():
    model = build(params_of("position_only"), CONTEXT, seed=0)
    batch = batch_of("position_only", WORLD, CONTEXT, size=100)
    model.prepare([batch])
    silent = replace(WORLD, lfp=0 * WORLD.lfp)
    some = replace(silent, channels=WORLD.channels.assign(region=["CA1"] * 2 + [None] * 4))
    assert np.array_equal(
        predict_windows(model, WORLD).outputs, predict_windows(model, some).outputs
    )
    millimetres = model.embed(batch, EmbedParams())[:, 0, 0]
    assert torch.allclose(millimetres, batch.position[:, 0, 0] / 1000)


def test_atlas_coordinates_count_only_where_the_probe_has_none():
    placed = WORLD.channels.assign(x=5000.0)
    both = replace(WORLD, channels=placed)
    atlas = replace(WORLD, channels=placed.drop(columns=["depth_um", "rel_x"]))
    for windowset, used in ((both, [1, 1, 1, 0, 0, 0]), (atlas, [0, 0, 0, 1, 1, 1])):
        model = build(params_of("position_only"), CONTEXT, seed=0)
        model.prepare([batch_of("position_only", windowset, CONTEXT)])
        assert model.use.int().tolist() == used


def test_vectors_made_elsewhere_pass_through_unchanged():
    model = build(params_of("external"), CONTEXT, seed=0)
    batch = batch_of("external", WORLD, CONTEXT)
    model.prepare([batch])
    assert torch.equal(model.embed(batch, EmbedParams()), batch.features)
    with pytest.raises(ValueError, match="needs windows with features"):
        build(params_of("external"), CONTEXT.model_copy(update={"n_features": 0}), seed=0)
