"""What comes from elsewhere is loaded without running anything of it: a pickle is refused."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.features_file import FeatureMapping, read_feature_file

MAPPING = FeatureMapping(features=("power",), subject="mouse")


class Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def trap(tmp_path):
    """Bytes of a pickle that springs; the test fails if it did."""
    sprung = tmp_path / "sprung"
    made = pickle.dumps(Trap(sprung))
    pickle.loads(made)
    assert sprung.exists()
    sprung.unlink()
    yield made
    assert not sprung.exists()


def object_array(trap):
    """An .npy whose array is a pickle."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|O", "fortran_order": False, "shape": (1,)}
    )
    return buffer.getvalue() + trap


@pytest.fixture
def checkpoint(tmp_path):
    """A good checkpoint of the smallest model."""
    from pipeline.models import DataContext, build, parse_params
    from pipeline.training.checkpoint import save_checkpoint

    context = DataContext(classes=("a", "b"), rate=500.0, window_s=1.0, n_samples=500)
    model = build(parse_params({"family": "band_power"}), context, seed=0)
    save_checkpoint(tmp_path / "checkpoint", model, {})
    return tmp_path / "checkpoint"


@pytest.mark.parametrize("name", ["model.pt", "weights.bin", "a.pkl", "state.ckpt", "model.pth"])
def test_a_folder_of_pickled_weights_is_no_checkpoint(trap, tmp_path, name):
    from pipeline.training.checkpoint import load_checkpoint

    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / name).write_bytes(trap)
    with pytest.raises(ValueError, match="pickled weights.*never loaded; convert"):
        load_checkpoint(folder)


def test_a_pickle_in_the_place_of_safetensors_is_refused(trap, checkpoint):
    from pipeline.training.checkpoint import load_checkpoint, sha256_of

    load_checkpoint(checkpoint)
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(trap)
    with pytest.raises(ValueError, match="changed or damaged"):
        load_checkpoint(checkpoint)
    told = json.loads((checkpoint / "meta.json").read_text()) | {"sha256": sha256_of(weights)}
    (checkpoint / "meta.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match="no safetensors"):
        load_checkpoint(checkpoint)


def test_audio_weights_in_a_pickle_are_refused(trap, tmp_path):
    from torch import nn

    from pipeline.models.wav2vec_weights import load_audio

    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "config.json").write_text("{}")
    (tmp_path / "audio" / "pytorch_model.bin").write_bytes(trap)
    with pytest.raises(ValueError, match="Pickled weights are never loaded"):
        load_audio(nn.Linear(2, 2), str(tmp_path / "audio"), None)
    (tmp_path / "audio" / "model.safetensors").write_bytes(trap)
    with pytest.raises(ValueError, match=r"no safetensors file.*never loaded"):
        load_audio(nn.Linear(2, 2), str(tmp_path / "audio"), None)


@pytest.mark.parametrize("kind", ["npz of objects", "pickle as npz", "pickle as parquet", "pkl"])
def test_features_in_a_pickle_are_refused(trap, tmp_path, kind):
    path = tmp_path / {"npz of objects": "a.npz", "pickle as npz": "b.npz",
                       "pickle as parquet": "c.parquet", "pkl": "d.pkl"}[kind]  # fmt: skip
    path.write_bytes(trap)
    if kind == "npz of objects":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("power.npy", object_array(trap))
            archive.writestr("mouse.npy", object_array(trap))
    with pytest.raises(ValueError, match=path.name) as caught:
        read_feature_file(path, MAPPING)
    assert "\n" not in str(caught.value)


def test_a_stored_array_that_was_replaced_by_a_pickle_is_refused(trap, tmp_path):
    from pipeline.training.job import _read_array

    for content in (trap, object_array(trap)):
        (tmp_path / "lfp.npy").write_bytes(content)
        with pytest.raises(ValueError, match="pickle|Python objects"):
            _read_array({"npy": str(tmp_path / "lfp.npy")})
