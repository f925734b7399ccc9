import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from pipeline.evaluation import apply_temperature, fit_temperature, reliability
from pipeline.evaluation.calibration import expected_calibration_error


def honest(seed, n=20000):
    """Probabilities and labels drawn from them."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([0.6, 0.6, 0.6], n)
    return proba, (rng.random(n)[:, None] > proba.cumsum(axis=1)).sum(axis=1)


def test_reliability_equals_scikit_learn_on_confidence():
    proba, truth = honest(0, 2000)
    table = reliability(proba, truth, bins=10).query("n > 0")
    right, confidence = proba.argmax(axis=1) == truth, proba.max(axis=1)
    accuracy, mean = calibration_curve(right, confidence, n_bins=10)
    assert np.allclose(table["accuracy"], accuracy)
    assert np.allclose(table["confidence"], mean)


def test_the_error_is_the_gap_where_all_confidence_is_equal():
    proba = np.tile([0.9, 0.1], (10, 1))
    truth = np.array([0] * 6 + [1] * 4)
    assert expected_calibration_error(proba, truth) == pytest.approx(0.3)


def test_honest_probabilities_are_calibrated_and_need_no_temperature():
    proba, truth = honest(1)
    assert expected_calibration_error(proba, truth) < 0.015
    assert fit_temperature(proba, truth) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_a_temperature_put_on_is_found_and_taken_off(temperature):
    proba, truth = honest(2)
    spoiled = apply_temperature(proba, 1 / temperature)
    found = fit_temperature(spoiled, truth)
    assert found == pytest.approx(temperature, rel=0.05)
    mended = apply_temperature(spoiled, found)
    assert (mended.argmax(axis=1) == proba.argmax(axis=1)).all()
    assert expected_calibration_error(mended, truth) < expected_calibration_error(spoiled, truth)


def test_temperature_without_samples_is_refused():
    with pytest.raises(ValueError, match="got 0"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int))
