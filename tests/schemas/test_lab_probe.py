"""The laboratory as a target of probes, from a study file to stored scores and the report."""

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation import ProbeParams
from pipeline.evaluation.told_apart import told_apart

LABS = {"home": 3, "near": 2, "far": 2, "lone": 1}


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """Vectors that carry region and, weakly, laboratory; where they lie."""
    rng, rows = np.random.default_rng(4), []
    for number, (lab, mice) in enumerate(LABS.items()):
        for mouse in range(mice):
            for region in ("CA1", "DG") * 15:
                a, b = rng.normal(size=2) + [3 * (region == "DG"), 0.8 * number]
                where = {"lab": lab, "mouse": f"mouse-{mouse}", "region": region}
                rows.append({**where, "a": a, "b": b})
    folder = tmp_path_factory.mktemp("vectors")
    pd.DataFrame(rows).to_parquet(folder / "vectors.parquet")
    return folder


def run(folder, tables, name, split):
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    mapping = {"features": ["a", "b"], "source": "lab", "subject": "mouse", "region": "region"}
    spec = StudySpec.model_validate({
        "study": {"name": name},
        "data": {"recordings": ["vectors.parquet"], "modalities": ["features"],
                 "labels": "as_given", "mapping": mapping},
        "split": {"validation": 0, **split},
        "model": [{"name": "as given", "family": "external"}],
        "analyses": {"linear_probes": ["lab", "region"], "silhouettes": ["lab"],
                     "probe": {"draws": 50}, "evaluation": {"draws": 50}},
    })  # fmt: skip
    assert not run_study(spec, base=folder).failed
    scores = tables.scores(name)
    return spec, scores[scores["target"] == "lab"]


@pytest.fixture(scope="module")
def across(vectors, tables):
    """A study that tests two laboratories, one of them of one mouse."""
    return run(vectors, tables, "labs-told", {"by": "lab", "folds": "fixed",
                                              "test": ["far", "lone"]})  # fmt: skip


def test_stored_scores_are_those_of_the_vectors_themselves(across, vectors):
    given = pd.read_parquet(vectors / "vectors.parquet")
    who = given["lab"] + "/" + given["mouse"]
    probes = across[1][across[1]["table"] == "LinearProbe"]
    each = probes[probes["detail"] == "each laboratory"].set_index("metric")
    found = told_apart(given[["a", "b"]].to_numpy(float), given["lab"], who, ProbeParams(draws=50))
    for row in found:
        stored = each.loc[row.metric]
        assert stored["value"] == pytest.approx(row.value, abs=0.02)
        assert stored["chance"] == pytest.approx(0.5 if row.metric == "auc" else 1 / 3)
        assert stored["n"] == row.n == 30 * 7
        assert stored["n_groups"] == 7
        assert stored["low"] <= stored["value"] <= stored["high"]
        assert "one subject each: lone" in stored["reason"]
        assert "fitted on 5 of 8 subjects" in stored["reason"]


def test_tested_laboratories_are_told_from_the_others_however_few_mice_they_have(across):
    probes = across[1][across[1]["table"] == "LinearProbe"]
    sides = probes[probes["detail"] == "the tested laboratories against the others"]
    assert set(sides["metric"]) == {"auc", "balanced_accuracy"}
    assert set(sides["n"]) == {240}
    assert set(sides["chance"]) == {0.5}


def test_silhouettes_know_the_laboratory_too(across):
    rows = across[1][across[1]["table"] == "Silhouette"]
    whole = rows[(rows["level"] == "window") & (rows["detail"] == "all role")]
    assert whole["n"].tolist() == [240]
    clusters = rows[(rows["level"] == "cluster") & rows["detail"].str.startswith("all role")]
    assert {name.split(": ")[1] for name in clusters["detail"]} == set(LABS)


def test_the_report_shows_area_and_accuracy(across):
    from workers.study.report import report_data

    spec, _ = across
    import schemas

    probes = report_data(spec, schemas.scores(spec.study.name)).probes
    shown = probes[probes["target"] == "lab"]
    assert set(shown["metric"]) == {"auc", "balanced_accuracy"}
    assert shown["chance"].notna().all()


def test_one_laboratory_has_no_value_but_a_reason(vectors, tables, tmp_path):
    given = pd.read_parquet(vectors / "vectors.parquet")
    given[given["lab"] == "home"].to_parquet(tmp_path / "vectors.parquet")
    split = {"by": "subject", "folds": "fixed", "test": ["home/mouse-0"]}
    _, scores = run(tmp_path, tables, "one-lab", split)
    probes = scores[scores["table"] == "LinearProbe"]
    assert len(probes) == 2
    assert probes["value"].isna().all()
    assert all("1 laboratory (home), 3 subjects" in reason for reason in probes["reason"])
