import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson
from sklearn.metrics import d2_tweedie_score

from pipeline.evaluation import SCORERS, EvalParams, RateOutputs, rates_scores


def population(seed, units=6):
    rng = np.random.default_rng(seed)
    rate = np.exp(rng.normal(-1, 0.8, (20, 15, units)))
    guess = np.log(rate) + rng.normal(0, 0.3, rate.shape)
    frame = pd.DataFrame({"subject": "m", "session": "s", "unit": range(units)})
    return guess.astype(np.float32), rng.poisson(rate), frame


def by_name(rows):
    return {row.metric: row for row in rows}


@pytest.mark.parametrize("seed", range(4))
def test_bits_per_spike_equal_the_likelihoods_of_scipy(seed):
    log_rates, counts, units = population(seed)
    rows = by_name(rates_scores([log_rates], [counts], units))
    null = np.broadcast_to(counts.mean(axis=(0, 1)), counts.shape)
    model = poisson.logpmf(counts, np.exp(log_rates.astype(float)))
    gain = (model - poisson.logpmf(counts, null)).sum(axis=(0, 1)) / np.log(2)
    spikes = counts.sum(axis=(0, 1))
    assert rows["co_bps"].value == pytest.approx(gain.sum() / spikes.sum())
    assert rows["co_bps_unit_mean"].value == pytest.approx((gain / spikes).mean())
    assert rows["co_bps"].chance == 0


def test_d2_of_one_unit_equals_scikit_learn():
    log_rates, counts, units = population(1, units=1)
    rows = by_name(rates_scores([log_rates], [counts], units))
    expected = d2_tweedie_score(counts.ravel(), np.exp(log_rates.astype(float)).ravel(), power=1)
    assert rows["poisson_d2"].value == pytest.approx(expected)


def test_the_null_rate_itself_earns_nothing():
    _, counts, units = population(2)
    null = np.log(np.broadcast_to(counts.mean(axis=(0, 1)), counts.shape))
    assert by_name(rates_scores([null], [counts], units))["co_bps"].value == pytest.approx(
        0, abs=1e-9
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_null_from_training_stands_beside_under_its_own_name(seed):
    log_rates, counts, units = population(seed)
    trained = np.random.default_rng(seed).uniform(0.1, 1, counts.shape[2])
    rows = by_name(
        rates_scores([log_rates], [counts], units, null_rates=[np.tile(trained, (20, 1))])
    )
    model = poisson.logpmf(counts, np.exp(log_rates.astype(float)))
    null = poisson.logpmf(counts, np.broadcast_to(trained, counts.shape))
    gain = (model - null).sum(axis=(0, 1)) / np.log(2)
    spikes = counts.sum(axis=(0, 1))
    assert rows["co_bps_train_null"].value == pytest.approx(gain.sum() / spikes.sum())
    assert rows["co_bps_train_null_unit_mean"].value == pytest.approx((gain / spikes).mean())
    assert rows["co_bps_train_null"].value > rows["co_bps"].value
    assert set(by_name(rates_scores([log_rates], [counts], units))) == {
        "co_bps", "co_bps_unit_mean", "poisson_d2",
    }  # fmt: skip


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
def test_the_true_rates_of_a_poisson_population_earn_what_theory_says(spread):
    rng = np.random.default_rng(int(10 * spread))
    rate = 0.5 * np.exp(rng.normal(0, spread, (400, 25, 8)))
    counts = rng.poisson(rate)
    units = pd.DataFrame({"subject": "m", "session": "s", "unit": range(8)})
    found = by_name(rates_scores([np.log(rate)], [counts], units))["co_bps"]
    mean = rate.mean(axis=(0, 1))
    expected = (rate * np.log2(rate / mean)).sum() / rate.sum()  # mean information per spike
    assert found.value == pytest.approx(expected, abs=0.01)
    assert expected == pytest.approx(spread**2 / 2 / np.log(2), rel=0.05, abs=1e-3)


def test_entries_without_a_prediction_are_left_out():
    log_rates, counts, units = population(4)
    log_rates[:, :5] = np.nan
    seen = rates_scores([log_rates[:, 5:]], [counts[:, 5:]], units)
    assert rates_scores([log_rates], [counts], units) == seen


def test_silent_units_do_not_enter_the_mean_and_silence_gives_a_reason():
    log_rates, counts, units = population(5)
    counts[..., 0] = 0
    rows = by_name(rates_scores([log_rates], [counts], units))
    assert rows["co_bps_unit_mean"].n == 5
    silent = rates_scores([log_rates], [np.zeros_like(counts)], units)
    assert all(row.value is None and "fired" in row.reason for row in silent)


def test_the_interval_is_over_subjects_where_there_are_three_else_over_units():
    parts = [population(seed) for seed in range(3)]
    one = SCORERS["rates"](RateOutputs([parts[0][0]]), [parts[0][1]], parts[0][2], EvalParams())
    assert one[0].reason == "interval over 6 units"
    assert one[0].low < one[0].value < one[0].high
    units = pd.concat([p[2].assign(subject=f"m{i}") for i, p in enumerate(parts)])
    outputs = RateOutputs([p[0] for p in parts])
    three = SCORERS["rates"](outputs, [p[1] for p in parts], units, EvalParams())
    assert three[0].reason is None
    assert three[0].n == 18
