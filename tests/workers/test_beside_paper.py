"""Ours beside the paper's: several folds, several seeds, whose sessions, which statistic."""

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses import report_sections
from pipeline.analyses.experiment_page import ExperimentPage, render_experiment
from pipeline.analyses.report_data import Headline, ReportData
from pipeline.analyses.report_paper import measure_tables
from workers.study.compare import compare
from workers.study.experiment import Member
from workers.study.leading import leading
from workers.study.published import beside_paper
from workers.study.score_tables import mean_over_folds
from workers.study.score_tables import silhouettes as silhouette_table
from workers.study.spec import Published, StudySpec

BASE = {
    "study": "s", "table": "Evaluation", "model": "m", "split": "x", "fold": np.nan, "seed": 0,
    "level": "window", "scheme": None, "target": None, "metric": "balanced_accuracy",
    "detail": None, "value": 0.5, "chance": 0.25, "n": 10, "n_groups": 1, "low": np.nan,
    "high": np.nan, "reason": None, "published": np.nan,
}  # fmt: skip
SILHOUETTE = {"table": "Silhouette", "metric": "silhouette", "target": "region"}


def frame(*rows):
    return pd.DataFrame([BASE | row for row in rows])


def silhouettes(target="region", role="test", values=(0.1, 0.2, 0.6), seed=0):
    return [
        SILHOUETTE | {"target": target, "detail": f"{role} role", "fold": fold, "seed": seed,
                      "value": value, "reason": None if value is not None else "1 session"}
        for fold, value in enumerate(values)
    ]  # fmt: skip


def the(rows, **where):
    """The only row that is so."""
    for name, value in where.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def study(*published):
    told = [Published(**{"model": "m", "origin": "text"} | one) for one in published]
    model = {"name": "m", "family": "band_power"}
    values = {"study": {"name": "s"}, "data": {"recordings": ["x"]}, "model": [model]}
    return StudySpec.model_validate(values | {"published": told})


@pytest.fixture
def alone(monkeypatch):
    """No database: no model heard anyone."""
    monkeypatch.setattr("workers.study.compare.shown_beside", lambda members: {})


def test_a_silhouette_of_several_folds_is_their_mean_and_range_and_says_so():
    row = the(leading(frame(*silhouettes())), level="silhouette", detail="region")
    assert row["value"] == pytest.approx(0.3)
    assert (row["low"], row["high"]) == (0.1, 0.6)
    assert row["how"] == "held-out sessions; mean and range of 3 folds"
    assert (row["n"], row["n_groups"]) == (30, 3)  # folds test different windows


def test_sessions_that_trained_stand_in_by_name_where_held_out_ones_have_no_answer():
    nothing = silhouettes("session", "test", (None, None))
    shared = silhouettes("session", "all", (-0.1, -0.3))
    row = the(leading(frame(*nothing, *shared)), detail="session")
    assert row["value"] == pytest.approx(-0.2)
    assert row["how"].startswith("all sessions, trained ones among them; mean and range of 2")
    assert (row["n"], row["n_groups"]) == (10, 1)  # every fold has the same windows
    trained = silhouettes("session", "train", (0.4, 0.6))
    row = the(leading(frame(*nothing, *trained)), detail="session")
    assert row["value"] == pytest.approx(0.5)
    assert row["how"].startswith("sessions that trained;")
    row = the(leading(frame(*nothing)), detail="session")
    assert np.isnan(row["value"])
    assert "1 session" in row["how"]


def test_a_report_leads_with_the_sessions_that_have_an_answer_and_folds_up_the_others():
    rows = frame(
        *silhouettes("session", "test", (None, None)), *silhouettes("session", "all", (0.11, 0.33)),
        *silhouettes(), *silhouettes(role="train", values=(0.7, 0.9)),
    )  # fmt: skip
    made = silhouette_table(rows)
    assert made["grouping"].iloc[0] == "region"  # what is wanted first
    headline = Headline("silhouette", "window", 0.3)
    data = ReportData("s", "why?", "so", headline, [], synthetic=False, silhouettes=made)
    body = report_sections.silhouettes(data).body
    first, others = body.split("<details")
    assert "0.300" in first
    assert "0.220" in first
    assert "0.800" not in first
    assert "0.800" in others
    assert "1 session" in others


def test_seeds_are_averaged_apart_from_folds():
    rows = frame(*silhouettes(), *silhouettes(values=(0.3, 0.4, 0.8), seed=1))
    row = the(leading(rows), level="silhouette")
    assert row["value"] == pytest.approx(0.4)
    assert row["seeds"] == 2
    assert row["seed_sd"] == pytest.approx(np.std([0.3, 0.5], ddof=1))
    table = mean_over_folds(rows, ["model", "target", "detail"])
    assert table["reason"].item() == "mean and range of 3 folds, 2 seeds each"
    assert table["n"].item() == 30


def test_a_mean_of_subjects_weighs_them_alike_and_its_interval_resamples_them():
    values = np.array([0.2, 0.3, 0.4, 0.9])
    subjects = [
        {"metric": "subject_balanced_accuracy", "detail": f"mouse-{at}", "value": value}
        for at, value in enumerate(values)
    ]
    rows = frame({"value": 0.7, "n_groups": 4}, *subjects)
    made = leading(rows, {("window", "balanced_accuracy")})
    assert the(made, statistic="pooled")["value"] == 0.7
    mean = the(made, statistic="mean")
    assert mean["value"] == pytest.approx(values.mean())
    assert mean["subject_sd"] == pytest.approx(values.std(ddof=1))
    assert (mean["n_groups"], mean["counted"]) == (4, "subject")
    draws = np.random.default_rng(1).choice(values, (20_000, 4)).mean(axis=1)
    ends = np.percentile(draws, [2.5, 97.5])
    assert np.allclose([mean["low"], mean["high"]], ends, atol=0.03)
    assert set(leading(rows)["statistic"]) == {"pooled"}


def test_folds_of_one_subject_stand_for_subjects_and_folds_of_several_do_not():
    f1 = [{"metric": "macro_f1", "fold": fold, "value": v} for fold, v in enumerate((0.2, 0.6))]
    row = the(leading(frame(*f1), {("window", "macro_f1")}), statistic="mean")
    assert row["value"] == pytest.approx(0.4)
    assert row["counted"] == "fold"
    assert "no interval" in row["how"]
    many = frame(*[one | {"n_groups": 2} for one in f1])
    assert "mean" not in set(leading(many, {("window", "macro_f1")})["statistic"])


def test_the_page_has_the_papers_and_our_value_of_the_same_statistic_in_one_row(alone):
    told = [
        {"metric": "balanced_accuracy", "level": "window", "value": 0.645, "n": 7,
         "spread": 0.065, "statistic": "mean over sessions"},
        {"metric": "silhouette", "level": "silhouette", "value": 0.576, "detail": "region"},
        {"metric": "balanced_accuracy", "level": "channel", "value": 0.7},
        {"metric": "accuracy", "level": "window", "value": 0.87},
    ]  # fmt: skip
    subjects = [
        {"metric": "subject_balanced_accuracy", "detail": f"mouse-{at}", "value": value,
         "level": level}
        for at, value in enumerate((0.111, 0.222, 0.333))
        for level in ("window", "channel")
    ]  # fmt: skip
    subjects += [
        {"metric": "subject_accuracy", "detail": f"mouse-{at}", "chance": None} for at in (1, 2)
    ]  # one class in each: nothing to compare with
    scores = frame({"value": 0.444}, *subjects, *silhouettes())
    spec = study(*told)
    rows = compare([Member(spec=spec)], spec.published, {"s": scores})
    mean = the(rows, level="window", metric="balanced_accuracy", statistic="mean")
    assert (mean["paper"], mean["strict_value"]) == (0.645, pytest.approx(0.222))
    pooled = the(rows, level="window", metric="balanced_accuracy", statistic="pooled")
    assert np.isnan(pooled["paper"])
    assert pooled["strict_value"] == 0.444
    assert the(rows, level="silhouette")[["paper", "strict_value"]].tolist() == [0.576, 0.3]
    assert set(rows[rows["level"] == "channel"]["statistic"]) == {"mean", "pooled"}
    assert the(rows, metric="accuracy")["statistic"] == "pooled"
    text = render_experiment(ExperimentPage("e", "why?", synthetic=True, rows=rows))
    mean, silhouette = (text.index(f"<strong>{v}") for v in ("0.645", "0.576"))
    assert "mean over sessions" in text[mean : mean + 200]
    assert "<strong>0.222" in text[mean : text.index("</tr>", mean)]
    assert "<strong>0.300" in text[silhouette : text.index("</tr>", silhouette)]
    assert "n not stated" in text[silhouette : silhouette + 200]
    assert text.count("pooled or a mean: not stated") == 3


def test_a_study_report_tells_every_published_value_with_n_spread_statistic_and_origin():
    told = [
        {"metric": "accuracy", "level": "window", "value": 0.833, "n": 7, "statistic": "pooled",
         "origin": "recomputed <by us>"},
        {"metric": "silhouette", "level": "silhouette", "value": 0.576, "spread": 0.026,
         "detail": "region"},
    ]  # fmt: skip
    scores = frame({"metric": "accuracy", "value": 0.444, "chance": 0.4}, *silhouettes())
    rows = beside_paper(study(*told), scores)
    assert rows["ours_value"].tolist() == pytest.approx([0.444, 0.3])
    first, second = measure_tables(rows, {"ours": "ours"})
    assert "<strong>0.833</strong><small>n 7 · pooled · recomputed &lt;by us&gt;" in first
    assert "<strong>0.444</strong><small>chance 0.400 · 1 subject<" in first
    assert "Raw accuracy, its chance the share of the commonest class, window level; poo" in first
    assert "<strong>0.576 ± 0.026</strong><small>n not stated · text<" in second
    assert "range 0.100 to 0.600 · chance 0.250 · 3 subjects" in second
    assert beside_paper(study(), scores).empty
