import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.abstain import Abstention, learn_abstention, score_abstention
from pipeline.analyses.learned import Learned
from pipeline.analyses.postprocess import PostprocessParams
from pipeline.analyses.regions import channel_predictions
from pipeline.evaluation.intervals import IntervalParams, cluster
from pipeline.evaluation.risk import RiskParams

CLASSES = ("CA1", "DG")


def calibrated(seed, n=20000, subjects=8):
    """Confidences, evenly from 0.5 to 1, that are right as often as they say; labels; subjects.

    From a confidence t on, (1 - t) / 2 of the answers are wrong and 2 (1 - t) of all are given.
    """
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.5, 1, n)
    best = rng.integers(2, size=n)
    proba = np.where(np.arange(2) == best[:, None], sure[:, None], 1 - sure[:, None])
    truth = np.where(rng.random(n) < sure, best, 1 - best)
    return proba, [CLASSES[i] for i in truth], [f"m{i}" for i in rng.integers(subjects, size=n)]


def answer(proba, params, learned=None):
    n = np.arange(len(proba))
    channels = pd.DataFrame({"channel": n})
    return channel_predictions(proba, 0 * n, n, CLASSES, channels, params, learned=learned)


def learn(seed, **risk):
    proba, truth, who = calibrated(seed)
    anything = answer(proba, PostprocessParams(unknown_below=0.0))
    return learn_abstention(anything, truth, who, RiskParams(**risk))


def learned_with(abstain):
    return Learned(classes=CLASSES, share=(0.5, 0.5), abstain=abstain, n_training=1, n_validation=1)


@pytest.mark.parametrize("target", [0.05, 0.1, 0.2])
def test_the_threshold_is_that_of_the_known_curve_and_keeps_the_risk_on_other_subjects(target):
    chosen = learn(0, target=target)
    assert chosen.least == pytest.approx(1 - 2 * target, abs=0.03)
    assert chosen.coverage == pytest.approx(4 * target, abs=0.05)
    assert chosen.risk <= target
    assert (chosen.n, chosen.n_subjects) == (20000, 8)
    proba, truth, who = calibrated(1)
    asked = PostprocessParams(unknown_below=0.99, risk=RiskParams(target=target))
    said = answer(proba, asked, learned_with(chosen))
    risk, coverage = score_abstention(
        said["region"], truth, cluster(who), target, level="post-processed",
        interval=IntervalParams(draws=200),
    )  # fmt: skip
    assert risk.low - 0.01 < target < risk.high + 0.01
    assert risk.value == pytest.approx(target, abs=0.012)
    assert coverage.value == pytest.approx(4 * target, abs=0.05)
    assert (risk.n, coverage.n) == ((said["region"] != "unknown").sum(), 20000)
    assert risk.chance == pytest.approx(0.5, abs=0.02)


def test_the_error_is_counted_as_by_hand():
    said = ["CA1", "CA1", "unknown", "DG", "DG", "CA1"]
    truth = ["CA1", "DG", "DG", "DG", "LP", None]
    risk, coverage = score_abstention(said, truth, cluster("aabbcc"), 0.1, level="post-processed")
    assert (risk.value, risk.n) == (2 / 4, 4)
    assert (coverage.value, coverage.n) == (4 / 5, 5)
    assert risk.chance == 1 - 2 / 4


def test_a_region_without_a_name_makes_an_answer_wrong_where_the_line_is_drawn():
    proba, truth, who = calibrated(2, 4000)
    other = [None if i % 4 else "LP" for i in range(4000)]
    anything = answer(proba, PostprocessParams(unknown_below=0.0))
    strict = learn_abstention(anything, other, who, RiskParams(target=0.1))
    assert strict.least is None
    assert strict.n == 1000


def test_where_no_confidence_keeps_the_risk_nothing_is_answered():
    nothing = Abstention(asked=RiskParams(target=0.001), least=None, coverage=0.0, risk=None,
                         n=10, n_subjects=2)  # fmt: skip
    proba, truth, _ = calibrated(3, 50)
    said = answer(proba, PostprocessParams(risk=RiskParams(target=0.001)), learned_with(nothing))
    assert set(said["region"]) == {"unknown"}
    assert set(said["best"]) == set(CLASSES)
    assert "no confidence keeps errors at 0.001" in said["reason"].iloc[0]
    risk, coverage = score_abstention(said["region"], truth, cluster(truth), 0.001, level="x")
    assert (risk.value, risk.reason) == (None, "nothing is answered")
    assert coverage.value == 0


def test_a_certain_threshold_is_stricter_and_says_so():
    likely, certain = learn(4, target=0.1), learn(4, target=0.1, confidence=0.9)
    assert certain.least > likely.least
    assert "90% confidence if channels were independent" in certain.told()
    assert "20,000 channels of 8 validation subjects" in likely.told()


def test_without_a_labelled_channel_there_is_no_threshold_and_the_fixed_one_counts():
    proba, _, who = calibrated(5, 50)
    anything = answer(proba, PostprocessParams(unknown_below=0.0))
    assert learn_abstention(anything, [None] * 50, who, RiskParams()) is None
    params = PostprocessParams(unknown_below=0.7, risk=RiskParams())
    said = answer(proba, params, learned_with(None))
    assert (said["region"] == "unknown").tolist() == (proba.max(axis=1) < 0.7).tolist()


def test_stored_parameters_keep_their_digest_and_what_was_learned_comes_back():
    assert "risk" not in PostprocessParams().to_json()
    assert PostprocessParams(risk={"target": 0.1}).digest != PostprocessParams().digest
    assert "abstain" not in learned_with(None).to_json()
    learned = learned_with(learn(6, target=0.1))
    assert Learned.from_json(learned.to_json()) == learned
