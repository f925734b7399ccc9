"""One region for everything is warned about."""

import numpy as np
import pytest

from pipeline.analyses.one_answer import OneAnswerParams, find_one_answer

CLASSES = ("CA1", "DG", "LP")


def rows(n_of, sure):
    """Rows led by each class as often as asked, each at that probability."""
    leading = np.repeat(np.arange(len(n_of)), n_of)
    proba = np.full((len(leading), len(n_of)), (1 - sure) / (len(n_of) - 1))
    proba[np.arange(len(leading)), leading] = sure
    return proba


@pytest.mark.parametrize(
    ("n_of", "sure", "warned"),
    [
        ((4, 95, 1), 0.9, True),
        ((5, 90, 5), 0.9, False),  # just 90 % is not more than 90 %
        ((4, 95, 1), 0.45, False),  # such answers are "unknown" anyway
        ((0, 100, 0), 0.5, True),
        ((30, 40, 30), 1.0, False),
    ],
)
def test_more_than_nine_tenths_at_half_the_probability_is_warned_about(n_of, sure, warned):
    found = find_one_answer(rows(n_of, sure), CLASSES)
    assert (found.region, found.n) == ("DG", sum(n_of))
    assert found.share == pytest.approx(n_of[1] / sum(n_of))
    assert found.confidence == pytest.approx(sure)
    assert found.warned is warned


def test_the_confidence_is_of_the_rows_that_the_region_leads():
    proba = np.concatenate([rows((0, 95, 0), 0.8), rows((5, 0, 0), 0.99)])
    assert find_one_answer(proba, CLASSES).confidence == pytest.approx(0.8)


def test_rows_without_probabilities_do_not_count():
    proba = np.concatenate([rows((1, 19, 0), 0.8), np.full((80, 3), np.nan)])
    found = find_one_answer(proba, CLASSES)
    assert (found.n, found.warned) == (20, True)
    assert find_one_answer(np.full((4, 3), np.nan), CLASSES) is None


def test_the_warning_says_how_many_and_how_sure():
    found = find_one_answer(rows((0, 2000, 0), 0.875), CLASSES, OneAnswerParams(share=0.5))
    assert found.warning.startswith("100% of 2,000 windows of channels are answered DG")
    assert "0.88" in found.warning
