"""The frozen setting: the same for every family with a self-supervised backbone."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parent))
from model_worlds import batch_of, context_of, params_of, world  # noqa: E402

from pipeline.models import BACKBONE, MODELS, EmbedParams, build  # noqa: E402
from pipeline.training import FitParams  # noqa: E402
from pipeline.training.checkpoint import load_checkpoint  # noqa: E402
from pipeline.training.fit import fit  # noqa: E402
from pipeline.training.inference import embed_windows, predict_windows  # noqa: E402

TRAIN, TEST = world("s1"), world("s2", seed=1)
CONTEXT = context_of([TRAIN, TEST])
BACKBONES = [name for name, family in MODELS.items() if family.objectives == BACKBONE]
HIDDEN = EmbedParams(at="hidden")
NO_STEPS = FitParams(objective="none", epochs=0)


def trained(family, params, folder, **changes):
    model = build(params_of(family, **changes), CONTEXT, seed=1)
    fit(model, [TRAIN], [], params, seed=5, folder=folder)
    return model


def region_of(windowset, channel):
    return np.array([CONTEXT.classes.index(r) for r in windowset.channels["region"]])[channel]


@pytest.mark.parametrize("family", BACKBONES)
def test_frozen_training_changes_the_head_and_nothing_else(family, tmp_path):
    params = FitParams(objective="frozen", epochs=2, batch_size=16, lr=1e-2, weight_decay=0.1)
    start = build(params_of(family), CONTEXT, seed=1)
    start.prepare([batch_of(family, TRAIN, CONTEXT, size=100)])
    before = {name: value.clone() for name, value in start.state_dict().items()}
    after = trained(family, params, tmp_path).state_dict()
    moved = {n for n in after if n.startswith("head.") and not torch.equal(before[n], after[n])}
    assert moved == {n for n in after if n.startswith("head.")}
    for name in set(after) - moved:
        assert torch.allclose(before[name], after[name], rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("family", BACKBONES)
@pytest.mark.parametrize("head", ["linear", "relu"])
def test_without_steps_it_is_scikit_learns_regression_on_the_hidden_states(family, head, tmp_path):
    model = trained(family, NO_STEPS, tmp_path, head=head)
    x, _, channel = embed_windows(model, TRAIN, params=HIDDEN)
    unseen, _, elsewhere = embed_windows(model, TEST, params=HIDDEN)
    mean, sd = x.mean(0, dtype=float), x.std(0, dtype=float)
    judge = LogisticRegression(max_iter=1000).fit((x - mean) / sd, region_of(TRAIN, channel))
    found = predict_windows(model, TEST)
    assert np.allclose(found.outputs, judge.predict_proba((unseen - mean) / sd), atol=2e-3)
    assert (found.outputs.argmax(1) == region_of(TEST, elsewhere)).mean() > 0.75
    loaded = load_checkpoint(tmp_path / "checkpoint")
    assert np.array_equal(embed_windows(loaded, TEST)[0], unseen)  # not the regression's scores


def test_a_head_too_narrow_for_the_classes_says_how_wide_it_must_be(tmp_path):
    with pytest.raises(ValueError, match="2 classes needs head_dim 4 or more, the head has 3"):
        trained("lfp2vec", NO_STEPS, tmp_path, head="relu", head_dim=3)


def test_a_backbone_with_dropout_is_the_same_in_every_step(tmp_path):
    model = build(params_of("lfp2vec", dropout=0.5), CONTEXT, seed=1).train()
    model.objective, batch = "frozen", batch_of("lfp2vec", TRAIN, CONTEXT)
    losses = {float(model.loss(batch, torch.Generator())["total"]) for _ in range(3)}
    assert len(losses) == 1
    assert model.network.training
