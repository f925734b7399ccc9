"""Boosted trees against XGBoost itself, which only these tests need."""

import json

import numpy as np
import pytest
import torch
import xgboost

from pipeline.models.boosted_trees import BoostedTrees
from pipeline.models.universal_binary import read_ubj


def samples(classes, n=400, dim=6):
    rng = np.random.default_rng(classes)
    y = rng.integers(classes, size=n)
    x = rng.normal(size=(n, dim)) + 0.8 * (y[:, None] == np.arange(dim) % classes)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x.astype(np.float32), y


def fitted(classes, **options):
    x, y = samples(classes)
    model = xgboost.XGBClassifier(n_estimators=12, max_depth=4, n_jobs=1, **options)
    return model.fit(x, y, eval_set=[(x[:90], y[::-1][:90])], verbose=False), x


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("kind", ["json", "ubj"])
def test_probabilities_equal_xgboosts_also_of_missing_features(classes, kind, tmp_path):
    model, x = fitted(classes)
    model.save_model(tmp_path / f"model.{kind}")
    found = BoostedTrees.read(tmp_path / f"model.{kind}")(torch.from_numpy(x))
    assert found.shape == (len(x), classes)
    assert np.abs(found.numpy() - model.predict_proba(x)).max() < 1e-5


def test_a_training_that_stopped_early_keeps_its_best_round(tmp_path):
    model, x = fitted(3, early_stopping_rounds=3)
    assert model.best_iteration < 11
    model.save_model(tmp_path / "model.json")
    found = BoostedTrees.read(tmp_path / "model.json")(torch.from_numpy(x))
    assert np.abs(found.numpy() - model.predict_proba(x)).max() < 1e-5


def test_what_is_no_such_model_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "model.ubj"
    for damaged in (b"", b"\x80\x04.", b"{", b"[$d#L\x7f" + b"\xff" * 7, b"[" * 500):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="Binary JSON|no model that XGBoost saved"):
            BoostedTrees.read(path)
    regression = xgboost.XGBRegressor(n_estimators=1).fit(np.eye(4), np.arange(4))
    regression.save_model(tmp_path / "other.json")
    with pytest.raises(ValueError, match="only classifiers.*squarederror"):
        BoostedTrees.read(tmp_path / "other.json")


def test_a_tree_that_leads_back_to_its_root_is_refused(tmp_path):
    model, _ = fitted(3)
    model.save_model(tmp_path / "model.json")
    value = json.loads((tmp_path / "model.json").read_text())
    value["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"][0] = 0
    (tmp_path / "model.json").write_text(json.dumps(value))
    with pytest.raises(ValueError, match="not in order"):
        BoostedTrees.read(tmp_path / "model.json")


def test_binary_json_gives_its_values_back():
    data = (
        b"{i\x01aSi\x02hii\x01b[$l#i\x02\x00\x00\x00\x01\xff\xff\xff\xffi\x01c[TZd?\x80\x00\x00]}"
    )
    found = read_ubj(data)
    assert (found["a"], found["b"].tolist(), found["c"]) == ("hi", [1, -1], [True, None, 1.0])
