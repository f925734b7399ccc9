"""A paper's value stands beside the same measure and beside nothing else."""

import numpy as np
import pandas as pd

from schemas._published import published_beside

BASE = {
    "table": "Evaluation", "model": "m", "fold": np.nan, "seed": 0, "level": "window",
    "target": None, "metric": "accuracy", "detail": None, "value": 0.5,
}  # fmt: skip


def frame(*rows):
    return pd.DataFrame([BASE | row for row in rows])


def told(**item):
    return {"model": "m", "level": "window", "metric": "accuracy", "value": 0.9} | item


def beside(rows, *items):
    """Values by place of the row, without those that have none."""
    return published_beside(frame(*rows), items).dropna().to_dict()


def test_a_region_of_the_disease_study_has_its_own_value_and_no_other():
    share = {"table": "Control", "level": "session", "metric": "abnormality"}
    rows = [share | {"detail": region} for region in ("CA1", "CA2", "cortex", "all regions")]
    items = [
        told(level="session", metric="abnormality", detail=region, value=value)
        for region, value in (("CA1", 0.86), ("CA2", 0.9), ("cortex", 0.89))
    ]
    assert beside(rows, *items) == {0: 0.86, 1: 0.9, 2: 0.89}


def test_controls_and_single_classes_and_scores_by_later_labels_have_none():
    rows = [
        {}, {"table": "Control", "target": "permuted_labels"}, {"detail": "mouse-1"},
        {"table": "LabelScore"}, {"level": "channel"}, {"metric": "balanced_accuracy"},
        {"model": "other"},
    ]  # fmt: skip
    assert beside(rows, told()) == {0: 0.9}


def test_a_class_has_the_value_published_of_that_class():
    rows = [{"metric": "recall", "detail": name} for name in ("CA1", "DG")]
    assert beside(rows, told(metric="recall", detail="DG", value=0.69)) == {1: 0.69}


def test_pooled_rows_have_it_and_a_single_fold_where_nothing_is_pooled():
    assert beside([{}, {"fold": 0}, {"fold": 1}], told()) == {0: 0.9}
    assert beside([{"fold": 0}, {"fold": 0, "seed": 1}], told()) == {0: 0.9, 1: 0.9}
    assert beside([{"fold": 0}, {"fold": 1}], told()) == {}


def test_a_mean_over_sessions_is_of_no_pooled_row():
    mean, pooled = (told(statistic=name, value=v) for name, v in (("mean over sessions", 0.6),
                                                                 ("pooled", 0.7)))  # fmt: skip
    assert beside([{}], mean) == {}
    assert beside([{}], pooled, told(value=0.8), mean) == {0: 0.7}


def test_a_value_of_one_arm_among_several_is_nobodys():
    assert beside([{}], told(arm="A to B")) == {0: 0.9}
    assert beside([{}], told(arm="A to B", value=0.49), told(arm="B to A", value=0.56)) == {}


def test_a_read_out_has_the_value_of_its_target_in_the_sessions_that_have_an_answer():
    rows = [
        {"table": table, "target": target, "metric": metric, "detail": f"{role} role",
         "fold": fold, "value": None if target == "session" and role == "test" else 0.1}
        for table, metric in (("Silhouette", "silhouette"), ("LinearProbe", "accuracy"))
        for target in ("region", "session")
        for role in ("train", "test", "all")
        for fold in (0, 1)
    ]  # fmt: skip
    items = [
        told(metric="silhouette", level="silhouette", detail="region", value=0.576),
        told(metric="silhouette", level="silhouette", detail="session", value=-0.053),
        told(level="linear probe", detail="session", value=0.515),
    ]
    mine = frame(*rows).assign(published=published_beside(frame(*rows), items))
    mine = mine[mine["published"].notna()]
    found = mine.groupby(["table", "target", "detail"])["published"].agg(["first", "size"])
    assert found.to_dict("index") == {
        ("Silhouette", "region", "test role"): {"first": 0.576, "size": 2},
        ("Silhouette", "session", "all role"): {"first": -0.053, "size": 2},
        ("LinearProbe", "session", "all role"): {"first": 0.515, "size": 2},
    }
