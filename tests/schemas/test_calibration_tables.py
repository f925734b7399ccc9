"""Calibration as a control, from a study file to stored bins, temperatures and the report."""

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.calibration import (
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
)


@pytest.fixture(scope="module")
def calibrated(tables, tmp_path_factory):
    """Two laboratories of five mice, one tested; regions overlap more in that one."""
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    folder = tmp_path_factory.mktemp("calibrated")
    write_mice(folder / "mice.parquet")
    spec = StudySpec.model_validate(study("calibrated", validation=2))
    assert not run_study(spec, base=folder).failed
    scores = tables.scores("calibrated")
    return spec, scores[scores["target"] == "calibration"]


def write_mice(path, wires=80, windows=1, mouse_name="m"):
    rng, rows = np.random.default_rng(11), []
    for lab, apart in (("home", 3.0), ("far", 0.8)):
        for mouse in range(5):
            for wire, region in enumerate(("CA1", "DG") * (wires // 2)):
                where = {
                    "lab": lab,
                    "mouse": f"{mouse_name}{mouse}",
                    "wire": f"w{wire}",
                    "region": region,
                }
                for start in range(windows):
                    power = rng.normal() + apart * (region == "DG")
                    rows.append({**where, "start": 3.0 * start, "power": power})
    pd.DataFrame(rows).to_parquet(path)


def study(name, **split):
    mapping = {"features": ["power"], "source": "lab", "subject": "mouse", "channel": "wire",
               "region": "region"}  # fmt: skip
    return {
        "study": {"name": name},
        "data": {"recordings": ["mice.parquet"], "modalities": ["features"], "labels": "as_given",
                 "mapping": mapping},
        "split": {"by": "lab", "folds": "fixed", "test": ["far"], **split},
        "model": [{"name": "power", "family": "external"}],
        "analyses": {"evaluation": {"draws": 100, "levels": ["window"]},
                     "controls": ["calibration"]},
    }  # fmt: skip


def answers_of(spec, role):
    """Probabilities and labels of a role, asked of the stored model here."""
    from pipeline.training.inference import predict_windows
    from schemas import training
    from schemas._infer import load_model
    from schemas._train import load_role
    from workers.study.models import final_trainings

    (final,) = final_trainings(spec)
    task = (training.TrainingTask & {"training": final["training"]}).fetch1()
    model, proba, truth = load_model(final["training"], "cpu"), [], []
    for windowset in load_role(task["split"], task["fold"], (role,)):
        found = predict_windows(model, windowset)
        region = windowset.channels["region"].to_numpy()[found.channel]
        proba.append(found.outputs)
        truth += [list(found.classes).index(name) for name in region]
    return np.concatenate(proba), np.array(truth)


def one(scores, metric, detail):
    (row,) = scores[(scores["metric"] == metric) & (scores["detail"] == detail)].to_dict("records")
    return row


def test_error_and_temperatures_stored_are_those_of_the_formulas(calibrated):
    spec, scores = calibrated
    tested, truth = answers_of(spec, "test")
    checked, known = answers_of(spec, "validation")
    assert (len(truth), len(known)) == (400, 160)
    inside = one(scores, "temperature", "fold 0: of validation subjects (in-lab)")
    wanted = one(
        scores, "temperature",
        "fold 0: wanted by the tested laboratory (diagnostic, by tested labels)",
    )  # fmt: skip
    assert inside["value"] == pytest.approx(fit_temperature(checked, known), rel=1e-3)
    assert wanted["value"] == pytest.approx(fit_temperature(tested, truth), rel=1e-3)
    assert wanted["value"] > 1.5 * inside["value"]
    assert (inside["n"], inside["n_groups"], wanted["n"], wanted["n_groups"]) == (160, 2, 400, 5)
    assert "needs 3 subjects" in inside["reason"]
    assert wanted["low"] < wanted["value"] < wanted["high"]
    for detail, factor in (
        ("before", 1.0),
        ("after, in-lab temperature", inside["value"]),
        ("after, own temperature (diagnostic)", wanted["value"]),
    ):
        row = one(scores, "ece", detail)
        scaled = apply_temperature(tested, factor)
        expected = expected_calibration_error(scaled, truth, bins=15)
        assert row["value"] == pytest.approx(expected, abs=1e-5)
        assert (row["n"], row["n_groups"]) == (400, 5)
        assert row["low"] <= row["high"]


def test_bins_hold_confidence_accuracy_and_count_and_give_the_error_again(calibrated):
    _, scores = calibrated
    bins = scores[scores["detail"].str.startswith("before, ")]
    sure = bins[bins["metric"] == "bin_confidence"].set_index("detail")
    right = bins[bins["metric"] == "bin_accuracy"].set_index("detail")
    assert right["n"].sum() == sure["n"].sum() == 400
    assert right["chance"].notna().all()
    gap = (right["value"] - sure["value"]).abs() * right["n"] / 400
    assert gap.sum() == pytest.approx(one(scores, "ece", "before")["value"])


def test_the_error_before_is_that_of_the_evaluation_beside_it(calibrated, tables):
    spec, scores = calibrated
    rows = tables.scores(spec.study.name)
    beside = rows[(rows["table"] == "Evaluation") & (rows["metric"] == "ece")
                  & (rows["level"] == "window") & rows["fold"].isna()]  # fmt: skip
    assert one(scores, "ece", "before")["value"] == pytest.approx(beside["value"].item())


def test_the_report_shows_a_diagram_and_every_error_and_temperature(calibrated, tmp_path):
    from workers.study.report import write_report

    spec, scores = calibrated
    page = write_report(spec, tmp_path / "report.html").read_text()
    section = page.split('id="trust"')[1].split("</section>")[0]
    assert 'alt="Accuracy by confidence, before and after the in-lab temperature"' in section
    said = [section.index(f"ECE, {what}") for what in ("before", "after, in-lab", "after, own")]
    assert said == sorted(said)
    shown = scores[scores["metric"].isin(["ece", "temperature"])]
    assert len(shown) == 5
    for row in shown.itertuples():
        assert f"{row.value:.3f}" in section
        assert row.detail in section


def test_without_validation_mice_nothing_is_scaled_and_the_reason_is_stored(tables, tmp_path):
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    write_mice(tmp_path / "mice.parquet")
    spec = StudySpec.model_validate(study("uncalibrated", validation=0))
    assert not run_study(spec, base=tmp_path).failed
    scores = tables.scores("uncalibrated")
    row = one(scores, "ece", "after, in-lab temperature")
    assert np.isnan(row["value"])
    assert "no labelled validation subject" in row["reason"]
    assert one(scores, "ece", "before")["value"] > 0


def test_validation_windows_of_mice_that_trained_are_said_to_be_such(tables, tmp_path):
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    write_mice(tmp_path / "mice.parquet", wires=4, windows=20, mouse_name="n")
    spec = study("shared", validation=0, validation_share=0.4, gap_s=0.0)
    spec["data"]["mapping"] |= {"start_s": "start"}
    assert not run_study(StudySpec.model_validate(spec), base=tmp_path).failed
    row = one(tables.scores("shared"), "temperature", "fold 0: of validation subjects (in-lab)")
    assert row["value"] > 0
    assert "5 of 5 trained too, with other windows" in row["reason"]
