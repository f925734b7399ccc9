import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as peer

from pipeline.evaluation import (
    SCORERS,
    ClassOutputs,
    EvalParams,
    IntervalParams,
    ScoreRow,
    classification_scores,
    score_frame,
)
from pipeline.evaluation.scorers import average_windows

QUICK = IntervalParams(draws=50)


def one(rows, metric, level="window", detail=""):
    (row,) = [r for r in rows if (r.metric, r.level, r.detail) == (metric, level, detail)]
    return row


def random_labels(seed, n=200):
    rng = np.random.default_rng(seed)
    names = np.array(["CA1", "CA3", "DG", "cortex", "never in the test"])
    truth = rng.choice(names[:4], n, p=[0.5, 0.05, 0.15, 0.3])
    said = np.where(rng.random(n) < 0.5, truth, rng.choice(names, n))
    return truth, said, rng.choice(list("abcdef"), n), tuple(names)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_scores_equal_scikit_learn(seed):
    truth, said, subject, classes = random_labels(seed)
    rows = classification_scores(truth, said, subject, classes, interval=QUICK)
    present = sorted(set(truth))
    f1 = peer.f1_score(truth, said, labels=present, average="macro")
    assert one(rows, "accuracy").value == pytest.approx(peer.accuracy_score(truth, said))
    assert one(rows, "balanced_accuracy").value == pytest.approx(
        peer.balanced_accuracy_score(truth, said)
    )
    assert one(rows, "macro_f1").value == pytest.approx(f1)
    recall = peer.recall_score(truth, said, labels=present, average=None)
    assert [one(rows, "recall", detail=c).value for c in present] == pytest.approx(list(recall))
    matrix = peer.confusion_matrix(truth, said, labels=classes)
    cells = {r.detail: r.value for r in rows if r.metric == "confusion"}
    assert cells == {
        f"{t} > {s}": matrix[i, j]
        for i, t in enumerate(classes) for j, s in enumerate(classes) if matrix[i, j]
    }  # fmt: skip


def test_chance_is_what_guessing_earns():
    truth, _, subject, classes = random_labels(1)
    majority = pd.Series(truth).mode()[0]
    rows = classification_scores(truth, [majority] * len(truth), subject, classes, interval=QUICK)
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        row = one(rows, metric)
        assert row.value == pytest.approx(row.chance)


def test_a_class_absent_from_the_test_is_undefined_and_does_not_lower_the_balance():
    rows = classification_scores(["a", "b"], ["a", "b"], [0, 1], ("a", "b", "c"), interval=QUICK)
    assert one(rows, "balanced_accuracy").value == 1
    assert one(rows, "balanced_accuracy").chance == 0.5
    absent = one(rows, "recall", detail="c")
    assert absent.value is None
    assert "absent" in absent.reason


def test_probability_columns_are_matched_to_labels_by_name():
    proba = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    rows = classification_scores(["DG", "CA1", "DG"], proba, None, ("DG", "CA1"))
    assert one(rows, "accuracy").value == 1
    loss = peer.log_loss(["DG", "CA1", "DG"], proba[:, ::-1], labels=["CA1", "DG"])
    assert one(rows, "log_loss").value == pytest.approx(loss)
    with pytest.raises(ValueError, match="2 probability columns, 3 class names"):
        classification_scores(["DG", "CA1", "DG"], proba, None, ("DG", "CA1", "CA3"))


def test_unlabelled_samples_are_left_out_and_unanswered_ones_are_wrong():
    rows = classification_scores(
        ["a", "b", None, "unknown", float("nan")], ["a", None, "a", "a", "a"], range(5)
    )
    assert one(rows, "accuracy").value == 0.5
    assert one(rows, "accuracy").n == 2
    assert one(rows, "coverage").value == 0.5
    assert one(rows, "accuracy_answered").value == 1


def test_nothing_labelled_or_one_class_gives_no_value_but_a_reason():
    assert all(r.value is None and r.reason for r in classification_scores([None], ["a"]))
    rows = classification_scores(["a", "a"], ["a", "b"])
    assert one(rows, "accuracy").value == 0.5
    assert one(rows, "balanced_accuracy").value is None
    assert "one class" in one(rows, "balanced_accuracy").reason


def test_two_subjects_make_no_interval():
    row = one(classification_scores(list("abab"), list("abba"), list("xxyy")), "accuracy")
    assert row.low is None
    assert row.high is None
    assert "needs 3 subjects" in row.reason


def test_the_interval_resamples_subjects_as_a_plain_loop_does():
    truth, said, subject, _ = random_labels(3)
    row = one(classification_scores(truth, said, subject), "balanced_accuracy")
    rng, names, draws = np.random.default_rng(9), np.unique(subject), []
    rows_of = {name: np.flatnonzero(subject == name) for name in names}
    for _ in range(1000):
        rows = np.concatenate([rows_of[name] for name in rng.choice(names, len(names))])
        right = truth[rows] == said[rows]
        draws.append(np.mean([right[truth[rows] == c].mean() for c in set(truth[rows])]))
    assert (row.low, row.high) == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.01)
    assert row.reason is None


def test_the_same_seed_gives_the_same_interval_and_another_does_not():
    truth, said, subject, _ = random_labels(4)

    def ends(seed):
        interval = IntervalParams(draws=50, seed=seed)
        row = one(classification_scores(truth, said, subject, interval=interval), "accuracy")
        return row.low, row.high

    assert ends(0) == ends(0)
    assert ends(0) != ends(1)


def channels_of_windows():
    """Two channels per subject, eleven windows each; a channel is right in most of its windows."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        [(s, f"{s}-1", c, 3.0 * w) for s in "abcd" for c in range(2) for w in range(11)],
        columns=["subject", "session", "channel", "start_s"],
    )
    truth = np.where(frame["channel"] == 0, "CA1", "DG")
    right = rng.random(len(frame)) < 0.8
    first = np.where((truth == "CA1") == right, 0.8, 0.2)
    return np.stack([first, 1 - first], axis=1), truth, frame


def test_channels_are_scored_on_the_mean_probability_of_their_windows():
    proba, truth, frame = channels_of_windows()
    rows = SCORERS["classes"](
        ClassOutputs(proba, ("CA1", "DG")), truth, frame, EvalParams(draws=20)
    )
    window, channel = one(rows, "accuracy"), one(rows, "accuracy", "channel")
    mean = frame.assign(p=proba[:, 0], t=truth).groupby(["session", "channel", "t"])["p"].mean()
    said = np.where(mean > 0.5, "CA1", "DG")
    assert channel.n == 8
    assert channel.value == (said == mean.index.get_level_values("t")).mean()
    assert window.value == ((proba[:, 0] > 0.5) == (truth == "CA1")).mean()


def test_a_channel_without_a_label_is_averaged_and_then_left_out():
    proba, truth, frame = channels_of_windows()
    truth = truth.astype(object)
    truth[(frame["session"] == "a-1") & (frame["channel"] == 0)] = float("nan")
    outputs = ClassOutputs(proba, ("CA1", "DG"))
    rows = SCORERS["classes"](outputs, truth, frame, EvalParams(draws=20))
    assert one(rows, "accuracy", "channel").n == 7
    assert average_windows(proba, truth, frame)[1][0] is None


def test_with_one_subject_the_interval_is_over_time_blocks_and_says_so():
    proba, truth, frame = channels_of_windows()
    mine = (frame["subject"] == "a").to_numpy()
    outputs = ClassOutputs(proba[mine], ("CA1", "DG"))
    rows = SCORERS["classes"](outputs, truth[mine], frame[mine], EvalParams(draws=20))
    assert one(rows, "accuracy").reason == "interval over 10 time blocks"
    assert one(rows, "accuracy", "channel").low is None


def test_windows_of_one_channel_with_two_labels_are_refused():
    proba, truth, frame = channels_of_windows()
    truth[0] = "CA3"
    with pytest.raises(ValueError, match="different labels"):
        SCORERS["classes"](ClassOutputs(proba, ("CA1", "DG")), truth, frame, EvalParams())


def test_doubt_becomes_unknown_below_the_threshold():
    proba = np.array([[0.9, 0.1], [0.55, 0.45], [0.2, 0.8]])
    frame = pd.DataFrame({"subject": list("abc"), "session": list("abc"), "channel": [0, 0, 0]})
    params = EvalParams(levels=("window",), unknown_below=0.7, draws=10)
    rows = SCORERS["classes"](ClassOutputs(proba, ("a", "b")), list("aab"), frame, params)
    assert one(rows, "coverage").value == pytest.approx(2 / 3)
    assert one(rows, "confusion", detail="a > unknown").value == 1
    assert len({(r.metric, r.level, r.detail) for r in rows}) == len(rows)


def test_a_score_is_a_number_or_a_reason():
    with pytest.raises(ValueError, match="None with a reason"):
        ScoreRow("accuracy", "window", float("nan"), None, 3)
    with pytest.raises(ValueError, match="no reason"):
        ScoreRow("accuracy", "window", None, None, 0)
    assert list(score_frame([])) == list(ScoreRow.__dataclass_fields__)
