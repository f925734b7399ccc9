"""Whether a channel sounds like any region of training."""

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.novelty import (
    LabelledSpectra,
    NoveltyParams,
    NoveltyReference,
    chain_odds,
    learn_novelty,
    novelty_quantiles,
    refuse_new,
)
from pipeline.analyses.spectra import Spectra

FREQS = np.arange(0, 313.0)
PEAK_HZ = {"CA1": 140.0, "DG": 85.0, "LP": 12.0, "VISp": 45.0}
KNOWN = ("CA1", "LP", "VISp")
PER_REGION = 10


def record(subject, regions=tuple(PEAK_HZ), *, gain_db=None, labelled=KNOWN, seed=0):
    """One probe through these regions: 1/f, and a peak of each region that differs by subject."""
    rng = np.random.default_rng([seed, subject])
    gain = rng.normal(0, 3) if gain_db is None else gain_db
    height = {name: 4 * rng.lognormal(0, 0.2) for name in PEAK_HZ}
    curves, names = [], []
    for name in regions:
        peak = height[name] * np.exp(
            -0.5 * (np.log(np.maximum(FREQS, 1) / PEAK_HZ[name]) / 0.3) ** 2
        )
        level = gain + peak - 15 * np.log10(np.maximum(FREQS, 0.5))
        curves.append(level + rng.normal(0, 0.7, (PER_REGION, len(FREQS))))
        names += [name] * PER_REGION
    power = 10 ** (np.concatenate(curves) / 10)
    frame = pd.DataFrame({"probe": "A", "depth_um": 40.0 * np.arange(len(names)), "true": names})
    frame["region"] = frame["true"].where(frame["true"].isin(labelled), None)
    return LabelledSpectra(f"s{subject}", Spectra(FREQS, power, np.full(len(power), 10)), frame)


@pytest.fixture(scope="module")
def training():
    return [record(subject) for subject in range(12)]


@pytest.fixture(scope="module")
def reference(training):
    return learn_novelty(training, KNOWN)


def asked(reference, recordings):
    """Novelty quantile and true region of every channel."""
    parts = [novelty_quantiles(r.spectra, r.channels, reference) for r in recordings]
    names = [r.channels["true"].to_numpy() for r in recordings]
    return np.concatenate(parts), np.concatenate(names)


def test_a_region_that_training_never_had_is_told_from_those_it_had(reference):
    quantile, true = asked(reference, [record(subject) for subject in range(100, 106)])
    assert (quantile[true == "DG"] > 0.95).mean() > 0.9
    assert (quantile[true != "DG"] <= 0.95).mean() > 0.88


def test_where_nothing_is_new_the_stated_share_is_kept(reference):
    quantile, _ = asked(reference, [record(s, KNOWN) for s in range(200, 230)])
    for share in (0.8, 0.9, 0.95):
        assert (quantile <= share).mean() == pytest.approx(share, abs=0.08)


def test_the_withheld_region_leaves_no_trace_in_what_is_learned(training, reference):
    rng = np.random.default_rng(0)
    changed = []
    for r in training:
        power = r.spectra.power.copy()
        other = r.channels["region"].isna().to_numpy()
        power[other] *= rng.uniform(0.01, 100, (other.sum(), 1))
        changed.append(LabelledSpectra(r.subject, Spectra(FREQS, power, r.spectra.n_windows),
                                       r.channels))  # fmt: skip
    assert learn_novelty(changed, KNOWN).to_json() == reference.to_json()


def test_one_odd_channel_is_less_new_than_the_same_amid_its_like():
    """Ten channels off by as much as an unknown region are one; one of them may be a border."""
    channels = pd.DataFrame({"probe": "A", "depth_um": 40.0 * np.arange(30)})
    near, far = np.array([30.0, 90.0]), np.array([70.0, 70.0])
    alone, stretch = np.tile(near, (30, 1)), np.tile(near, (30, 1))
    alone[15], stretch[10:20] = far, far
    odds = {
        name: chain_odds(distances, channels, 45.0, NoveltyParams())[15]
        for name, distances in {"alone": alone, "stretch": stretch}.items()
    }
    assert odds["alone"] < 2 < odds["stretch"]


def test_a_subject_recorded_louder_is_not_new(reference):
    quantile = {
        gain_db: asked(reference, [record(s, KNOWN, gain_db=gain_db) for s in range(400, 410)])[0]
        for gain_db in (0.0, 6.0, 60.0)
    }
    assert (quantile[6.0] <= 0.95).mean() > (quantile[0.0] <= 0.95).mean() - 0.1
    assert (quantile[60.0] <= 0.95).mean() < 0.1


def test_channels_of_unknown_depth_are_asked_one_by_one(reference):
    probe = record(302)
    nowhere = probe.channels.assign(depth_um=np.nan)
    quantile = novelty_quantiles(probe.spectra, nowhere, reference)
    mixed = np.random.default_rng(0).permutation(len(nowhere))
    power = Spectra(FREQS, probe.spectra.power[mixed], probe.spectra.n_windows)
    again = novelty_quantiles(power, nowhere.iloc[mixed], reference)
    assert again == pytest.approx(quantile[mixed])
    assert (quantile[(probe.channels["true"] == "DG").to_numpy()] > 0.95).mean() > 0.5


def test_a_reference_survives_json(reference):
    back = NoveltyReference.from_json(json.loads(json.dumps(reference.to_json())))
    probe = record(303)
    same = novelty_quantiles(probe.spectra, probe.channels, reference)
    assert novelty_quantiles(probe.spectra, probe.channels, back) == pytest.approx(same, abs=0.02)
    assert back.classes == KNOWN
    assert back.n_subjects == 12


def test_a_channel_without_power_or_band_is_not_called_new(reference):
    probe = record(304)
    probe.spectra.power[3] = 0
    quantile = novelty_quantiles(probe.spectra, probe.channels, reference)
    assert np.isnan(quantile[3])
    assert np.isfinite(np.delete(quantile, 3)).all()
    low = Spectra(FREQS[:100], probe.spectra.power[:, :100], probe.spectra.n_windows)
    assert np.isnan(novelty_quantiles(low, probe.channels, reference)).all()


def test_three_subjects_are_too_few(training):
    with pytest.raises(ValueError, match="needs labelled channels of 4 subjects, there are 3"):
        learn_novelty(training[:3], KNOWN)


def test_a_region_of_one_subject_only_does_not_count_as_new_when_it_is_left_out(training):
    once = record(50, ("CA1", "LP", "VISp", "DG"), labelled=tuple(PEAK_HZ))
    with_it = learn_novelty([*training, once], tuple(PEAK_HZ))
    assert with_it.classes == tuple(sorted(PEAK_HZ))
    without = learn_novelty([*training, record(50)], KNOWN)
    assert np.median(with_it.null) == pytest.approx(np.median(without.null), abs=1.0)


def answers(*reasons):
    frame = pd.DataFrame({"row": np.arange(len(reasons)), "region": "CA1"})
    frame["reason"] = pd.Series(reasons, dtype=object)
    return frame


def test_only_answers_that_stood_are_refused_and_the_reason_is_said():
    out = refuse_new(answers(None, "2 usable windows", None), np.array([0.99, 0.99, 0.9]), 0.95)
    assert out["region"].tolist() == ["unknown", "CA1", "CA1"]
    assert out["reason"][0] == "sounds less like any region of training than 99% of its channels"
    assert out["reason"][1] == "2 usable windows"
    assert out["reason"][2] is None


@pytest.mark.parametrize("quantile", [1.0, np.nan])
def test_asked_to_keep_all_it_refuses_none(quantile):
    out = refuse_new(answers(None), np.array([quantile]), 1.0)
    assert out["region"].tolist() == ["CA1"]


def test_parameters_that_were_stored_before_keep_their_digest():
    from pipeline.analyses.postprocess import PostprocessParams

    assert "known_kept" not in PostprocessParams().to_json()
    assert PostprocessParams(known_kept=0.95).to_json()["known_kept"] == 0.95


def test_novelty_is_compared_only_as_far_as_every_training_spectrum_reaches(training):
    short = record(60)
    cut = Spectra(FREQS[:151], short.spectra.power[:, :151], short.spectra.n_windows)
    mixed = [*training, LabelledSpectra("s60", cut, short.channels)]
    assert learn_novelty(mixed, KNOWN, NoveltyParams()).freqs[-1] == pytest.approx(150)
