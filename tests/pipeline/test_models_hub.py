"""A model is loaded by folder or hub id, with its weights checked and nothing run."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from loopback_hub import serve  # noqa: E402
from model_worlds import context_of, params_of, world  # noqa: E402

from pipeline.models import build, load_model  # noqa: E402
from pipeline.training.checkpoint import META, WEIGHTS, save_checkpoint  # noqa: E402
from pipeline.training.inference import predict_windows  # noqa: E402

WORLD = world()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with one model, lab/small, and what is asked of it; the model; an empty cache."""
    model = build(params_of("spectrogram_mlp"), context_of([WORLD]), seed=5).eval()
    save_checkpoint(tmp_path / "hub" / "lab" / "small", model, {})
    monkeypatch.delenv("FIELDBASE_WEIGHTS", raising=False)
    with serve(tmp_path / "hub") as (address, asked):
        constants = "huggingface_hub.constants."
        monkeypatch.setattr(constants + "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants + "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants + "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants + "HF_HUB_OFFLINE", False)
        yield tmp_path / "hub", asked, model


def answers(model):
    return predict_windows(model, WORLD).outputs


def test_a_model_comes_from_a_folder_a_searched_folder_or_the_hub_alike(hub, monkeypatch):
    root, asked, model = hub
    expected = answers(model)
    assert np.array_equal(answers(load_model(root / "lab" / "small")), expected)
    monkeypatch.setenv("FIELDBASE_WEIGHTS", str(root))
    assert np.array_equal(answers(load_model("lab/small")), expected)
    assert not asked
    monkeypatch.delenv("FIELDBASE_WEIGHTS")
    assert np.array_equal(answers(load_model("lab/small")), expected)
    assert any(path.endswith(WEIGHTS) for path in asked)


def test_nothing_that_could_run_is_fetched(hub):
    root, asked, _ = hub
    for name in ("modeling.py", "pytorch_model.bin", "weights.pkl"):
        (root / "lab" / "small" / name).write_bytes(b"print(1)")
    load_model("lab/small")
    assert not [path for path in asked if path.endswith((".py", ".bin", ".pkl"))]


def test_weights_that_were_changed_on_the_hub_are_refused(hub):
    root, _, _ = hub
    path = root / "lab" / "small" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(ValueError, match="changed or damaged"):
        load_model("lab/small")


@pytest.mark.parametrize("lacking", [META, WEIGHTS])
def test_a_repository_of_something_else_says_what_it_lacks(hub, lacking):
    root, _, _ = hub
    (root / "lab" / "small" / lacking).unlink()
    with pytest.raises(FileNotFoundError, match=f"no {lacking}.*fieldbase export model"):
        load_model("lab/small")


def test_without_the_hub_the_error_says_what_to_do(hub):
    with pytest.raises(FileNotFoundError, match="download the repository elsewhere.*lab/nobody"):
        load_model("lab/nobody")


def test_a_folder_with_a_pickle_is_refused(hub, tmp_path):
    shutil.copytree(hub[0] / "lab" / "small", tmp_path / "pickle")
    (tmp_path / "pickle" / META).unlink()
    (tmp_path / "pickle" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match="pickled weights"):
        load_model(tmp_path / "pickle")
