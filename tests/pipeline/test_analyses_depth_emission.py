"""Adapting a decoder to a subject: against closed forms and subjects whose offsets are known."""

import numpy as np
import pytest

from pipeline.analyses.depth_emission import (
    Emission,
    _offsets,
    contrasts,
    decode_adapted,
    learn_emission,
)
from pipeline.analyses.depth_prior import DepthPrior, LabelledProbe
from pipeline.analyses.learned import Learned, decode_learned, learn_postprocess
from pipeline.analyses.postprocess import DecoderParams, EmissionParams, PostprocessParams
from pipeline.analyses.scored import ScoredProbe

CLASSES = ("CA1", "DG", "VIS")
DEPTH = np.arange(60) * 40.0
SHANK = np.zeros(60, np.int64)
LAYERS = np.repeat([1, 0, 2], 20)
MEANS = np.array([[2.0, -1.0, -1.0], [-1.0, 2.0, -1.0], [-1.0, -1.0, 2.0]])


def prior_of():
    rates = ((-0.002, 0.0005, 0.0015), (0.0015, -0.002, 0.0005), (0.0005, 0.0005, -0.001))
    flat = (1 / 3,) * 3
    return DepthPrior(classes=CLASSES, states=CLASSES, stages=4, start=flat, share=flat,
                      rates=rates, n_probes=1, n_labels=1)  # fmt: skip


def subject_of(rng, name, *, between=1.0, within=0.5, memory=0.0):
    """A recording whose regions are all a little off, each as a whole."""
    level = MEANS + between * rng.normal(size=(3, 3))
    noise = rng.normal(size=(60, 3))
    for i in range(1, 60):
        noise[i] = memory * noise[i - 1] + np.sqrt(1 - memory**2) * noise[i]
    log = level[LAYERS] + within * noise
    log -= np.log(np.exp(log).sum(axis=1, keepdims=True))
    return ScoredProbe(log, [CLASSES[k] for k in LAYERS], DEPTH, SHANK, name)


def test_contrasts_keep_distances_and_forget_what_all_classes_share():
    log = np.random.default_rng(0).normal(size=(5, 4))
    centred = log - log.mean(axis=1, keepdims=True)
    x = contrasts(log)
    assert x @ x.T == pytest.approx(centred @ centred.T)
    assert contrasts(log + 3.0) == pytest.approx(x)


def test_means_and_spreads_are_those_subjects_were_drawn_with():
    rng = np.random.default_rng(1)
    made = [subject_of(rng, f"m{i}", between=0.7, within=0.4) for i in range(150)]
    found = learn_emission(made, prior_of(), EmissionParams(pooled_subjects=0.1))
    assert np.array(found.mean) == pytest.approx(contrasts(MEANS), abs=0.2)
    for k in range(3):
        assert np.array(found.within[k]) == pytest.approx(0.16 * np.eye(2), abs=0.02)
        assert np.array(found.between[k]) == pytest.approx(0.5 * np.eye(2), abs=0.15)
    assert found.n_subjects == 150


@pytest.mark.parametrize("memory", [0.0, 0.6])
def test_channels_repeat_each_other_almost_as_an_autoregressive_chain_does(memory):
    rng = np.random.default_rng(2)
    made = [subject_of(rng, f"m{i}", memory=memory) for i in range(80)]
    closed_form = (1 + memory) / (1 - memory)
    assert 0.5 * closed_form < learn_emission(made, prior_of()).repeats < 1.1 * closed_form


def test_an_offset_is_the_weighted_mean_of_what_is_known_and_what_is_heard():
    emission = Emission(states=("A",), mean=((1.0,),), within=(((0.5,),),), between=(((2.0,),),),
                        repeats=4.0, n_subjects=3)  # fmt: skip
    mean, spread = _offsets(np.full((20, 1), 3.0), np.ones((20, 1)), emission)
    sure = 1 / 2.0 + 20 / 4.0 / 0.5
    assert spread.item() == pytest.approx(1 / sure)
    assert mean.item() == pytest.approx((1.0 / 2.0 + 3.0 * 20 / 4.0 / 0.5) / sure)


def test_adapting_to_a_subject_finds_regions_that_are_mistaken_as_a_whole():
    rng = np.random.default_rng(3)
    emission = learn_emission(
        [subject_of(rng, f"m{i}", between=1.2) for i in range(12)], prior_of()
    )
    right = {0: 0, 8: 0}
    for i in range(25):
        one = subject_of(rng, f"t{i}", between=1.2)
        for steps in right:
            found = decode_adapted(one.log_probs, DEPTH, SHANK, prior_of(), emission,
                                   EmissionParams(steps=steps))  # fmt: skip
            right[steps] += (found.argmax(axis=1) == LAYERS).mean() / 25
    assert right[8] > right[0] + 0.03


def test_bad_channels_and_channels_without_depth_are_answered_too():
    rng = np.random.default_rng(4)
    emission = learn_emission([subject_of(rng, f"m{i}") for i in range(6)], prior_of())
    one = subject_of(rng, "t", between=0.3)
    logs, depth = one.log_probs.copy(), DEPTH.copy()
    logs[30], depth[45] = np.nan, np.nan
    found = decode_adapted(logs, depth, SHANK, prior_of(), emission)
    assert np.isfinite(found).all()
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert found[30].argmax() == LAYERS[30]
    assert found[45].argmax() == LAYERS[45]


def learned_from(made, validation, **params):
    probes = [LabelledProbe(one.labels, DEPTH, SHANK) for one in made]
    asked = PostprocessParams(spatial="decoder", **params)
    return learn_postprocess(probes, validation, CLASSES, asked, heard=made)


def test_what_was_learned_is_plain_json_and_answers_the_same_afterwards():
    rng = np.random.default_rng(5)
    made = [subject_of(rng, f"m{i}") for i in range(4)]
    held, one = [subject_of(rng, "v")], subject_of(rng, "t")
    adapted = DecoderParams(emission="adapted")
    learned = learned_from(made, held, decoder=adapted, calibrate="validation")
    again = Learned.from_json(learned.to_json())
    assert again == learned
    assert (learned.n_training, learned.n_validation) == (240, 60)
    assert learned.decoder.final_temperature != 1
    first, second = (decode_learned(one.log_probs, DEPTH, SHANK, x) for x in (learned, again))
    assert np.array_equal(first, second)


def test_one_training_subject_is_too_few_to_adapt_and_the_answer_says_so():
    rng = np.random.default_rng(6)
    learned = learned_from([subject_of(rng, "m")], [], decoder=DecoderParams(emission="adapted"))
    assert learned.emission is None
    assert "not adapted" in learned.note


def test_a_temperature_is_fitted_where_nothing_is_decoded():
    rng = np.random.default_rng(7)
    made = [subject_of(rng, "m")]
    held = [subject_of(rng, f"v{i}", between=0, within=2) for i in range(3)]
    sharp = [ScoredProbe(5 * h.log_probs - np.log(np.exp(5 * h.log_probs).sum(1, keepdims=True)),
                         h.labels, DEPTH, SHANK, h.subject) for h in held]  # fmt: skip
    probes = [LabelledProbe(one.labels, DEPTH, SHANK) for one in made]
    asked = PostprocessParams(calibrate="validation")
    mild = learn_postprocess(probes, held, CLASSES, asked).temperature
    assert learn_postprocess(probes, sharp, CLASSES, asked).temperature == pytest.approx(
        5 * mild, rel=1e-3
    )
