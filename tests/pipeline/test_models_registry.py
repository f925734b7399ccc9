"""Every entry of MODELS, by one set of tests: a new family is tested by existing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from model_worlds import batch_of, context_of, generator, params_of, world  # noqa: E402

from pipeline.models import MODELS, DataContext, EmbedParams, FoundationModel, build, parse_params  # noqa: E402
from pipeline.training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402

WORLD = world()
CONTEXT = context_of([WORLD])
EVERY = [(name, objective) for name, entry in MODELS.items() for objective in entry.objectives]

LEARNING = [each for each in EVERY if not MODELS[each[0]].ready]


def built(family, objective="none", **changes):
    model = build(params_of(family, **changes), CONTEXT, seed=3)
    model.objective = objective
    return model


@pytest.mark.parametrize("family", [name for name, entry in MODELS.items() if entry.ready])
def test_what_comes_trained_beats_chance_and_learns_nothing(family):
    model, batch = built(family), batch_of(family, WORLD, CONTEXT)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert model.loss(batch, generator())["total"].item() < 0.5 * np.log(2)
    model.prepare([batch])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("family", "objective"), LEARNING)
def test_the_loss_falls_when_one_batch_is_learned_by_heart(family, objective):
    model, batch = built(family, objective), batch_of(family, WORLD, CONTEXT)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)

    def mean_loss():
        with torch.no_grad():
            return np.mean([float(model.loss(batch, generator(s))["total"]) for s in range(4)])

    first = mean_loss()
    model.prepare([batch])
    for _ in range(40 if objective != "none" else 0):
        optimizer.zero_grad()
        model.loss(batch, generator(0))["total"].backward()
        optimizer.step()
    assert mean_loss() < 0.9 * first


@pytest.mark.parametrize("family", MODELS)
def test_it_keeps_the_protocol_and_the_shapes_it_promises(family):
    entry, model = MODELS[family], built(family).eval()
    batch = batch_of(family, WORLD, CONTEXT, size=5)
    assert isinstance(model, FoundationModel)
    with torch.no_grad():
        tokens, outputs = model.embed(batch, EmbedParams()), model.predict(batch)
    n_tokens = batch.channel.shape[1] if entry.tokens == "channel" else WORLD.spikes.shape[1]
    assert tokens.shape[:2] == (5, n_tokens)
    assert tokens.dtype == torch.float32
    if entry.output == "classes":
        assert outputs.shape == (5, n_tokens, 2)
        assert torch.allclose(outputs.sum(-1), torch.ones(5, n_tokens), atol=1e-5)
    else:
        assert outputs.shape == batch.spikes.shape


@pytest.mark.parametrize("family", MODELS)
def test_the_same_seed_gives_the_same_weights_and_the_checkpoint_gives_them_back(family, tmp_path):
    model, again = built(family), built(family)
    batch = batch_of(family, WORLD, CONTEXT)
    model.prepare([batch])
    again.prepare([batch])
    save_checkpoint(tmp_path, model, {"seed": 3})
    loaded = load_checkpoint(tmp_path)
    assert (loaded.params, loaded.context) == (model.params, model.context)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert torch.equal(value, loaded.state_dict()[name])
    with torch.no_grad():
        assert torch.equal(loaded.predict(batch), model.eval().predict(batch))


@pytest.mark.parametrize("family", MODELS)
def test_parameters_survive_json(family):
    params = params_of(family)
    assert parse_params(params.to_json()) == params
    assert parse_params(params.to_json()).digest == params.digest
    assert DataContext.from_json(CONTEXT.to_json()) == CONTEXT


def test_the_registry_is_known_without_torch():
    code = "import sys, pipeline.models, pipeline.training; sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
    )


def test_an_unknown_family_names_the_known_ones():
    with pytest.raises(KeyError, match="no model family 'bert'.*lfp2vec"):
        parse_params({"family": "bert"})
