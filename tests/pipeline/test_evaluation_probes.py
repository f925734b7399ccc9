import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.evaluation import (
    FeatureMapping,
    ProbeParams,
    linear_probe,
    permuted_labels,
    read_feature_file,
)
from pipeline.evaluation.folds import held_out_groups, session_blocks, time_block_folds

QUICK = {"draws": 20}


def clouds(seed, n=240, groups=6, shift=1.5):
    rng = np.random.default_rng(seed)
    labels = rng.choice(["CA1", "DG", "VIS"], n, p=[0.6, 0.3, 0.1])
    features = rng.normal(size=(n, 5)) * [1, 10, 0.1, 1, 1]
    features[:, 0] += shift * (labels == "DG")
    features[:, 2] += 0.1 * shift * (labels == "VIS")
    return features, labels, rng.choice([f"m{i}" for i in range(groups)], n)


def find(result, metric, level="pooled", detail=""):
    (row,) = [r for r in result.scores if (r.metric, r.level, r.detail) == (metric, level, detail)]
    return row


@pytest.mark.parametrize("weight", ["balanced", "none"])
def test_held_out_predictions_equal_those_of_scikit_learn(weight):
    features, labels, groups = clouds(0)
    result = linear_probe(features, labels, groups, ProbeParams(class_weight=weight, **QUICK))
    model = LogisticRegression(class_weight=None if weight == "none" else weight, max_iter=2000)
    peer = cross_val_predict(
        make_pipeline(StandardScaler(), model), features, labels, groups=groups,
        cv=LeaveOneGroupOut(),
    )  # fmt: skip
    assert (result.predicted == peer).all()
    expected = balanced_accuracy_score(labels, peer)
    assert find(result, "balanced_accuracy").value == pytest.approx(expected)


def test_each_fold_has_its_own_chance_and_count():
    features, labels, groups = clouds(1)
    labels[(groups == "m0") & (labels == "VIS")] = "DG"
    result = linear_probe(features, labels, groups, ProbeParams(**QUICK))
    row = find(result, "balanced_accuracy", "fold", "m0")
    assert row.chance == 0.5
    assert row.n == (groups == "m0").sum()
    assert find(result, "balanced_accuracy", "fold", "m1").chance == pytest.approx(1 / 3)
    assert find(result, "balanced_accuracy").low is not None


def test_shuffled_labels_score_at_chance_and_real_ones_above():
    features, labels, groups = clouds(2, n=1500, shift=2.5)
    params = ProbeParams(**QUICK)
    shuffled = permuted_labels(labels, groups, np.random.default_rng(0))
    real = find(linear_probe(features, labels, groups, params), "balanced_accuracy")
    null = find(linear_probe(features, shuffled, groups, params), "balanced_accuracy")
    assert real.value > 0.7
    assert null.value == pytest.approx(1 / 3, abs=0.06)


def test_fewer_than_two_classes_give_no_value_but_a_reason():
    features, labels, groups = clouds(3)
    for few in (np.full(len(labels), "CA1"), np.full(len(labels), None)):
        result = linear_probe(features, few, groups)
        assert all(r.value is None and "needs 2" in r.reason for r in result.scores)
    only = np.where(groups == "m0", "DG", "CA1")  # leaving m0 out leaves one class
    result = linear_probe(features, only, groups, ProbeParams(**QUICK))
    assert "training holds 1 class" in find(result, "accuracy", "fold", "m0").reason
    assert (result.predicted[groups == "m0"] == None).all()  # noqa: E711


def test_unlabelled_and_infinite_samples_are_never_used():
    features, labels, groups = clouds(4)
    labels = labels.astype(object)
    labels[:20], features[20:30, 1] = None, np.nan
    result = linear_probe(features, labels, groups, ProbeParams(**QUICK))
    assert all(p is None for p in result.predicted[:30])
    assert find(result, "accuracy").n == len(labels) - 30


def test_the_cap_draws_the_same_rows_for_the_same_seed():
    features, labels, groups = clouds(5)
    few = ProbeParams(max_rows=100, **QUICK)
    first, again = (linear_probe(features, labels, groups, few) for _ in range(2))
    assert find(first, "accuracy").n == 100
    assert (first.predicted == again.predicted).all()
    other = linear_probe(features, labels, groups, few.model_copy(update={"seed": 1}))
    assert (first.predicted != other.predicted).any()


def test_every_group_is_held_out_once_also_when_folds_are_capped():
    groups = np.array([f"g{i % 13}" for i in range(60)], dtype=object)
    for cap in (100, 4):
        folds = list(held_out_groups(groups, cap, seed=0))
        assert len(folds) == min(13, cap)
        assert (np.sum([f.test for f in folds], axis=0) == 1).all()
        for fold in folds:
            assert not set(groups[fold.test]) & set(groups[fold.train])


@pytest.mark.parametrize("gap_s", [0.0, 7.0])
def test_a_gap_of_time_lies_between_training_and_test(gap_s):
    start = np.tile(3.0 * np.arange(50), 2)
    session = np.repeat(["a", "b"], 50)
    block = session_blocks(start, session, 5)
    folds = list(time_block_folds(start, session, block, gap_s))
    assert (np.sum([f.test for f in folds], axis=0) == 1).all()
    for fold in folds:
        assert set(session[fold.test]) == {"a", "b"}
        for name in "ab":
            mine = session == name
            distance = np.abs(start[mine & fold.test][:, None] - start[mine & fold.train])
            assert distance.min() >= gap_s


def test_session_identity_is_read_by_time_blocks():
    rng = np.random.default_rng(0)
    start, session = np.tile(3.0 * np.arange(60), 3), np.repeat(["a", "b", "c"], 60)
    features = rng.normal(size=(180, 4))
    features[:, 0] += 6 * (session == "b") - 6 * (session == "c")
    params = ProbeParams(scheme="time blocks", gap_s=9, **QUICK)
    result = linear_probe(features, session, session, params, start_s=start)
    row = find(result, "balanced_accuracy")
    assert row.value > 0.95
    assert row.chance == pytest.approx(1 / 3)
    assert row.reason == "interval over 15 time blocks"
    with pytest.raises(ValueError, match="start_s"):
        linear_probe(features, session, session, params)


@pytest.mark.real
def test_real_ibl_powers_tell_five_regions_apart_in_laboratories_never_seen(real_data):
    mapping = FeatureMapping(
        features=("lfp_power", "theta_power"), source="lab", subject="subject", session="eid",
        probe="probe", region="region",
    )  # fmt: skip
    table = read_feature_file(
        real_data / "features" / "ibl_reproducible_lfp_power.parquet", mapping
    )
    assert (len(table.rows), table.dropped) == (322, 445 - 322)
    result = linear_probe(
        table.features, table.rows["region"], table.rows["source"], group_kind="lab"
    )
    row = find(result, "balanced_accuracy")
    assert (round(row.value, 2), round(row.low, 2), row.chance) == (0.70, 0.64, 0.2)
    assert row.high == pytest.approx(0.75, abs=0.006)
    assert row.n == 322
    assert row.reason == "interval over 11 labs"
    assert len(pd.unique(table.rows["subject"])) == 83
