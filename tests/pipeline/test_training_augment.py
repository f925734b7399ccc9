"""Augmented training windows: each part does what it says, and only training hears it."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal

sys.path.insert(0, str(Path(__file__).parent))
from model_worlds import batch_of, context_of, generator, params_of, world  # noqa: E402

from pipeline.models import MODELS, build  # noqa: E402
from pipeline.training import AugmentParams, FitParams  # noqa: E402
from pipeline.training.augment import augment, draw_chains, response  # noqa: E402
from pipeline.training.fit import fit  # noqa: E402
from pipeline.training.memory import Portions  # noqa: E402

TRAIN, VALIDATION = [world("s1"), world("s2", seed=1)], [world("s3", seed=2)]
CONTEXT = context_of([*TRAIN, *VALIDATION])
BATCH = batch_of("lfp2vec", TRAIN[0], CONTEXT, size=47)
NOTHING = AugmentParams(
    share=1.0, gain_db=0, tilt_db=0, lowpass_hz=None, line_uv=None, reference_uv=None, noise_uv=None
)
STRONG = AugmentParams(share=1.0, gain_db=12, line_uv=(50, 100), reference_uv=(20, 80))
HEARS_LFP = [
    (name, entry.objectives[0])
    for name, entry in MODELS.items()
    if "lfp" in entry.needs and entry.objectives[0] != "none"
]


def only(**changes):
    return NOTHING.model_copy(update=changes)


def heard(params, batch=BATCH, seed=1):
    """What becomes of the batch, ``(row, time)``."""
    return augment(batch, params, generator(seed)).lfp[..., 0].numpy().astype(float)


def silent():
    return replace(BATCH, lfp=torch.zeros_like(BATCH.lfp))


def test_without_any_part_the_batch_is_the_same_object_and_draws_nothing():
    rng = generator(3)
    assert augment(BATCH, NOTHING, rng) is BATCH
    assert torch.equal(rng.get_state(), generator(3).get_state())


def test_gain_is_one_ratio_per_row_within_its_limits():
    before, after = BATCH.lfp[..., 0].numpy(), heard(only(gain_db=6.0))
    ratio = (after * before).sum(1) / (before * before).sum(1)
    assert np.abs(after - ratio[:, None] * before).max() < 1e-4 * np.abs(before).max()
    decibels = 20 * np.log10(ratio)
    assert np.abs(decibels).max() <= 6.0001
    assert decibels.min() < -4
    assert decibels.max() > 4


def test_the_low_pass_is_scipys_butterworth_without_phase():
    params = only(lowpass_hz=(10.0, 60.0), lowpass_orders=(1, 6))
    impulse = torch.zeros_like(BATCH.lfp)
    impulse[:, 375] = 1
    found = heard(params, replace(BATCH, lfp=impulse))
    chains = draw_chains(BATCH, params, generator(1))
    assert 10 <= chains.corner_hz.min() < 20
    assert 40 < chains.corner_hz.max() <= 60
    assert set(chains.order.tolist()) == {1, 2, 3, 4, 5, 6}
    freqs = np.fft.rfftfreq(750, 1 / 250)
    for row, hz, order in zip(found, chains.corner_hz, chains.order, strict=True):
        b, a = signal.butter(int(order), float(hz), analog=True)
        _, expected = signal.freqs(b, a, freqs)
        assert np.abs(np.fft.rfft(row)) == pytest.approx(np.abs(expected), abs=1e-4)
        assert row[1:] == pytest.approx(row[1:][::-1], abs=1e-5)  # symmetric: no phase


def test_a_tilt_is_a_straight_line_over_octaves_through_ten_hertz():
    chains = draw_chains(BATCH, only(tilt_db=3.0), generator(1))
    octaves = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    found = 20 * np.log10(response(chains, torch.tensor(10 * 2**octaves).float()).numpy())
    assert found[:, 2] == pytest.approx(0, abs=1e-4)
    slope = found[:, 3]
    assert found == pytest.approx(slope[:, None] * octaves, abs=1e-4)
    assert slope.min() < -2
    assert 2 < slope.max() <= 3


def test_mains_are_sines_at_multiples_of_50_or_60_hz_below_nyquist():
    found = heard(only(line_uv=(4.0, 8.0), harmonics=3), silent())
    t = np.arange(750) / 250
    seen = set()
    for row in found:
        fits = {}
        for mains in (50.0, 60.0):
            waves = [f(2 * np.pi * k * mains * t) for k in (1, 2) for f in (np.sin, np.cos)]
            coef, *_ = np.linalg.lstsq(np.stack(waves, 1), row, rcond=None)
            fits[mains] = np.abs(row - np.stack(waves, 1) @ coef).max(), np.hypot(*coef[:2])
        mains = min(fits, key=fits.get)
        left, amplitude = fits[mains]
        assert left < 0.01
        assert 4 <= amplitude <= 8
        seen.add(mains)
    assert seen == {50.0, 60.0}


def test_the_reference_is_the_same_on_all_channels_of_a_window_and_of_no_other():
    found = heard(only(reference_uv=(5.0, 20.0), reference_hz=(5.0, 20.0)), silent())
    window = BATCH.window.numpy()
    assert len(set(window)) < len(window)
    together = np.corrcoef(found)
    same = window[:, None] == window
    assert together[same].min() > 0.9999
    assert np.abs(together[~same]).max() < 0.7
    assert ((found.std(1) > 3) & (found.std(1) < 30)).all()
    spectrum = np.abs(np.fft.rfft(found)) ** 2
    assert spectrum[:, 180:].sum() < 1e-6 * spectrum.sum()  # above 60 Hz


def test_white_noise_is_flat_its_own_on_each_channel_and_as_large_as_asked():
    found = heard(only(noise_uv=(2.0, 2.0)), silent())
    assert found.std(1) == pytest.approx(2.0, rel=0.12)
    assert found.std() == pytest.approx(2.0, rel=0.01)
    off = np.corrcoef(found)[~np.eye(len(found), dtype=bool)]
    assert np.abs(off).max() < 0.2
    power = (np.abs(np.fft.rfft(found)) ** 2).mean(0)
    assert power[1:125].mean() == pytest.approx(power[250:].mean(), rel=0.1)


def test_a_share_of_the_windows_is_left_alone():
    found = heard(only(gain_db=6.0, share=0.3))
    kept = np.isclose(found, BATCH.lfp[..., 0].numpy(), atol=1e-3).all(1)
    assert 0.5 < kept.mean() < 0.9


def test_processes_that_read_parts_of_a_batch_change_it_like_one():
    whole = augment(BATCH, STRONG, generator(1)).lfp
    parts = []
    for first, last in ((0, 17), (17, 47)):
        part = replace(BATCH, lfp=BATCH.lfp[first:last], first=first)
        parts.append(augment(part, STRONG, generator(1)).lfp)
    assert torch.allclose(torch.cat(parts), whole, atol=1e-4)
    assert not torch.allclose(augment(BATCH, STRONG, generator(2)).lfp, whole, atol=1.0)


def test_limits_that_fall_are_refused():
    with pytest.raises(ValueError, match="the least and the most"):
        AugmentParams(lowpass_hz=(60.0, 10.0))
    with pytest.raises(ValueError, match="the least and the most"):
        AugmentParams(line_uv=(0.0, 10.0))


def test_stored_digests_keep_their_meaning():
    """The digest of the defaults before there was any augmentation."""
    assert FitParams().digest == "93bbf84e03a39bb412eb8af8ccb2dd4ed224b032c20f32224f1a08603f005361"
    assert "augment" not in FitParams().to_json()
    asked = FitParams(augment=AugmentParams())
    assert asked.digest != FitParams().digest
    assert FitParams.from_json(asked.to_json()) == asked


def trained(folder, family="lfp2vec", objective="ssl", *, augment=STRONG, **options):
    params = FitParams(
        objective=objective, epochs=options.pop("epochs", 2), batch_size=24, lr=1e-3,
        max_steps_per_epoch=2, select="last", augment=augment,
    )  # fmt: skip
    params = params.model_copy(update=options.pop("changes", {}))
    model = build(params_of(family), CONTEXT, seed=1)
    return model, fit(model, TRAIN, VALIDATION, params, seed=5, folder=folder, **options)


def flat(model):
    return torch.cat([v.float().flatten() for v in model.state_dict().values()])


def stop(record):
    raise InterruptedError


@pytest.mark.parametrize(("family", "objective"), HEARS_LFP)
def test_a_resumed_augmented_training_ends_in_the_same_bits(family, objective, tmp_path):
    whole, _ = trained(tmp_path / "whole", family, objective)
    with pytest.raises(InterruptedError):
        trained(tmp_path / "parts", family, objective, on_epoch=stop)
    resumed, result = trained(tmp_path / "parts", family, objective)
    plain, _ = trained(tmp_path / "plain", family, objective, augment=None)
    assert result.resumed_from == 1
    assert torch.equal(flat(whole), flat(resumed))
    assert not torch.equal(flat(whole), flat(plain))


def test_validation_and_inference_hear_the_windows_as_they_are(tmp_path):
    from pipeline.training.inference import predict_windows

    still = {"lr": 1e-12}
    found = {}
    for name, augmented in (("plain", None), ("augmented", STRONG)):
        model, result = trained(
            tmp_path / name, objective="finetune", augment=augmented, changes=still
        )
        outputs = predict_windows(model, VALIDATION[0]).outputs
        found[name] = result.epochs[0].train_loss, result.epochs[0].validation["loss"], outputs
    (loss, validation, said), (other, same, again) = found["plain"], found["augmented"]
    assert abs(loss - other) > 1e-3
    assert validation == pytest.approx(same, abs=1e-6)
    assert np.allclose(said, again, atol=1e-6)


def test_bins_are_scaled_by_what_the_steps_will_hear(tmp_path):
    loud = only(noise_uv=(300.0, 300.0), share=0.5)
    sd = {}
    for name, augmented in (("plain", None), ("loud", loud)):
        sd[name] = trained(tmp_path / name, "spectrogram_mlp", "finetune", augment=augmented)[0].sd
    # half of the windows are 30 dB louder; from 48 Hz on there is no rhythm of any region
    assert (sd["loud"] > 2 * sd["plain"])[24:].all()


def test_where_memory_runs_out_the_pieces_are_changed_as_the_batch_would_be(tmp_path):
    whole, _ = trained(tmp_path / "whole")
    pieces, result = trained(tmp_path / "pieces", portions=Portions("cpu", rows=5))
    start = flat(build(params_of("lfp2vec"), CONTEXT, seed=1))
    assert result.epochs[0].rows_at_once == 5
    assert (flat(whole) - flat(pieces)).norm() < 1e-3 * (flat(whole) - start).norm()


def test_models_that_take_no_steps_or_hear_no_lfp_refuse_it(tmp_path):
    for family, params in (
        ("mtm", FitParams(objective="ssl", augment=STRONG)),
        ("band_power", FitParams(objective="none", epochs=0, augment=STRONG)),
    ):
        with pytest.raises(ValueError, match="augment changes the LFP of training steps"):
            fit(build(params_of(family), CONTEXT, seed=0), TRAIN, [], params, seed=0,
                folder=tmp_path)  # fmt: skip
