"""Paired tests over subjects, with SciPy as judge, and components of variance."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.evaluation.paired import EXACT_UP_TO, compare_models, sign_flip, spread


@pytest.mark.parametrize("n", [2, 3, 6, 7, 9])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_exact_sign_flip_agrees_with_scipy(n, seed):
    rng = np.random.default_rng([n, seed])
    differences = np.round(rng.normal(0.05, 0.1, n), 2)  # rounded: there are ties and zeros
    judged = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    found = sign_flip(differences)
    assert found.exact
    assert found.p == pytest.approx(judged.pvalue, abs=1e-12)
    assert found.mean == pytest.approx(judged.statistic)


def test_subjects_that_all_agree_give_the_smallest_p_there_is():
    for n in (3, 6, 7, 20):
        found = sign_flip(np.linspace(0.1, 0.2, n))
        assert found.p == found.smallest == 2 / 2**n
        assert not sign_flip(np.full(n, 0.1)).p < found.smallest
    assert sign_flip([0.1, -0.1]).p == 1


def test_equal_sums_are_counted_although_they_differ_by_rounding():
    assert sign_flip([0.1, 0.2, 0.3]).p == 0.25  # 0.1 + 0.2 is not 0.3 in floating point
    assert sign_flip([0.1, 0.2, -0.3]).p == 1


def test_more_subjects_than_can_be_counted_are_drawn_and_it_says_so():
    rng = np.random.default_rng(0)
    differences = rng.normal(0.03, 0.1, EXACT_UP_TO + 1)
    found = sign_flip(differences)
    assert not found.exact
    exact = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=1
    )
    assert found.p == pytest.approx(exact.pvalue, abs=0.02)
    with pytest.raises(ValueError, match="finite"):
        sign_flip([0.1, np.nan])


def test_no_difference_is_found_more_often_than_its_p_says():
    rng = np.random.default_rng(3)
    p = np.array([sign_flip(rng.normal(0, 1, 7)).p for _ in range(2000)])
    for level in (2 / 2**7, 0.05, 0.25):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level / len(p))


def test_seed_and_subject_variance_are_kept_apart():
    rng = np.random.default_rng(0)
    drawn = [
        spread(rng.normal(0, 0.02, (3, 1)) + rng.normal(0, 0.1, 7) + rng.normal(0, 0.01, (3, 7)))
        for _ in range(2000)
    ]
    for name, true in (("seed_sd", 0.02), ("subject_sd", 0.1), ("rest_sd", 0.01)):
        mean = np.mean([getattr(one, name) ** 2 for one in drawn])
        assert mean == pytest.approx(true**2, rel=0.1), name
    same = spread(np.tile([0.2, 0.5, 0.9], (3, 1)))
    assert same.seed_sd == same.rest_sd == pytest.approx(0, abs=1e-12)
    assert same.subject_sd == pytest.approx(np.std([0.2, 0.5, 0.9], ddof=1))
    one = spread(np.array([[0.2, 0.5, np.nan]]))
    assert (one.seed_sd, one.subjects) == (None, 2)
    assert one.subject_sd == pytest.approx(np.std([0.2, 0.5], ddof=1))
    assert spread(np.array([[0.2]])).subject_sd is None


def test_models_are_compared_over_the_subjects_that_both_have_seeds_averaged():
    rows = [
        {"model": model, "seed": seed, "subject": s, "value": value + bump * (seed - 1)}
        for model, bump in (("ours", 0.02), ("theirs", 0.0))
        for seed in (0, 1, 2)
        for s, value in enumerate((0.5, 0.6, 0.7) if model == "theirs" else (0.6, 0.65, 0.9))
    ]
    rows += [{"model": "ours", "seed": 0, "subject": 9, "value": 0.1}]
    rows += [{"model": "theirs", "seed": 0, "subject": 9, "value": np.nan}]
    (row,) = compare_models(pd.DataFrame(rows), "ours").to_dict("records")
    assert (row["model"], row["reference"], row["n"], row["seeds"]) == ("theirs", "ours", 3, 3)
    assert row["difference"] == pytest.approx(-np.mean([0.1, 0.05, 0.2]))
    assert row["p"] == row["smallest"] == 0.25
    assert compare_models(pd.DataFrame(rows), "nobody").empty
