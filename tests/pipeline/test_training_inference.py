"""Reading a model out: row order, validity, batch size and memory."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from model_worlds import context_of, params_of, world  # noqa: E402

from pipeline.models import MODELS, EmbedParams, build  # noqa: E402
from pipeline.training import OutOfMemory  # noqa: E402
from pipeline.training.inference import embed_windows, predict_windows  # noqa: E402

WORLD = world()
CONTEXT = context_of([WORLD])
MANY = world(units=40)


@pytest.mark.parametrize("family", MODELS)
def test_rows_are_the_valid_pairs_in_order_and_do_not_depend_on_the_batch_size(family):
    model = build(params_of(family), CONTEXT, seed=0)
    vectors, window, channel = embed_windows(model, WORLD, batch_size=5)
    again, *_ = embed_windows(model, WORLD, batch_size=64)
    assert np.allclose(vectors, again, atol=1e-5)
    if MODELS[family].tokens == "channel":
        assert np.array_equal(np.stack([window, channel], 1), np.argwhere(WORLD.valid))
    else:
        assert window.tolist() == list(range(len(WORLD)))
        assert (channel == -1).all()
    predicted = predict_windows(model, WORLD, batch_size=5)
    assert np.array_equal(predicted.window, window)
    expected = CONTEXT.classes if MODELS[family].output == "classes" else ()
    assert predicted.classes == expected


def test_memory_that_runs_out_halves_the_batch_and_changes_nothing(monkeypatch):
    model = build(params_of("lfp2vec"), CONTEXT, seed=0)
    expected, *_ = embed_windows(model, WORLD, batch_size=16)
    sizes, whole = [], type(model).embed

    def embed(self, batch, params):
        sizes.append(len(batch))
        if len(batch) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, batch, params)

    monkeypatch.setattr(type(model), "embed", embed)
    found, *_ = embed_windows(model, WORLD, batch_size=16)
    assert np.allclose(found, expected, atol=1e-5)
    assert max(s for s in sizes if s <= 4) == 4
    assert [s for s in sizes if s > 4] == [16, 8]  # a size fails once, not in every batch


def test_one_window_that_does_not_fit_says_what_to_do(monkeypatch):
    model = build(params_of("mtm"), CONTEXT, seed=0)

    def predict(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(type(model), "predict", predict)
    with pytest.raises(OutOfMemory, match="1 row at a time.*shorter windows"):
        predict_windows(model, WORLD)


def test_fewer_windows_of_co_smoothing_run_fewer_rows_together(monkeypatch):
    model = build(params_of("mtm"), context_of([MANY]), seed=0)
    rows, states = [], type(model).states

    def counted(self, spikes, *args, **options):
        rows.append(len(spikes))
        return states(self, spikes, *args, **options)

    monkeypatch.setattr(type(model), "states", counted)
    largest = []
    for size in (8, 4, 1):
        rows.clear()
        predict_windows(model, MANY, batch_size=size)
        largest.append(max(rows))
    assert largest == [128, 64, 16]


def test_any_other_failure_is_not_swallowed(monkeypatch):
    model = build(params_of("lfp2vec"), CONTEXT, seed=0)

    def embed(self, batch, params):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(type(model), "embed", embed)
    with pytest.raises(RuntimeError, match="shapes differ"):
        embed_windows(model, WORLD)


def test_bf16_embeddings_point_the_same_way():
    model = build(params_of("lfp2vec"), CONTEXT, seed=0)
    exact, *_ = embed_windows(model, WORLD, params=EmbedParams(at="hidden"))
    rough, *_ = embed_windows(model, WORLD, params=EmbedParams(at="hidden", precision="bf16"))
    cosine = (exact * rough).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert cosine.min() > 0.999
    assert not np.array_equal(exact, rough)
