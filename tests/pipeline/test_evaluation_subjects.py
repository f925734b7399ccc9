"""Scores of single subjects and of whole sessions, with scikit-learn as judge."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from pipeline.evaluation import SCORERS, ClassOutputs, EvalParams
from pipeline.evaluation.subjects import subject_scores

CLASSES = ("CA1", "DG", "cortex")


def answers(rng, subjects=4, channels=5, each=3):
    rows = [
        (f"s{s}", f"s{s}x{s % 2}", f"A:{c}", CLASSES[(c + s) % 3])
        for s in range(subjects) for c in range(channels) for _ in range(each)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["subject", "session", "channel", "region"])
    frame["start_s"] = np.tile(np.arange(each) * 3.0, subjects * channels)
    proba = rng.dirichlet(np.ones(3), len(frame))
    return proba, frame


def test_each_subject_has_the_score_that_scikit_learn_gives_its_rows():
    proba, frame = answers(np.random.default_rng(0))
    truth = frame.pop("region").to_numpy()
    truth[:3] = None  # a channel without a label does not count
    rows = subject_scores(ClassOutputs(proba, CLASSES), truth, frame, EvalParams())
    said = np.array(CLASSES)[proba.argmax(axis=1)]
    known = np.array([t is not None for t in truth])
    found = {(r.metric, r.level, r.detail): r for r in rows}
    assert len(found) == 2 * 2 * 4
    for subject in frame["subject"].unique():
        mine = known & (frame["subject"] == subject).to_numpy()
        row = found["subject_balanced_accuracy", "window", subject]
        assert row.value == pytest.approx(balanced_accuracy_score(truth[mine], said[mine]))
        assert (row.n, row.chance) == (mine.sum(), 1 / len(set(truth[mine])))
        raw = found["subject_accuracy", "window", subject]
        assert raw.value == pytest.approx((truth[mine] == said[mine]).mean())


def test_one_subject_alone_has_no_row_and_one_class_no_balanced_accuracy():
    proba, frame = answers(np.random.default_rng(1), subjects=2)
    truth = np.where(frame["subject"] == "s0", "CA1", frame["region"])
    rows = subject_scores(ClassOutputs(proba, CLASSES), truth, frame, EvalParams())
    (alone,) = [r for r in rows if (r.metric, r.level, r.detail) ==
                ("subject_balanced_accuracy", "window", "s0")]  # fmt: skip
    assert alone.value is None
    assert alone.reason == "one class in this subject: CA1"
    mine = frame["subject"] == "s0"
    one = subject_scores(ClassOutputs(proba[mine], CLASSES), truth[mine], frame[mine], EvalParams())
    assert one == []


def test_a_session_is_one_sample_whose_answer_is_the_mean_over_its_labelled_rows():
    rng = np.random.default_rng(2)
    proba, frame = answers(rng, subjects=6)
    proba, classes = proba[:, :2] / proba[:, :2].sum(axis=1, keepdims=True), ("control", "diseased")
    ill = frame["subject"].isin(["s0", "s2", "s3"])
    truth = np.where(ill, "diseased", "control").astype(object)
    truth[frame["channel"] == "A:0"] = None  # outside every region: not part of the answer
    params = EvalParams(levels=("session",), draws=20)
    rows = SCORERS["classes"](ClassOutputs(proba, classes), truth, frame, params)
    (row,) = [r for r in rows if r.metric == "balanced_accuracy"]
    kept = pd.DataFrame(proba, columns=list(classes))[frame["channel"] != "A:0"]
    means = kept.groupby(frame["session"][kept.index]).mean()
    said = means.idxmax(axis=1)
    true = pd.Series(truth)[kept.index].groupby(frame["session"][kept.index]).first()
    assert (row.n, row.level) == (6, "session")
    assert row.value == pytest.approx(balanced_accuracy_score(true, said))
    regions = frame["region"].to_numpy(object)
    with pytest.raises(ValueError, match="windows of one session carry different labels"):
        SCORERS["classes"](ClassOutputs(proba, classes), regions, frame, params)
