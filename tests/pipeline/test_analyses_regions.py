"""From window probabilities to one region per channel."""

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.depth_prior import LabelledProbe
from pipeline.analyses.learned import learn_postprocess
from pipeline.analyses.postprocess import PUBLISHED_WEIGHTS, DecoderParams
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


def test_published_weights_are_factors_on_mean_logits_before_the_mode_of_five():
    rng = np.random.default_rng(3)
    classes, n, windows = ["CA1", "CA2", "CA3", "DG", "cortex"], 40, 3
    logits = rng.normal(size=(windows, n, 5))
    logits -= logits.mean(axis=2, keepdims=True)
    proba = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    weighed = logits.mean(axis=0) * [1, 1, 5, 2, 1]
    best = weighed.argmax(axis=1)
    expected = []
    for i in range(n):
        near = best[max(0, i - 2) : i + 3]
        most = np.bincount(near, minlength=5)
        expected.append(max(range(5), key=lambda k: (most[k], weighed[i, k])))
    params = PostprocessParams(temporal="log_mean", spatial="mode", unknown_below=0.0,
                               class_weights=PUBLISHED_WEIGHTS)  # fmt: skip
    channel = np.tile(np.arange(n), windows)
    table = channel_predictions(proba.reshape(-1, 5), channel, channel, classes, shank(n), params)
    assert table["best"].tolist() == [classes[k] for k in expected]


def test_a_class_weight_must_be_a_factor():
    with pytest.raises(ValueError, match="above 0"):
        PostprocessParams(class_weights={"CA3": 0.0})


def test_parameters_stored_before_later_ones_came_keep_their_digest():
    assert set(PostprocessParams().to_json()) == {
        "temporal", "spatial", "neighbours", "spread_um", "prior", "temperature", "unknown_below",
        "min_windows", "unknown_beyond",
    }  # fmt: skip
    assert set(DecoderParams().to_json()) == {
        "temperature", "final_temperature", "divide_by", "unknown_level",
    }  # fmt: skip
    assert "class_weights" in PostprocessParams(class_weights={"DG": 2.0}).to_json()


def learned_layers():
    labels = ["DG"] * 10 + ["LP"] * 15 + ["CA1"] * 10 + ["VIS"] * 10
    probe = LabelledProbe(labels, np.arange(45) * 20.0, np.zeros(45, np.int64))
    params = PostprocessParams(spatial="decoder")
    return learn_postprocess([probe, probe], [], CLASSES, params)


def test_the_decoder_answers_bad_channels_by_neighbours_and_tells_of_other_regions():
    truth = np.repeat([1, 0], 12)
    proba = one_window_each(truth)
    heard = np.delete(np.arange(24), 6)
    table = channel_predictions(
        proba[heard], np.zeros(23, int), heard, CLASSES, shank(24),
        PostprocessParams(spatial="decoder"), learned=learned_layers(),
    )  # fmt: skip
    assert table["best"].tolist() == [CLASSES[k] for k in truth]
    assert table.loc[6, "region"] == "unknown"
    assert "0 usable windows" in table.loc[6, "reason"]
    total = table[["p_CA1", "p_DG", "p_VIS", "p_unknown"]].sum(axis=1)
    assert total.to_numpy() == pytest.approx(1.0)


def test_where_the_shank_speaks_for_another_region_the_answer_is_unknown_and_says_why():
    truth = np.repeat([1, 0, 2], [10, 25, 10])
    proba = one_window_each(truth, sure=0.98)
    proba[10:25] = 1 / 3  # as likely as any class: the model has never heard it
    table = channel_predictions(
        proba, np.zeros(45, int), np.arange(45), CLASSES, shank(45),
        PostprocessParams(spatial="decoder"), learned=learned_layers(),
    )  # fmt: skip
    middle = table[table["p_unknown"] > 0.5]
    assert set(range(14, 21)) <= set(middle["row"]) <= set(range(8, 27))
    assert (middle["region"] == "unknown").all()
    assert middle["reason"].str.contains("outside the classes").all()


def test_the_decoder_without_what_it_learned_is_refused():
    with pytest.raises(ValueError, match="needs what learn_postprocess learns"):
        predict(one_window_each([0, 1]), range(2), shank(2), spatial="decoder")
    with pytest.raises(ValueError, match="was learned for"):
        channel_predictions(
            np.full((2, 2), 0.5), np.zeros(2, int), np.arange(2), ["CA1", "X"], shank(2),
            PostprocessParams(spatial="decoder"), learned=learned_layers(),
        )  # fmt: skip
