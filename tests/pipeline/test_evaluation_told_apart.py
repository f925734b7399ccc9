import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.evaluation import ProbeParams
from pipeline.evaluation.told_apart import matched_folds, told_apart

QUICK = ProbeParams(draws=200)


def labs_of(seed, labs=2, subjects=4, each=30, shift=1.0, own=0.7):
    """Features with a shift of each laboratory and one of each subject; labs and subjects."""
    rng = np.random.default_rng(seed)
    x, lab, who = [], [], []
    for number in range(labs):
        for animal in range(subjects):
            center = own * rng.normal(size=6)
            center[number] += shift
            x.append(center + rng.normal(size=(each + 5 * animal, 6)))
            lab += [f"lab {number}"] * len(x[-1])
            who += [f"lab {number}/m{animal}"] * len(x[-1])
    return np.concatenate(x), np.array(lab), np.array(who)


def value_of(rows, metric):
    (row,) = [row for row in rows if row.metric == metric]
    return row


def peer_answers(x, lab, who):
    """Probabilities by scikit-learn, each sample's from the fold that leaves it out."""
    fold = matched_folds(lab.astype(object), who.astype(object), QUICK.max_folds, QUICK.seed)
    proba = np.zeros((len(x), len(set(lab))))
    for k in set(fold):
        peer = LogisticRegression(class_weight="balanced", max_iter=2000)
        peer = make_pipeline(StandardScaler(), peer).fit(x[fold != k], lab[fold != k])
        proba[fold == k] = peer.predict_proba(x[fold == k])
    return fold, proba


def peer_auc(right, proba, fold):
    """Areas of the folds by scikit-learn, weighted by their pairs."""
    folds = [fold == k for k in set(fold)]
    areas = [roc_auc_score(right[f], proba[f]) for f in folds]
    return np.average(areas, weights=[right[f].sum() * (~right[f]).sum() for f in folds])


@pytest.mark.parametrize("labs", [2, 3])
def test_area_and_accuracy_equal_those_of_scikit_learn(labs):
    x, lab, who = labs_of(labs, labs)
    rows = told_apart(x, lab, who, QUICK)
    fold, proba = peer_answers(x, lab, who)
    names = sorted(set(lab))
    areas = [peer_auc(lab == name, proba[:, i], fold) for i, name in enumerate(names)]
    auc, balanced = value_of(rows, "auc"), value_of(rows, "balanced_accuracy")
    assert auc.value == pytest.approx(np.mean(areas), abs=1e-4)
    said = np.array(names)[proba.argmax(axis=1)]
    assert balanced.value == pytest.approx(balanced_accuracy_score(lab, said), abs=5e-3)
    assert 0.6 < auc.value < 0.999
    assert (auc.chance, balanced.chance) == (0.5, pytest.approx(1 / labs))
    assert auc.n == balanced.n == len(x)
    assert auc.low < auc.value < auc.high


def test_every_fold_tests_subjects_of_each_laboratory_and_fits_on_none_of_them():
    _, lab, who = labs_of(0, labs=3, subjects=5)
    few = ~np.isin(who, ["lab 1/m0", "lab 1/m1", "lab 1/m2"])
    lab, who = lab[few], who[few]
    fold = matched_folds(lab.astype(object), who.astype(object), 100, 0)
    assert set(fold) == {0, 1}
    for k in set(fold):
        assert set(who[fold == k]).isdisjoint(who[fold != k])
        assert set(lab[fold == k]) == set(lab[fold != k]) == set(lab)


def test_what_tells_subjects_but_not_laboratories_stays_at_chance():
    """Windows of one subject on both sides would make this close to 1."""
    rows = []
    for seed in range(10):
        x, lab, who = labs_of(seed, subjects=12, each=10, shift=0.0, own=3.0)
        rows.append(value_of(told_apart(x, lab, who, QUICK), "auc"))
    assert np.mean([row.value for row in rows]) == pytest.approx(0.5, abs=0.1)
    assert sum(row.low < 0.5 < row.high for row in rows) >= 8


def test_laboratories_far_apart_are_told_without_error():
    x, lab, who = labs_of(5, shift=30.0)
    rows = told_apart(x, lab, who, QUICK)
    assert [row.value for row in rows] == [1.0, 1.0]


def test_one_laboratory_has_no_value_and_says_why():
    x, lab, who = labs_of(1, labs=1)
    rows = told_apart(x, lab, who, QUICK, detail="each laboratory")
    assert [(row.metric, row.value, row.n) for row in rows] == [
        ("auc", None, 0), ("balanced_accuracy", None, 0)
    ]  # fmt: skip
    assert all("1 laboratory (lab 0), 4 subjects" in row.reason for row in rows)


def test_a_laboratory_of_one_subject_is_left_out_and_named():
    x, lab, who = labs_of(2, labs=3)
    lone = (lab == "lab 2") & (who != "lab 2/m0")
    rows = told_apart(x[~lone], lab[~lone], who[~lone], QUICK)
    two = (lab != "lab 2")[~lone]
    without = told_apart(x[~lone][two], lab[~lone][two], who[~lone][two], QUICK)
    assert value_of(rows, "auc").value == value_of(without, "auc").value
    assert "one subject each: lab 2" in value_of(rows, "auc").reason


def test_a_subject_of_two_laboratories_is_refused():
    x, lab, who = labs_of(3)
    with pytest.raises(ValueError, match="two laboratories"):
        told_apart(x, lab, np.char.replace(who, "lab 1", "lab 0"), QUICK)
