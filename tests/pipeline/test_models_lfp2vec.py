"""Lfp2Vec against transformers' own loss, and its heads, layers and initial weights."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2ForPreTraining, Wav2Vec2Model

sys.path.insert(0, str(Path(__file__).parent))
from model_worlds import batch_of, context_of, generator, params_of, world  # noqa: E402

from pipeline.models import EmbedParams, build  # noqa: E402
from pipeline.models.draws import Draws  # noqa: E402
from pipeline.models.lfp2vec import n_frames, network_config, ssl_parts  # noqa: E402
from pipeline.models.parameters import Lfp2VecParams  # noqa: E402
from pipeline.nn.losses import sample_negatives  # noqa: E402

WORLD = world()
CONTEXT = context_of([WORLD])


def tiny(**changes):
    return build(params_of("lfp2vec", **changes), CONTEXT, seed=0)


def test_three_seconds_at_16_khz_are_149_frames_and_base_is_the_published_size():
    assert n_frames(48_000) == 149
    with torch.device("meta"):
        network = Wav2Vec2ForPreTraining(network_config(Lfp2VecParams()))
    assert sum(p.numel() for p in network.parameters()) == 95_044_608


def test_the_ssl_loss_equals_that_of_transformers_on_the_same_masks_and_negatives():
    network = tiny().network.eval()
    audio = torch.randn(4, 12_000, generator=generator())
    frames = n_frames(12_000)
    hidden = torch.zeros(4, frames, dtype=torch.bool)
    for row, start in enumerate((0, 5, 9, 20)):
        hidden[row, start : start + 6 + row] = True
    negatives = sample_negatives(hidden, 8, generator())
    theirs = torch.zeros(4, frames, 8, dtype=torch.long)
    theirs[hidden] = hidden.flatten().nonzero()[:, 0][negatives]
    expected = network(audio, mask_time_indices=hidden, sampled_negative_indices=theirs)
    found = ssl_parts(network, audio, hidden, Draws(hidden, hidden, 30.0, negatives=negatives))
    assert float(found["contrastive"]) == pytest.approx(float(expected.contrastive_loss), rel=1e-5)
    assert float(found["diversity"]) == pytest.approx(float(expected.diversity_loss), rel=1e-5)


def test_an_embedding_equals_wav2vec2_fed_with_scipys_resampling():
    from scipy import signal

    model = tiny().eval()
    batch = batch_of("lfp2vec", WORLD, CONTEXT, size=3)
    reference = Wav2Vec2Model(network_config(model.params)).eval()
    reference.load_state_dict(model.network.wav2vec2.state_dict())
    x = signal.resample(batch.lfp[..., 0].double().numpy(), 12_000, axis=-1)
    x = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    with torch.no_grad():
        states = reference(torch.from_numpy(x).float(), output_hidden_states=True).hidden_states
        for layer in (0, -1):
            found = model.embed(batch, EmbedParams(at="hidden", layer=layer))[:, 0]
            expected = states[1 + layer % 2].mean(1)
            assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("head", ["linear", "relu"])
def test_the_head_embedding_is_what_enters_the_last_linear_layer(head):
    model = tiny(head=head).eval()
    batch = batch_of("lfp2vec", WORLD, CONTEXT, size=3)
    with torch.no_grad():
        pooled = model.embed(batch, EmbedParams(at="head"))[:, 0]
        probability = model.head.classify(pooled).softmax(-1)
        assert torch.allclose(probability, model.predict(batch)[:, 0], atol=1e-6)
    assert bool((pooled >= 0).all()) == (head == "relu")


def test_the_default_embedding_is_the_head_once_it_has_been_trained():
    model = tiny()
    batch = batch_of("lfp2vec", WORLD, CONTEXT, size=3)
    hidden = params_of("lfp2vec").hidden
    assert not model.head.trained
    model.objective = "finetune"
    model.loss(batch, generator())
    assert model.head.trained
    assert model.embed(batch, EmbedParams(at="hidden")).shape[-1] == hidden


def test_amplitude_does_not_reach_the_model():
    model = tiny().eval()
    batch = batch_of("lfp2vec", WORLD, CONTEXT, size=3)
    louder = type(batch)(**{**vars(batch), "lfp": 50 * batch.lfp + 300})
    with torch.no_grad():
        a, b = (model.embed(x, EmbedParams()) for x in (batch, louder))
    assert torch.allclose(a, b, atol=1e-3)


def test_without_classes_there_is_nothing_to_predict():
    model = build(params_of("lfp2vec"), CONTEXT.model_copy(update={"classes": ()}), seed=0)
    with pytest.raises(ValueError, match="no head"):
        model.predict(batch_of("lfp2vec", WORLD, CONTEXT, size=3))


def test_audio_weights_come_from_a_folder_with_their_licence_and_digest(tmp_path):
    params = params_of("lfp2vec")
    torch.manual_seed(9)
    public = Wav2Vec2ForPreTraining(network_config(params))
    public.save_pretrained(tmp_path / "some" / "weights")
    (tmp_path / "some" / "weights" / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    audio = params.model_copy(update={"init": "audio", "audio": "some/weights"})
    model = build(audio, CONTEXT, seed=0, weights=tmp_path)
    for name, value in public.state_dict().items():
        assert torch.equal(value, model.network.state_dict()[name])
    assert model.provenance["licence"] == "apache-2.0"
    assert len(model.provenance["sha256"]) == 64
    assert model.provenance["missing"] == []


def test_unreachable_audio_weights_say_how_to_point_at_a_folder(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match="FIELDBASE_WEIGHTS"):
        tiny(init="audio", audio="nobody/nothing-of-this-name")


def test_pickled_audio_weights_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="Pickled weights are never loaded"):
        tiny(init="audio", audio=str(tmp_path))


def test_masks_follow_the_generator_only():
    model = tiny(dropout=0.0).eval()
    batch = batch_of("lfp2vec", WORLD, CONTEXT, size=4)
    with torch.no_grad():
        losses = [float(model.loss(batch, generator(s))["total"]) for s in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-10), ("bf16", 1e-3), ("int8", 1e-3)]
)
def test_the_frozen_network_gives_the_hidden_states_of_transformers(precision, tolerance):
    model = tiny().eval()
    with torch.no_grad():
        torch.nn.init.normal_(
            model.network.wav2vec2.feature_extractor.conv_layers[0].layer_norm.bias
        )
    audio = 0.3 + torch.randn(3, 12_000, generator=generator())
    with torch.inference_mode():
        for layers in (1, None):
            expected = model.hidden(audio, layers=layers).mean(1)
            with model.frozen(precision):
                found = model.hidden(audio, layers=layers).mean(1)
                alone = model.hidden(audio[1:2], layers=layers).mean(1)
            assert 1 - torch.cosine_similarity(found.double(), expected.double()).min() < tolerance
            assert torch.allclose(found[1], alone[0], atol=1e-5 if precision != "bf16" else 1e-2)
    assert torch.equal(model.hidden(audio).mean(1), expected)
