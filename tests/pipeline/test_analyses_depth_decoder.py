"""Decoding a shank as a whole, against every path there is and chains whose rates are known."""

import json
from itertools import product

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import gamma

from pipeline.analyses.depth_chain import Moves, likeliest_path, posterior
from pipeline.analyses.depth_decoder import (
    DecoderParams,
    ScoredProbe,
    among_classes,
    decode_path,
    decode_probe,
    fit_decoder,
)
from pipeline.analyses.depth_prior import (
    DepthPrior,
    LabelledProbe,
    TransitionParams,
    learn_transitions,
)
from pipeline.analyses.depth_rates import exponential
from pipeline.evaluation.calibration import fit_temperature

CLASSES = ("CA1", "DG", "VIS")
RATES = np.array([[-0.006, 0.004, 0.002], [0.001, -0.003, 0.002], [0.0005, 0.0005, -0.001]])


def prior_of(rates=RATES, states=CLASSES, share=None, start=None, stages=1):
    flat = (1 / len(states),) * len(states)
    return DepthPrior(
        classes=states, states=states, stages=stages, start=start or flat, share=share or flat,
        rates=tuple(map(tuple, rates.tolist())), n_probes=1, n_labels=1,
    )  # fmt: skip


def each(matrices):
    return Moves(matrices, np.arange(len(matrices)))


def one_shank(n):
    return np.zeros(n, np.int64)


def walk(rng, rates, depth_um, state):
    """States at depths of a chain that jumps at exponential distances."""
    at, out = float(depth_um[0]), []
    leaves = at + rng.exponential(-1 / rates[state, state])
    for depth in depth_um:
        while leaves < depth:
            odds = np.clip(rates[state], 0, None)
            state = int(rng.choice(len(rates), p=odds / odds.sum()))
            leaves += rng.exponential(-1 / rates[state, state])
        out.append(state)
    return np.array(out)


def emitted(rng, states, strength, n_classes):
    """Log probabilities, calibrated, of a model that sees states through Gaussian noise."""
    x = strength * np.eye(n_classes)[states] + rng.normal(size=(len(states), n_classes))
    log = strength * x
    return log - np.log(np.exp(log).sum(axis=1, keepdims=True))


def probes_of(rng, n, *, spacing=20.0, channels=100, strength=1.0):
    depth = spacing * np.arange(channels)
    for _ in range(n):
        states = walk(rng, RATES, depth, int(rng.integers(3)))
        yield states, depth, emitted(rng, states, strength, 3)


@pytest.mark.parametrize("seed", range(3))
def test_posterior_and_path_equal_the_sum_and_maximum_over_all_paths(seed):
    rng = np.random.default_rng(seed)
    start, moves = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), size=(4, 3))
    heard = rng.normal(scale=2, size=(5, 3))
    weights = {
        path: start[path[0]]
        * np.prod([moves[i][path[i], path[i + 1]] for i in range(4)])
        * np.exp(sum(heard[i][s] for i, s in enumerate(path)))
        for path in product(range(3), repeat=5)
    }
    total = np.zeros((5, 3))
    for path, weight in weights.items():
        total[np.arange(5), path] += weight
    assert posterior(start, each(moves), heard) == pytest.approx(
        total / total.sum(1, keepdims=True)
    )
    assert tuple(likeliest_path(start, each(moves), heard)) == max(weights, key=weights.get)


def test_a_long_shank_of_strong_evidence_neither_under_nor_overflows():
    heard = np.tile([[-900.0, 0.0, 900.0]], (2000, 1))
    moves = Moves(expm(RATES * 20)[None], np.zeros(1999, np.int64))
    assert posterior(np.full(3, 1 / 3), moves, heard)[:, 2] == pytest.approx(1.0)


def test_learned_rates_are_those_of_the_chains_at_uneven_spacing_and_across_gaps():
    rng = np.random.default_rng(0)
    probes = []
    for _ in range(150):
        depth = np.cumsum(rng.choice([10.0, 25.0, 40.0, 120.0], size=120))
        states = walk(rng, RATES, depth, int(rng.integers(3)))
        labels = [CLASSES[s] if rng.random() > 0.3 else None for s in states]
        probes.append(LabelledProbe(labels, depth, one_shank(120)))
    prior = learn_transitions(probes, CLASSES, TransitionParams(unknown=False, stages=1))
    assert np.array(prior.rates) == pytest.approx(RATES, rel=0.15, abs=1e-4)
    assert np.allclose(np.sum(prior.rates, axis=1), 0)


def test_the_exponential_is_scipys_and_a_path_through_many_stages_keeps_its_precision():
    rates = np.array([[-0.03, 0.01, 0.02], [0.004, -0.004, 0.0], [0.0, 0.3, -0.3]])
    for gap in (1, 81, 900):
        assert exponential(rates, gap) == pytest.approx(expm(rates * gap), rel=1e-9)
    row = np.diag([-0.001] * 14 + [0.0]) + np.diag([0.001] * 14, 1)
    assert exponential(row, 1)[0, 14] == pytest.approx(gamma.cdf(0.001, 14), rel=1e-9)


def test_thickness_is_erlang_distributed_and_every_row_is_a_probability():
    never_back = np.array([[-0.006, 0.004, 0.002], [0.0, -0.003, 0.003], [0.0, 0.001, -0.001]])
    prior = prior_of(never_back, stages=8)
    for gap in (10.0, 150.0, 700.0):
        (move,) = prior.moves(np.array([gap])).kinds
        assert (move >= 0).all()
        assert move.sum(axis=1) == pytest.approx(1.0)
        stays = gamma.sf(gap, 8, scale=1 / 0.006 / 8)
        assert move[0, :8].sum() == pytest.approx(stays, rel=1e-9)


def test_a_region_met_on_one_far_away_site_does_not_make_the_rates_undefined():
    labels = ["LP"] * 8 + ["CA1"] + ["DG"] * 8 + ["VIS"] + ["LP"] + ["VIS"] * 12
    depth = np.arange(31) * 81.25
    prior = learn_transitions([LabelledProbe(labels, depth, one_shank(31))] * 2, CLASSES)
    assert np.isfinite(prior.rates).all()


def test_twice_the_spacing_is_the_same_chain_taken_twice():
    once, twice = prior_of().moves(np.array([20.0, 40.0])).kinds
    assert once @ once == pytest.approx(twice)


def test_the_order_of_regions_is_learned_from_the_tip_up():
    labels = ["DG"] * 20 + ["CA1"] * 20 + ["VIS"] * 20
    depth = np.arange(60) * 20.0
    shuffled = np.random.default_rng(0).permutation(60)
    probe = LabelledProbe([labels[i] for i in shuffled], depth[shuffled], one_shank(60))
    prior = learn_transitions([probe] * 5, CLASSES, TransitionParams(unknown=False))
    rates = dict(zip(CLASSES, np.array(prior.rates), strict=True))
    assert rates["DG"][0] > 10 * rates["DG"][2]
    assert rates["CA1"][2] > 10 * rates["CA1"][1]
    assert np.argmax(prior.start) == 1


def test_shanks_are_chains_of_their_own():
    depth, shank = np.tile(np.arange(10) * 20.0, 2), np.repeat([0, 1], 10)
    two = LabelledProbe(["DG"] * 10 + ["VIS"] * 10, depth, shank)
    prior = learn_transitions([two], CLASSES, TransitionParams(unknown=False))
    away = [-rate[i] for i, rate in enumerate(prior.rates)]
    assert max(away) == pytest.approx(1 / 400, rel=0.02)
    rng = np.random.default_rng(0)
    log_probs = np.log(rng.dirichlet(np.ones(3), size=20))
    both = decode_probe(log_probs, depth, shank, prior)
    assert both[:10] == pytest.approx(decode_probe(log_probs[:10], depth[:10], shank[:10], prior))


def test_regions_outside_the_classes_are_the_state_unknown_and_none_is_missing():
    labels = ["LP"] * 10 + [None] * 3 + ["DG"] * 10
    probe = LabelledProbe(labels, np.arange(23) * 20.0, one_shank(23))
    prior = learn_transitions([probe], CLASSES)
    assert prior.states == prior.answers == (*CLASSES, "unknown")
    assert prior.n_labels == 20
    assert np.argmax(prior.start) == 3
    often = learn_transitions([probe, probe], CLASSES)
    assert often.states == (*CLASSES, "LP", "unknown")
    assert often.answers == (*CLASSES, "unknown")
    without = learn_transitions([probe], CLASSES, TransitionParams(unknown=False))
    assert (without.states, without.n_labels) == (CLASSES, 10)


def test_what_the_model_cannot_tell_is_unknown_where_training_had_other_regions():
    labels = ["LP"] * 20 + ["DG"] * 20 + ["CA1"] * 20
    depth = np.arange(60) * 20.0
    prior = learn_transitions([LabelledProbe(labels, depth, one_shank(60))] * 4, CLASSES)
    hops = 0.1 + 0.7 * np.eye(3)[np.arange(20) % 3]
    proba = np.array([*hops] + [[0.1, 0.8, 0.1]] * 20 + [[0.8, 0.1, 0.1]] * 20)
    params = DecoderParams(divide_by="none")
    found = decode_probe(np.log(proba), depth, one_shank(60), prior, params)
    said = np.array(prior.answers)[found.argmax(axis=1)]
    assert (said[:17] == "unknown").all()
    assert (said[22:38] == "DG").all()
    assert (said[42:] == "CA1").all()
    assert among_classes(found, prior).sum(axis=1) == pytest.approx(1.0)


def test_a_prior_comes_back_from_json_with_the_same_digest():
    prior = learn_transitions(
        [LabelledProbe(["DG", "CA1"], np.array([0.0, 20.0]), one_shank(2))], CLASSES
    )
    again = DepthPrior.from_json(json.loads(json.dumps(prior.to_json())))
    assert again == prior
    assert again.digest == prior.digest


def test_a_bad_channel_is_answered_by_its_neighbours():
    log_probs = np.log(np.tile([0.1, 0.8, 0.1], (9, 1)))
    log_probs[4] = np.nan
    found = decode_probe(log_probs, np.arange(9) * 20.0, one_shank(9), prior_of())
    assert found[4, 1] > 0.9


def test_a_channel_without_depth_is_answered_by_itself():
    log_probs = np.log(np.tile([0.1, 0.8, 0.1], (3, 1)))
    depth = np.array([0.0, np.nan, 20.0])
    found = decode_probe(log_probs, depth, one_shank(3), prior_of())
    assert found[1] == pytest.approx([0.1, 0.8, 0.1])
    assert found[0, 1] > 0.85


def test_without_borders_to_speak_of_the_chain_multiplies_evidence():
    proba = np.random.default_rng(1).dirichlet(np.ones(3), size=4)
    still = prior_of(rates=RATES * 1e-9)
    found = decode_probe(np.log(proba), np.arange(4.0), one_shank(4), still)
    assert found[2] == pytest.approx(proba.prod(axis=0) / proba.prod(axis=0).sum(), rel=1e-4)


def test_the_model_s_class_frequencies_are_counted_once():
    share = (0.8, 0.1, 0.1)
    found = decode_probe(np.log([[0.5, 0.3, 0.2]]), np.array([0.0]), one_shank(1),
                         prior_of(share=share, start=share))  # fmt: skip
    assert found[0] == pytest.approx([0.5, 0.3, 0.2])


def test_on_its_own_chains_the_posterior_is_calibrated_and_beats_single_channels():
    rng = np.random.default_rng(3)
    truth, found, alone = [], [], []
    for states, depth, log_probs in probes_of(rng, 40):
        truth.append(states)
        alone.append(log_probs)
        found.append(decode_probe(log_probs, depth, one_shank(len(depth)), prior_of()))
    truth, found, alone = map(np.concatenate, (truth, found, alone))
    sure = found.max(axis=1)
    right = found.argmax(axis=1) == truth
    assert right.mean() > (alone.argmax(axis=1) == truth).mean() + 0.15
    for low, high in ((0.4, 0.7), (0.7, 0.9), (0.9, 1.0)):
        inside = (sure >= low) & (sure < high)
        assert right[inside].mean() == pytest.approx(sure[inside].mean(), abs=0.06)


def test_the_final_temperature_of_lone_channels_is_that_of_their_probabilities():
    rng = np.random.default_rng(4)
    states = rng.integers(3, size=400)
    log_probs = emitted(rng, states, 1.0, 3) * 3.0
    log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
    alone = ScoredProbe(log_probs, [CLASSES[s] for s in states], np.zeros(400), np.arange(400))
    fitted = fit_decoder([alone], prior_of(), DecoderParams(divide_by="none"))
    expected = fit_temperature(np.exp(log_probs), states)
    assert fitted.final_temperature == pytest.approx(expected, rel=0.01)
    assert expected == pytest.approx(3.0, rel=0.15)


def test_the_level_of_unknown_rises_to_where_other_regions_are_found():
    rng = np.random.default_rng(6)
    labels = ["LP"] * 20 + ["DG"] * 20 + ["CA1"] * 20 + ["VIS"] * 20
    depth = np.arange(80) * 20.0
    prior = learn_transitions([LabelledProbe(labels, depth, one_shank(80))] * 3, CLASSES)
    certain = [[1, 20, 1], [20, 1, 1], [1, 1, 20]]
    proba = np.vstack([rng.dirichlet(a, size=20) for a in ([3, 3, 3], *certain)])
    fitted = fit_decoder([ScoredProbe(np.log(proba), labels, depth, one_shank(80))] * 2, prior,
                         DecoderParams(unknown_level=-4.0))  # fmt: skip
    assert fitted.unknown_level > -3.0
    found = decode_probe(np.log(proba), depth, one_shank(80), prior, fitted)
    truth = np.repeat([3, 1, 0, 2], 20)
    assert (found.argmax(axis=1) == truth).mean() >= 0.95


def test_shanks_of_unequal_length_are_fitted_as_each_by_itself():
    rng = np.random.default_rng(7)
    probes = [ScoredProbe(log, [CLASSES[s] for s in states], depth, one_shank(len(depth)))
              for n in (5, 40) for states, depth, log in probes_of(rng, 3, channels=n)]  # fmt: skip
    fitted = fit_decoder(probes, prior_of(), DecoderParams(divide_by="none"))

    def surprise(temperature):
        params = DecoderParams(divide_by="none", final_temperature=temperature)
        found = [decode_probe(p.log_probs, p.depth_um, p.shank, prior_of(), params) for p in probes]
        truth = [CLASSES.index(name) for p in probes for name in p.labels]
        return -np.log(np.concatenate(found)[np.arange(len(truth)), truth]).mean()

    best = fitted.final_temperature
    assert surprise(best) < min(surprise(best * 1.05), surprise(best / 1.05))


def test_thickness_that_varies_little_is_learned_though_ends_cut_regions_off():
    rng = np.random.default_rng(8)
    probes = []
    for _ in range(120):
        borders = np.cumsum(rng.gamma(8, np.tile([50.0, 40.0, 100.0], 6)))
        depth = rng.uniform(2000, 3500) + 20.0 * np.arange(60)
        number = np.searchsorted(borders, depth) % 3
        labels = [("DG", "CA1", "VIS")[i] for i in number]
        probes.append(LabelledProbe(labels, depth, one_shank(60)))
    prior = learn_transitions(probes, CLASSES, TransitionParams(unknown=False))
    thick = [-1 / rate[i] for i, rate in enumerate(prior.rates)]
    assert thick == pytest.approx([320, 400, 800], rel=0.1)


def test_more_stages_bridge_what_is_too_thin_to_be_a_region():
    proba = np.tile([0.02, 0.96, 0.02], (21, 1))
    proba[10:12] = [0.9, 0.05, 0.05]
    depth = np.arange(21) * 20.0
    rates = 0.00125 - np.diag([0.00375] * 3)
    one, eight = (decode_probe(np.log(proba), depth, one_shank(21), prior_of(rates, stages=n))
                  for n in (1, 8))  # fmt: skip
    assert one[10, 0] > eight[10, 0]
    assert eight[10].argmax() == 1


def test_the_path_of_a_shank_is_its_likeliest():
    rng = np.random.default_rng(5)
    log_probs, depth = np.log(rng.dirichlet(np.ones(3), size=6)), np.arange(6) * 50.0
    prior = prior_of()
    moves = prior.moves(np.diff(depth)).kinds[[0] * 5]
    scores = {
        path: log_probs[range(6), path].sum()
        + sum(np.log(moves[i][path[i], path[i + 1]]) for i in range(5))
        for path in product(range(3), repeat=6)
    }
    order = rng.permutation(6)
    path = decode_path(log_probs[order], depth[order], one_shank(6), prior)
    assert tuple(path[np.argsort(order)]) == max(scores, key=scores.get)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="2 columns of log probability for the 3 classes"):
        decode_probe(np.zeros((4, 2)), np.zeros(4), one_shank(4), prior_of())
    with pytest.raises(ValueError, match="4 rows of log probability, 3 depths"):
        decode_probe(np.zeros((4, 3)), np.zeros(3), one_shank(4), prior_of())
    lone = LabelledProbe(["DG", None], np.array([0.0, 20.0]), one_shank(2))
    with pytest.raises(ValueError, match="two labelled channels within 300 µm"):
        learn_transitions([lone], CLASSES)
    with pytest.raises(ValueError, match="none in 0 probes"):
        fit_decoder([], prior_of())
    with pytest.raises(ValueError, match="one label, depth and shank per channel"):
        LabelledProbe(["DG"], np.zeros(2), one_shank(2))
