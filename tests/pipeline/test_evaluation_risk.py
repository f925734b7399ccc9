"""Risk and coverage, on confidences whose error rates are known."""

import numpy as np
import pytest

from pipeline.evaluation.risk import RiskParams, area_under_risk, choose_threshold, risk_coverage

SURE = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
RIGHT = np.array([True, True, False, True, False])


def calibrated(n, seed=0):
    """Confidence uniform on (0, 1), right exactly that often."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(size=n)
    return confidence, rng.uniform(size=n) < confidence


def test_a_curve_counted_by_hand():
    curve = risk_coverage(SURE, RIGHT)
    assert curve["least"].tolist() == SURE.tolist()
    assert curve["coverage"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert curve["risk"].tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4, 2 / 5])
    assert area_under_risk(SURE, RIGHT) == pytest.approx((1 / 3 + 1 / 4 + 2 / 5) / 5)


def test_samples_of_one_confidence_are_answered_together():
    curve = risk_coverage(np.array([0.5, 0.9, 0.5]), np.array([False, True, True]))
    assert curve["least"].tolist() == [0.9, 0.5]
    assert curve["answered"].tolist() == [1, 3]
    assert area_under_risk(np.full(4, 0.5), np.array([1, 0, 0, 1], bool)) == 0.5


def test_uniform_calibrated_confidence_has_half_its_coverage_as_risk():
    confidence, right = calibrated(100_000)
    curve = risk_coverage(confidence, right)
    rows = curve.iloc[np.searchsorted(curve["coverage"], [0.25, 0.5, 1.0])]
    assert rows["risk"].tolist() == pytest.approx([0.125, 0.25, 0.5], abs=0.01)
    assert area_under_risk(confidence, right) == pytest.approx(0.25, abs=0.01)


def test_the_line_answers_most_within_the_target():
    line = choose_threshold(SURE, RIGHT, RiskParams(target=0.25))
    assert (line.least, line.coverage, line.risk) == pytest.approx((0.6, 0.8, 0.25))
    line = choose_threshold(*calibrated(100_000), RiskParams(target=0.05))
    assert (line.least, line.coverage) == pytest.approx((0.9, 0.1), abs=0.01)


def test_a_line_with_confidence_keeps_its_target_on_new_samples():
    params = RiskParams(target=0.2, confidence=0.9)
    lines = [choose_threshold(*calibrated(500, seed), params) for seed in range(100)]
    # Answering from c on, the risk of this distribution is (1 - c) / 2.
    broken = [(1 - line.least) / 2 > 0.2 for line in lines]
    assert sum(np.isfinite(line.least) for line in lines) >= 95
    assert sum(broken) <= 15
    plain = [
        choose_threshold(*calibrated(500, seed), RiskParams(target=0.2)) for seed in range(100)
    ]
    assert sum((1 - line.least) / 2 > 0.2 for line in plain) > 30


def test_nothing_is_answered_where_no_line_keeps_the_target():
    line = choose_threshold(SURE, np.zeros(5, bool))
    assert np.isinf(line.least)
    assert line.coverage == 0
    assert line.reason == "no confidence keeps errors at 0.05; the least among 5 is 1.000"
    assert choose_threshold(SURE[:0], RIGHT[:0]).reason.endswith("the least among 0 is unknown")
    few = choose_threshold(SURE, np.ones(5, bool), RiskParams(confidence=0.95))
    assert np.isinf(few.least)
