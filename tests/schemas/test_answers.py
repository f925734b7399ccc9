"""Answers after post-processing: what they learned from, what is stored and how it is scored."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def fold(lab, tables):
    """A finished band-power training that two mice made, and the windows of the third."""
    from schemas import dataset, training

    named = tables.scores("subjects").query("model == 'band power'")
    split = named["split"].iloc[0]
    for task in (training.TrainingTask & {"split": split}).to_dicts(order_by="fold"):
        family = (training.ModelParamSet & {"model": task["model"]}).fetch1("family")
        parts = dataset.SplitAssignment & {"split": split, "fold": task["fold"]}
        heard = sorted(set((parts & {"role": "train"}).to_arrays("windows")))
        if family == "band_power" and len(heard) == 2:
            tested = sorted(set((parts & {"role": "test"}).to_arrays("windows")))
            return task, heard, tested
    raise AssertionError("no fold with two training mice")


@pytest.fixture(scope="module")
def decoded(fold, tables):
    """The stored row of an adapted decoder's answer."""
    from pipeline.analyses.postprocess import DecoderParams, PostprocessParams
    from schemas import prediction

    params = PostprocessParams(
        temporal="log_mean", spatial="decoder", decoder=DecoderParams(emission="adapted")
    )
    post = prediction.PostprocessParamSet.register(None, params)
    task, _, tested = fold
    key = prediction.PredictionTask.ensure(training=task["training"], windows=tested[0], **post)
    prediction.Prediction.populate(key)
    return (prediction.Prediction & key).fetch1()


def test_what_was_learned_is_of_training_mice_only_and_lies_beside_the_answer(fold, decoded):
    from pipeline.analyses.learned import Learned
    from schemas._roles import member_windows

    task, heard, tested = fold
    learned = Learned.from_json(decoded["learned"])
    labels = [
        name for one in heard
        for name in member_windows(task["split"], one).channels["region"] if name is not None
    ]  # fmt: skip
    assert learned.n_training == len(labels)
    share = [labels.count(name) / len(labels) for name in learned.classes]
    assert learned.share == pytest.approx(share)
    assert learned.prior.n_probes == learned.emission.n_subjects == 2
    assert learned.n_validation == 0


def test_labels_outside_the_scheme_are_regions_the_decoder_knows_of(fold):
    from schemas._learned import all_labels
    from schemas._roles import member_windows

    task, heard, _ = fold
    for name in heard:
        windowset = member_windows(task["split"], name)
        counted = windowset.channels["region"].to_numpy()
        known = np.array(all_labels(windowset), dtype=object)
        said = np.array([label is not None for label in counted])
        assert (known[said] == counted[said]).all()
        assert set(known[~said]) <= {None, "LP"}  # thalamus; above the surface says nothing


def test_probabilities_of_classes_and_of_none_of_them_are_stored(decoded, tables):
    said = tables.prediction.Prediction.ChannelPrediction & {"prediction": decoded["prediction"]}
    rows = said.to_dicts()
    assert len(rows) == 10
    for row in rows:
        assert set(row["probabilities"]) == {*decoded["output_classes"], "unknown"}
        assert sum(row["probabilities"].values()) == pytest.approx(1.0, abs=1e-4)
        best = max(decoded["output_classes"], key=row["probabilities"].get)
        assert row["probabilities"][row["best"]] == pytest.approx(row["probabilities"][best])


def test_another_answer_of_the_same_training_takes_what_was_learned(decoded, fold, monkeypatch):
    from schemas import _learned, prediction

    def again(*_):
        raise AssertionError("learned twice")

    monkeypatch.setattr(_learned, "load_role", again)
    task = (prediction.PredictionTask & {"prediction": decoded["prediction"]}).fetch1()
    params = prediction.PostprocessParamSet.get(task)
    assert _learned.learned_for(task, params, (), again) == decoded["learned"]


def test_answers_after_post_processing_are_scored_beside_raw_ones(lab, tables):
    """Independent oracle: stored leading region against label, counted here."""
    from schemas import analysis, prediction
    from schemas._roles import member_windows

    scores = tables.scores("subjects").query(
        "model == 'band power' and table == 'Evaluation' and metric == 'accuracy' and fold.isna()"
    )
    assert set(scores["level"]) == {"window", "channel", "post-processed"}
    mine = scores[scores["level"] == "post-processed"]
    named = {"eval_model": "band power", "eval_split": mine["split"].item()}
    task = analysis.EvaluationTask & named & "eval_fold is null"
    right = total = 0
    for row in (analysis.EvaluationInput * prediction.PredictionTask & task).to_dicts():
        channels = member_windows(row["input_split"], row["windows"]).channels
        truth = {(c.probe, c.channel): c.region for c in channels.itertuples()}
        said = prediction.Prediction.ChannelPrediction & {"prediction": row["prediction"]}
        for one in (said & "n_voting > 0").to_dicts():
            label = truth[one["probe"], one["channel"]]
            total += label is not None
            right += label is not None and label == one["best"]
    assert mine["n"].item() == total > 0
    assert mine["value"].item() == pytest.approx(right / total)
    assert mine["chance"].notna().all()
