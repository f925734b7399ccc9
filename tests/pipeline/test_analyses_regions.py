"""From window probabilities to one region per channel."""

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.regions import (
    PostprocessParams,
    channel_predictions,
    shank_order,
    vote_with_neighbours,
)

CLASSES = ["CA1", "DG", "VIS"]


def shank(n, *, probe="A", name=0, depth=True):
    values = np.arange(n) * 20.0 if depth else np.full(n, np.nan)
    return pd.DataFrame({"probe": probe, "shank": name, "depth_um": values})


def one_window_each(labels, sure=0.8):
    proba = np.full((len(labels), 3), (1 - sure) / 2)
    proba[np.arange(len(labels)), labels] = sure
    return proba


def predict(proba, channel_idx, channels, **params):
    channel_idx = np.asarray(channel_idx)
    window_idx = np.zeros_like(channel_idx)
    return channel_predictions(
        proba, window_idx, channel_idx, CLASSES, channels, PostprocessParams(**params)
    )


def test_probabilities_of_a_channel_are_averaged_over_its_windows():
    proba = np.array([[0.6, 0.4, 0.0], [0.2, 0.8, 0.0], [0.9, 0.1, 0.0]])
    table = predict(proba, [0, 0, 1], shank(2))
    assert table["region"].tolist() == ["DG", "CA1"]
    assert table["confidence"].tolist() == pytest.approx([0.6, 0.9])
    assert table["p_CA1"].tolist() == pytest.approx([0.4, 0.9])
    assert table["votes"].tolist() == [1, 1]
    assert table["n_windows"].tolist() == [2, 1]


def test_the_log_mean_equals_averaging_logits():
    logits = np.random.default_rng(0).normal(size=(6, 3))
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    table = predict(softmax, [0] * 6, shank(1), temporal="log_mean", unknown_below=0.0)
    mean = np.exp(logits.mean(0))
    assert table[["p_CA1", "p_DG", "p_VIS"]].to_numpy()[0] == pytest.approx(mean / mean.sum())


def test_a_lone_dissenter_follows_two_neighbours_either_side():
    table = predict(one_window_each([0, 0, 1, 0, 0]), range(5), shank(5), spatial="mode",
                    unknown_below=0.0)  # fmt: skip
    assert table["region"].tolist() == ["CA1"] * 5
    assert table["confidence"][2] == pytest.approx(0.1)


def test_a_border_between_two_regions_survives_the_vote():
    labels = [0] * 6 + [1] * 6
    table = predict(one_window_each(labels), range(12), shank(12), spatial="mode")
    assert table["region"].tolist() == [CLASSES[label] for label in labels]


def test_neighbours_on_another_shank_do_not_vote():
    channels = pd.concat([shank(2, name=0), shank(3, name=1)], ignore_index=True)
    table = predict(one_window_each([1, 1, 0, 0, 0]), range(5), channels, spatial="mode")
    assert table["region"].tolist() == ["DG", "DG", "CA1", "CA1", "CA1"]


def test_neighbours_are_neighbours_in_depth_not_in_the_file():
    channels = shank(6).iloc[[0, 2, 4, 1, 3, 5]].reset_index(drop=True)
    assert shank_order(channels)[0].tolist() == [0, 3, 1, 4, 2, 5]
    assert shank_order(shank(3, depth=False))[0].tolist() == [0, 1, 2]


def test_a_tie_goes_to_what_the_channel_itself_finds_likeliest():
    mean = one_window_each([0, 1])
    voted = vote_with_neighbours(np.array([0, 1]), mean, [np.array([0, 1])])
    assert voted.tolist() == [0, 1]


def test_gaussian_smoothing_keeps_a_constant_and_spares_unknown_depth():
    proba = one_window_each([0, 0, 1])
    same = predict(proba[[0, 0, 0]], range(3), shank(3), spatial="gaussian")
    assert same["p_CA1"].tolist() == pytest.approx([0.8] * 3)
    untouched = predict(proba, range(3), shank(3, depth=False), spatial="gaussian")
    assert untouched["p_DG"].tolist() == pytest.approx([0.1, 0.1, 0.8])


def test_unknown_is_answered_with_its_reason():
    proba = np.array([[0.4, 0.35, 0.25], [np.nan, np.nan, np.nan]])
    table = predict(proba, [0, 1], shank(3))
    assert table["region"].tolist() == ["unknown"] * 3
    assert table["best"].tolist() == ["CA1", None, None]
    assert table["reason"][0] == "confidence 0.40 below 0.5"
    assert table["reason"][1] == "0 usable windows, 1 needed"
    assert np.isnan(table["confidence"][2])


def test_a_channel_unlike_training_is_refused_when_asked():
    args = (np.array([[0.9, 0.1, 0.0]]), np.array([0]), np.array([0]), CLASSES, shank(1))
    far = np.array([0.995])
    params = PostprocessParams(unknown_beyond=0.99)
    assert channel_predictions(*args, params, domain_quantile=far)["region"][0] == "unknown"
    lenient = PostprocessParams()
    assert channel_predictions(*args, lenient, domain_quantile=far)["region"][0] == "CA1"


def test_dividing_by_the_training_prior_favours_rare_classes():
    args = (np.array([[0.5, 0.3, 0.2]]), np.array([0]), np.array([0]), CLASSES, shank(1))
    prior = np.array([0.8, 0.1, 0.1])
    table = channel_predictions(*args, PostprocessParams(prior="flat"), training_prior=prior)
    expected = np.array([0.5, 0.3, 0.2]) / prior
    assert table["region"][0] == "DG"
    assert table["p_DG"][0] == pytest.approx((expected / expected.sum())[1])


@pytest.mark.parametrize(
    ("proba", "rows", "params", "message"),
    [
        (np.array([[2.0, -1.0, 0.0]]), [0], {}, "use softmax"),
        (np.array([[1.0, 0.0, 0.0]]), [7], {}, "table of 3 channels"),
        (np.array([[1.0, 0.0]]), [0], {}, "2 columns of probability for 3 classes"),
        (np.array([[1.0, 0.0, 0.0]]), [0], {"prior": "flat"}, "needs training_prior"),
    ],
)
def test_wrong_input_is_named(proba, rows, params, message):
    with pytest.raises(ValueError, match=message):
        predict(proba, rows, shank(3), **params)
