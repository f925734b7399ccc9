import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.calibration import apply_temperature, expected_calibration_error
from pipeline.evaluation.calibration_control import (
    AFTER,
    BEFORE,
    OWN,
    Answered,
    FoldAnswers,
    calibration_scores,
)
from pipeline.evaluation.intervals import IntervalParams

CLASSES = ("CA1", "DG", "VISp")
INTERVAL = IntervalParams(draws=200)


def people(n, subjects=6):
    names = [f"m{i % subjects}" for i in range(n)]
    return pd.DataFrame({"subject": names, "session": names})


def said(proba, labels, classes=CLASSES):
    return Answered.of(proba, labels, people(len(proba)), classes)


def overconfident(seed, sharper, n=6000):
    """Labels drawn from probabilities, and those probabilities as a model gives them: sharper."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet([1, 1, 1], n)
    index = (rng.random(n)[:, None] > true.cumsum(axis=1)).sum(axis=1)
    return said(apply_temperature(true, 1 / sharper), np.array(CLASSES)[index])


def scores(*folds, bins=10, **options):
    rows = calibration_scores(folds, level="window", bins=bins, interval=INTERVAL, **options)
    return {(row.metric, row.detail): row for row in rows}


def test_two_bins_give_the_error_and_the_bars_that_a_pencil_gives():
    proba = np.array([[0.9, 0.05, 0.05]] * 10 + [[0.7, 0.2, 0.1]] * 30)
    labels = ["CA1"] * 6 + ["DG"] * 4 + ["CA1"] * 15 + ["VISp"] * 15
    found = scores(FoldAnswers("fold 0", said(proba, labels), Answered.nobody(CLASSES)))
    error = found["ece", BEFORE]
    assert error.value == pytest.approx((10 * abs(0.9 - 0.6) + 30 * abs(0.7 - 0.5)) / 40)
    assert error.n == 40
    bins = {detail: row for (metric, detail), row in found.items() if metric == "bin_accuracy"}
    assert set(bins) == {"before, 0.60 to 0.70", "before, 0.80 to 0.90"}
    assert [(row.value, row.n, row.chance) for row in bins.values()] == [
        (pytest.approx(0.5), 30, pytest.approx(0.5)), (pytest.approx(0.6), 10, pytest.approx(0.6)),
    ]  # fmt: skip
    assert found["bin_confidence", "before, 0.60 to 0.70"].value == pytest.approx(0.7)
    assert all(row.low <= row.value <= row.high for row in bins.values())


def test_without_validation_subjects_there_is_an_error_before_and_a_reason_after():
    tested = overconfident(0, 2.0, 600)
    found = scores(FoldAnswers("fold 0", tested, Answered.nobody(CLASSES)))
    assert found["ece", BEFORE].value > 0.05
    assert found["ece", AFTER].value is None
    assert "no labelled validation subject" in found["ece", AFTER].reason
    (inside,) = [row for (m, d), row in found.items() if m == "temperature" and "in-lab" in d]
    assert (inside.value, inside.n) == (None, 0)


def test_a_temperature_fitted_where_it_is_the_same_mends_what_is_measured_by_the_formula():
    tested, checked = overconfident(1, 2.0), overconfident(2, 2.0)
    found = scores(FoldAnswers("fold 0", tested, checked))
    inside = found["temperature", "fold 0: of validation subjects (in-lab)"]
    assert inside.value == pytest.approx(2.0, rel=0.06)
    assert inside.low < 2.0 < inside.high
    before = expected_calibration_error(tested.proba, tested.truth, bins=10)
    scaled = apply_temperature(tested.proba, inside.value)
    after = expected_calibration_error(scaled, tested.truth, bins=10)
    assert found["ece", BEFORE].value == pytest.approx(before)
    assert found["ece", AFTER].value == pytest.approx(after)
    assert after < 0.03 < 0.1 < before


def test_a_laboratory_that_wants_another_temperature_is_seen_in_the_diagnostic_alone():
    found = scores(FoldAnswers("fold 0", overconfident(3, 5.0), overconfident(4, 1.5)),
                   tested="laboratory")  # fmt: skip
    inside, wanted = (row for (metric, _), row in found.items() if metric == "temperature")
    assert inside.value == pytest.approx(1.5, rel=0.06)
    assert wanted.value == pytest.approx(5.0, rel=0.06)
    assert "wanted by the tested laboratory (diagnostic" in wanted.detail
    assert found["ece", OWN].value < 0.03 < found["ece", AFTER].value < found["ece", BEFORE].value
    assert not any(detail.startswith(f"{OWN},") for _, detail in found)


def test_labels_of_the_tested_change_neither_the_in_lab_temperature_nor_what_it_scales():
    tested, checked = overconfident(5, 3.0, 900), overconfident(6, 2.0, 900)
    other = Answered(tested.proba, np.roll(tested.truth, 1), tested.groups, CLASSES)
    one, two = (scores(FoldAnswers("fold 0", t, checked)) for t in (tested, other))
    key = ("temperature", "fold 0: of validation subjects (in-lab)")
    assert one[key] == two[key]
    bars = [k for k in one if k[0] == "bin_confidence"]
    assert [one[k].value for k in bars] == [two[k].value for k in bars]


def test_folds_are_scaled_each_by_its_own_and_put_together():
    cold = FoldAnswers("fold 0", overconfident(7, 1.0, 2000), overconfident(8, 1.0))
    hot = FoldAnswers("fold 1", overconfident(9, 4.0, 2000), overconfident(10, 4.0))
    found = scores(cold, hot)
    assert found["ece", AFTER].n == 4000
    assert found["ece", AFTER].value < 0.03
    values = [row.value for (metric, detail), row in found.items() if "in-lab)" in detail]
    assert values == [pytest.approx(1.0, rel=0.07), pytest.approx(4.0, rel=0.07)]


def test_classes_in_another_order_in_another_fold_are_the_same_classes():
    tested, checked = overconfident(11, 2.0, 1500), overconfident(12, 2.0, 1500)
    order = [2, 0, 1]
    names = tuple(CLASSES[i] for i in order)
    turned = [Answered.of(one.proba[:, order], one.labels, one.groups, names)
              for one in (tested, checked)]  # fmt: skip
    once = scores(FoldAnswers("fold 0", tested, checked), FoldAnswers("fold 1", tested, checked))
    mixed = scores(FoldAnswers("fold 0", tested, checked), FoldAnswers("fold 1", *turned))
    for key, row in once.items():
        assert mixed[key].value == pytest.approx(row.value, abs=1e-5)
        assert mixed[key].chance == (None if row.chance is None else pytest.approx(row.chance))
