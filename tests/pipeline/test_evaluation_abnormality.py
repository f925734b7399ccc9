"""Abnormality per region, with SciPy's permutation test as judge."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.evaluation.abnormality import EVERYWHERE, abnormality, arrangements
from pipeline.evaluation.intervals import IntervalParams


def windows(rng, effect, subjects=7, ill=5, sessions=1, each=40, regions=("CA1", "DG")):
    rows = []
    for subject in range(subjects):
        tilt = rng.normal(0, 0.08)
        for session in range(sessions):
            for region in regions:
                chance = np.clip(0.4 + tilt + effect.get(region, 0) * (subject < ill), 0, 1)
                said = rng.random(each) < chance
                rows += [
                    {"subject": f"s{subject}", "session": f"s{subject}x{session}",
                     "region": region, "diseased": subject < ill, "called": bool(one)}
                    for one in said
                ]  # fmt: skip
    return pd.DataFrame(rows)


def found(rows, metric, region):
    (row,) = [r for r in rows if r.metric == metric and r.detail == region]
    return row


@pytest.mark.parametrize("seed", range(3))
def test_the_permutation_p_agrees_with_scipy_where_a_subject_is_a_session(seed):
    called = windows(np.random.default_rng(seed), {"CA1": 0.2})
    rows = abnormality(called, interval=IntervalParams(draws=50))
    for region in ("CA1", "DG"):
        mine = called[called["region"] == region]
        shares = mine.groupby(["diseased", "session"])["called"].mean()
        ill, well = shares[True].to_numpy(), shares[False].to_numpy()

        def apart(a, b, axis=-1):
            return np.abs(a.mean(axis=axis) - b.mean(axis=axis))

        judged = stats.permutation_test(
            (ill, well), apart, n_resamples=np.inf, alternative="greater", vectorized=True
        )
        assert found(rows, "abnormality_p", region).value == pytest.approx(judged.pvalue)
        apart_ = found(rows, "abnormality_difference", region)
        assert apart_.value == pytest.approx(ill.mean() - well.mean())
        low, high = np.percentile(_signed(ill, well), (2.5, 97.5))
        assert (apart_.low, apart_.high) == (pytest.approx(low), pytest.approx(high))
        told = found(rows, "abnormality", region)
        assert (told.value, told.chance) == (pytest.approx(ill.mean()), pytest.approx(well.mean()))
        assert told.low < told.value < told.high


def _signed(ill, well):
    judged = stats.permutation_test(
        (ill, well), lambda a, b, axis=-1: a.mean(axis=axis) - b.mean(axis=axis),
        n_resamples=np.inf, vectorized=True,
    )  # fmt: skip
    return judged.null_distribution


def test_sessions_of_one_subject_move_together():
    rng = np.random.default_rng(0)
    many = windows(rng, {"CA1": 0.5}, subjects=4, ill=2, sessions=5)
    p = found(abnormality(many), "abnormality_p", "CA1")
    assert p.chance == 1 / 6  # 2 of 4 subjects, however many sessions
    assert p.value >= p.chance
    assert "6 of 6 ways to say which 2 of 4 subjects are diseased" in p.reason


def test_a_strong_effect_is_found_in_its_region_and_without_one_p_is_uniform_at_most():
    rng = np.random.default_rng(1)
    rows = abnormality(windows(rng, {"CA1": 0.45}))
    assert found(rows, "abnormality_p", "CA1").value <= 2 / 21
    apart = found(rows, "abnormality_difference", "CA1")
    assert apart.value >= apart.high > 0
    sessions = [r for r in rows if r.metric == "abnormality_session"]
    assert len(sessions) == 3 * 7
    assert {r.detail.split("; ")[0] for r in sessions} == {EVERYWHERE, "CA1", "DG"}
    once = IntervalParams(draws=1)
    p = np.array([
        found(abnormality(windows(rng, {}, each=10, regions=("DG",)), interval=once),
              "abnormality_p", "DG").value for _ in range(60)
    ])  # fmt: skip
    assert (p <= 0.1).mean() <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 60)


def test_a_region_that_only_one_side_has_is_left_undefined_with_the_reason():
    called = windows(np.random.default_rng(2), {})
    called = called[~((called["region"] == "DG") & ~called["diseased"])]
    row = found(abnormality(called), "abnormality", "DG")
    assert row.value is None
    assert row.reason == "no session of a control animal has the region"
    torn = called.assign(subject="one")
    with pytest.raises(ValueError, match="one is both diseased and a control"):
        abnormality(torn)


def test_arrangements_begin_with_the_real_one_and_are_drawn_where_they_are_too_many():
    real = np.array([True, False, True, False, False])
    every = arrangements(real)
    assert every.possible == len(every.diseased) == 10
    assert (every.diseased[0] == real).all()
    assert len({tuple(row) for row in every.diseased.tolist()}) == 10
    some = arrangements(real, most=4)
    assert (len(some.diseased), some.possible, some.smallest) == (4, 10, 0.25)
    assert (some.diseased.sum(axis=1) == 2).all()
