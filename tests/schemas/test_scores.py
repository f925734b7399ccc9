"""One view over every score, and what each score must say."""

import numpy as np
import pandas as pd
import pytest

COLUMNS = [
    "study", "table", "model", "split", "fold", "seed", "level", "scheme", "target", "metric",
    "detail", "value", "chance", "n", "n_groups", "low", "high", "reason", "published",
]  # fmt: skip
WITHOUT_CHANCE = ("ece", "coverage", "null_log_likelihood")


@pytest.fixture(scope="module")
def scores(lab, tables):
    return tables.scores()


def test_the_view_has_one_row_for_each_stored_score(lab, scores):
    from schemas import analysis

    stored = sum(
        len(table.Score())
        for table in (
            analysis.Evaluation, analysis.LinearProbe, analysis.Silhouette, analysis.Control,
            analysis.LabelScore,
        )
    )  # fmt: skip
    assert list(scores.columns) == COLUMNS
    assert len(scores) == stored
    assert set(scores["table"]) >= {"Evaluation", "LinearProbe", "Silhouette", "Control"}


def test_one_study_is_asked_for_by_name(lab, tables, scores):
    for name in lab.specs:
        alone = tables.scores(name)
        assert set(alone["study"]) == {name}
        assert len(alone) == (scores["study"] == name).sum() > 0
    assert tables.scores("no such study").empty


def test_every_score_has_a_value_or_a_reason(scores):
    undefined = scores[scores["value"].isna()]
    assert undefined["reason"].notna().all()
    assert scores["value"].notna().sum() > 100
    assert np.isfinite(scores["value"].dropna()).all()


def test_every_value_says_how_many_rows_it_is_made_from(scores):
    assert (scores.loc[scores["value"].notna(), "n"] > 0).all()
    assert (scores["n"] >= 0).all()


def test_every_value_has_an_interval_or_the_reason_why_not(scores):
    without = scores[scores["value"].notna() & (scores["low"].isna() | scores["high"].isna())]
    assert without["reason"].notna().all()
    ranged = scores.dropna(subset=["low", "high"])
    assert len(ranged) > 50
    assert (ranged["low"] <= ranged["high"]).all()


def test_accuracies_stand_beside_chance(scores):
    rates = scores[scores["metric"].isin(["accuracy", "balanced_accuracy", "silhouette"])]
    valued = rates[rates["value"].notna()]
    assert valued["chance"].notna().all()
    named = scores["metric"].isin(["accuracy", "balanced_accuracy"])
    assert scores.loc[named & scores["chance"].notna(), "chance"].between(0, 1).all()


def test_every_fold_and_all_folds_together_are_there(lab, scores):
    mine = scores[(scores["study"] == "subjects") & (scores["table"] == "Evaluation")]
    assert set(mine["fold"].dropna()) == {0, 1}
    pooled = mine[
        mine["fold"].isna() & (mine["metric"] == "accuracy") & (mine["level"] == "window")
    ]
    single = mine[
        mine["fold"].notna() & (mine["metric"] == "accuracy") & (mine["level"] == "window")
    ]
    for model in ("band power", "tiny"):
        parts, whole = single[single["model"] == model], pooled[pooled["model"] == model]
        assert parts["n"].sum() == whole["n"].item()
        weighted = (parts["value"] * parts["n"]).sum() / parts["n"].sum()
        assert whole["value"].item() == pytest.approx(weighted)
        assert whole["n_groups"].item() == 3


def test_an_accuracy_is_what_the_stored_predictions_say(lab, scores):
    """Independent oracle: most likely class against label, straight from the tables."""
    from schemas import analysis, prediction, training
    from schemas._roles import member_windows

    mine = scores[
        (scores["study"] == "subjects") & (scores["model"] == "band power")
        & (scores["table"] == "Evaluation") & scores["fold"].isna()
        & (scores["metric"] == "accuracy") & (scores["level"] == "window")
    ]  # fmt: skip
    right = total = 0
    named = {"eval_model": "band power", "eval_split": mine["split"].item()}
    task = analysis.EvaluationTask & named & "eval_fold is null"
    inputs = analysis.EvaluationInput * prediction.PredictionTask * prediction.Prediction & task
    for row in inputs.to_dicts():
        windowset = member_windows(row["input_split"], row["windows"])
        truth = windowset.channels["region"].to_numpy()[row["site_index"].load()]
        said = np.array(row["output_classes"])[row["outputs"].load().argmax(axis=1)]
        known = np.array([name is not None for name in truth])
        right, total = right + (truth == said)[known].sum(), total + known.sum()
        assert len(training.Training & {"training": row["training"]}) == 1
    assert mine["n"].item() == total
    assert mine["value"].item() == pytest.approx(right / total)


def test_a_published_value_stands_beside_ours_where_all_folds_are_pooled(scores):
    told = scores[scores["published"].notna()]
    assert set(told["published"]) == {0.645}
    assert set(told["model"]) == {"tiny"}
    assert set(told["metric"]) == {"balanced_accuracy"}
    assert told["fold"].isna().all()


def test_controls_stand_beside_what_they_are_controls_of(scores):
    controls = scores[scores["table"] == "Control"]
    asked = {"permuted_labels", "phase_randomised", "relabelled"}
    assert set(controls["target"]) == asked | {"independent_channels"}
    shuffled = controls[controls["target"] == "permuted_labels"]
    assert (shuffled["value"] - shuffled["chance"]).abs().max() < 0.35


def test_spikes_are_scored_by_the_same_tables(scores):
    rates = scores[scores["study"] == "spikes"]
    assert {"co_bps"} <= set(rates["metric"])
    assert rates.loc[rates["metric"] == "co_bps", "chance"].dropna().eq(0).all()


def test_the_confusion_matrix_adds_up_to_the_rows_scored(lab, tables):
    from schemas import analysis

    cells = (analysis.Evaluation.Confusion & {"level": "window"}).to_pandas().reset_index()
    counts = (analysis.Evaluation.Score & {"metric": "accuracy", "level": "window"}).to_pandas()
    counts = counts.reset_index().query("detail.isna()")
    total = cells.groupby("evaluation")["n_confused"].sum()
    assert len(total) > 2
    pd.testing.assert_series_equal(
        total, counts.set_index("evaluation")["n"].loc[total.index], check_names=False
    )


def test_restricting_the_tables_by_hand_gives_the_same_numbers(scores):
    from schemas import analysis

    by_hand = (
        analysis.Evaluation.Score * analysis.EvaluationTask
        & {"eval_model": "tiny", "metric": "macro_f1"}
    ).to_arrays("value")
    mine = scores[(scores["model"] == "tiny") & (scores["metric"] == "macro_f1")]
    mine = mine[mine["table"] == "Evaluation"]["value"]
    np.testing.assert_allclose(
        np.sort(np.array(by_hand, float)), np.sort(mine.to_numpy()), equal_nan=True
    )
