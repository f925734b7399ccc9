"""A stated risk from a study file to stored answers, scores and sentences."""

import numpy as np
import pandas as pd
import pytest

TARGET = 0.1


@pytest.fixture(scope="module")
def shy(tables, tmp_path_factory):
    """Eight mice whose two regions overlap; two of them check, two are tested."""
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    folder = tmp_path_factory.mktemp("shy")
    write_mice(folder / "mice.parquet", 8)
    spec = StudySpec.model_validate(study("shy", validation=2))
    assert not run_study(spec, base=folder).failed
    return spec, tables.scores("shy")


def write_mice(path, mice):
    rng, rows = np.random.default_rng(7), []
    for mouse in range(mice):
        for wire, region in enumerate(("CA1", "DG") * 40):
            power = rng.normal() + 1.6 * (region == "DG")
            where = {"lab": "shy", "mouse": f"m{mouse}", "wire": f"w{wire}", "region": region}
            rows.append({**where, "power": power})
    pd.DataFrame(rows).to_parquet(path)


def study(name, validation, mice=8):
    mapping = {"features": ["power"], "source": "lab", "subject": "mouse", "channel": "wire",
               "region": "region"}  # fmt: skip
    return {
        "study": {"name": name},
        "data": {"recordings": ["mice.parquet"], "modalities": ["features"], "labels": "as_given",
                 "mapping": mapping},
        "split": {"by": "subject", "folds": "k-fold", "k": mice // 2, "validation": validation},
        "model": [{"name": "power", "family": "external"}],
        "analyses": {"evaluation": {"draws": 50},
                     "postprocess": {"unknown_below": 0.5, "risk": {"target": TARGET}}},
    }  # fmt: skip


def predictions(tables, name):
    """Stored predictions of a study, with what was asked."""
    from schemas import dataset, prediction

    asked = dataset.StudyMember & {"study": name, "member_table": "prediction_task"}
    names = [{"prediction": member} for member in asked.to_arrays("member")]
    return (prediction.Prediction * prediction.PredictionTask & names).to_dicts()


def test_what_was_stored_is_answered_from_the_threshold_on_and_not_below(shy, tables):
    from pipeline.analyses.learned import Learned

    rows = predictions(tables, "shy")
    assert len(rows) == 8
    for row in rows:
        chosen = Learned.from_json(row["learned"]).abstain
        assert (chosen.n, chosen.n_subjects) == (160, 2)
        assert chosen.risk <= TARGET < 0.5 < chosen.least < 1
        said = tables.prediction.Prediction.ChannelPrediction & {"prediction": row["prediction"]}
        for one in said.to_dicts():
            answered = one["predicted"] != "unknown"
            assert answered == (one["confidence"] >= chosen.least)
            assert answered or "chosen for 0.1 wrong at most" in one["refused"]


def test_error_and_coverage_of_tested_mice_are_stored_with_chance_count_and_interval(shy, tables):
    """Independent oracle: stored answers against the vectors' own labels, counted here."""
    from schemas._roles import member_windows

    _, scores = shy
    mine = scores[(scores["level"] == "post-processed") & scores["fold"].isna()]
    mine = mine.set_index(["metric", "detail"]).sort_index()
    wrong = answered = total = 0
    for row in predictions(tables, "shy"):
        channels = member_windows(mine["split"].iloc[0], row["windows"]).channels
        truth = {(c.probe, c.channel): c.region for c in channels.itertuples()}
        said = tables.prediction.Prediction.ChannelPrediction & {"prediction": row["prediction"]}
        for one in said.to_dicts():
            right = one["predicted"] == truth[one["probe"], one["channel"]]
            total, answered = total + 1, answered + (one["predicted"] != "unknown")
            wrong += one["predicted"] != "unknown" and not right
    risk, coverage = (mine.loc[(m, "asked 0.1")] for m in ("risk", "coverage"))
    assert risk["value"] == pytest.approx(wrong / answered)
    assert coverage["value"] == pytest.approx(answered / total)
    assert (risk["n"], coverage["n"], total) == (answered, 640, 640)
    assert risk["low"] <= risk["value"] <= risk["high"]
    assert coverage["low"] <= coverage["value"] <= coverage["high"]
    assert 0.3 < risk["chance"] < 0.7
    lines = mine.loc["threshold"]
    assert len(lines) == 4
    assert set(lines["n_groups"]) == {2}
    assert set(lines["n"]) == {160}
    assert all("2 validation subjects" in reason for reason in lines["reason"])


def test_the_report_says_what_was_asked_chosen_and_found(shy, tmp_path):
    from workers.study.report import write_report

    spec, scores = shy
    page = write_report(spec, tmp_path / "report.html").read_text()
    section = page.split('id="trust"')[1].split("</section>")[0]
    pooled = scores[scores["fold"].isna() & scores["detail"].fillna("").str.startswith("asked")]
    assert set(pooled["metric"]) == {"risk", "coverage", "threshold"}
    for row in pooled.itertuples():
        assert f"{row.value:.3f}" in section
    assert "chosen on 160 channels of 2 validation subjects" in section


def test_labels_of_tested_mice_have_no_part_in_the_threshold(shy, tables):
    row = predictions(tables, "shy")[0]
    before = row["learned"]
    tested, checked = (members(row, role) for role in ("test", "validation"))
    assert set(tested).isdisjoint(checked)
    assert learned_with_other_labels(row, tested) == before
    after = learned_with_other_labels(row, checked)
    assert after["abstain"] != before["abstain"]
    assert after["share"] == before["share"]


def members(row, role):
    """Label sets of the recordings that play a role in the fold of a prediction's training."""
    from schemas import dataset, training

    task = (training.TrainingTask & {"training": row["training"]}).fetch1()
    parts = dataset.SplitAssignment * dataset.SplitTask.proj("dataset") * dataset.DatasetMember
    mine = parts & {"split": task["split"], "fold": task["fold"], "role": role}
    return sorted(set(mine.to_arrays("label_set")))


def learned_with_other_labels(row, label_sets):
    """What would be learned if every region of these recordings were the other one."""
    from schemas import _learned, anatomy, prediction
    from schemas._infer import load_model

    regions = anatomy.ChannelLabel.Region & [{"label_set": one} for one in label_sets]
    kept = regions.to_dicts()
    flip(kept, {"CA1": "DG", "DG": "CA1"})
    try:
        return learn(row, _learned, load_model(row["training"], "cpu"), prediction)
    finally:
        flip(kept, {"CA1": "CA1", "DG": "DG"})


def flip(rows, to):
    from schemas import anatomy

    for row in rows:
        key = {name: row[name] for name in anatomy.ChannelLabel.Region.primary_key}
        anatomy.ChannelLabel.Region.update1({**key, "region": to[row["region"]]})


def learn(row, _learned, model, prediction):
    from pipeline.training.inference import predict_windows

    params = prediction.PostprocessParamSet.get(row)
    task = {"training": row["training"], "postprocess_params": "not stored"}
    return _learned.learned_for(
        task, params, row["output_classes"], lambda one: predict_windows(model, one)
    )


def test_without_validation_mice_the_fixed_threshold_counts_and_it_is_said(tables, tmp_path):
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    write_mice(tmp_path / "mice.parquet", 4)
    spec = StudySpec.model_validate(study("unchecked", validation=0, mice=4))
    assert not run_study(spec, base=tmp_path).failed
    for row in predictions(tables, "unchecked"):
        assert "abstain" not in row["learned"]
        assert "no validation subject with a label" in row["learned"]["note"]
        said = tables.prediction.Prediction.ChannelPrediction & {"prediction": row["prediction"]}
        assert set(said.to_arrays("predicted")) == {"CA1", "DG"}  # of two classes one has 0.5
    scores = tables.scores("unchecked")
    lines = scores[(scores["metric"] == "threshold")]
    assert lines["value"].isna().all()
    assert all("the risk asked is not kept" in reason for reason in lines["reason"])
