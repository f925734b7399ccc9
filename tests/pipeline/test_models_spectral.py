"""Families on spectrograms, held against SciPy, a double loop and the formulas written out."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import signal

sys.path.insert(0, str(Path(__file__).parent))
from model_worlds import batch_of, context_of, generator, params_of, world  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from pipeline.models import EmbedParams, build, params_class  # noqa: E402
from pipeline.models.cost import forward_flop  # noqa: E402
from pipeline.nn.losses import content_aware_sums, nt_xent_sum  # noqa: E402
from pipeline.nn.spectrogram import spectrogram_db  # noqa: E402
from pipeline.training import FitParams  # noqa: E402
from pipeline.training.checkpoint import initialise_from  # noqa: E402
from pipeline.training.fit import fit  # noqa: E402

WORLD = world()
CONTEXT = context_of([WORLD])
FAMILIES = ["spectrogram_mlp", "simclr", "brainbert"]


@pytest.mark.parametrize(
    ("samples", "size", "frames", "bins"), [(3750, 2048, 16, 500), (600, 49, 13, 20)]
)
def test_the_spectrogram_is_scipys_in_decibels(samples, size, frames, bins):
    x = 50 * np.random.default_rng(0).normal(size=(2, samples)).cumsum(-1)
    step = samples // (frames - 1)
    *_, z = signal.stft(
        x, 1250.0, nperseg=size, noverlap=size - step, boundary="even", padded=False
    )
    expected = 10 * np.log10(np.abs(z) ** 2 + 1e-6)[:, :bins].transpose(0, 2, 1)
    found = spectrogram_db(
        torch.from_numpy(x), 1250.0, segment_s=size / 1250, bins=bins, frames=frames
    )
    assert found.shape == (2, frames, bins)
    assert np.allclose(found[:, : expected.shape[1]], expected[:, :frames], atol=1e-6)


def test_a_bin_and_a_frame_mean_the_same_at_every_rate():
    def heard(rate):
        t = torch.arange(round(3 * rate), dtype=torch.float64) / rate
        x = 80 * torch.sin(2 * torch.pi * (20 + 4 * t) * t) + 30 * torch.sin(2 * torch.pi * 90 * t)
        return spectrogram_db(x[None], rate, segment_s=2048 / 1250, bins=500, frames=16)[0]

    native, double, low = heard(1250.0), heard(2500.0), heard(250.0)
    assert low.shape == (16, 206)
    for other in (double, low):  # frames that touch no mirrored end
        before, own = native[1, : other.shape[1]], native[5:11, : other.shape[1]]
        assert float((own - other[5:11])[own > 10].abs().max()) < 1.0
        assert float((own - before)[own > 10].abs().max()) > 10


def test_a_segment_too_long_for_the_window_is_refused():
    with pytest.raises(ValueError, match="less than twice the window.*got 8.0 s of 3 s"):
        spectrogram_db(torch.zeros(1, 750), 250.0, segment_s=8.0, bins=4, frames=4)


def test_nt_xent_is_the_double_loop_over_all_pairs():
    views, temperature = torch.randn(10, 5, generator=generator(), dtype=torch.float64), 0.606
    total = 0.0
    for i in range(10):
        partner = i + 1 if i % 2 == 0 else i - 1
        alike = {}
        for k in range(10):
            if k != i:
                cosine = float(views[i] @ views[k] / (views[i].norm() * views[k].norm()))
                alike[k] = math.exp(cosine / temperature)
        total -= math.log(alike[partner] / sum(alike.values()))
    assert float(nt_xent_sum(views, temperature=temperature)) == pytest.approx(total, rel=1e-9)


def test_the_content_aware_loss_is_its_formula():
    model = build(params_of("brainbert"), CONTEXT, seed=0).eval()
    batch = batch_of("brainbert", WORLD, CONTEXT, size=6)
    model.objective = "ssl"
    model.prepare([batch])
    draws = model.draw(batch, generator(3))
    truth = model.spectra(batch)
    hidden = draws.hidden.view(truth.shape)
    with torch.no_grad():
        said = model.restore(model.hidden(truth.masked_fill(hidden, 0)))
        found = model.share(batch, draws)
    masked = [abs(a - b) for a, b, h in _cells(said, truth, hidden) if h]
    content = [abs(a - b) for a, b, h in _cells(said, truth, hidden) if h and abs(b) > 1]
    expected = np.mean(masked) + 2 * np.mean(content)
    assert len(masked) > len(content) > 0
    assert float(found["total"]) == pytest.approx(expected, rel=1e-5)
    assert 0.1 < hidden.float().mean() < 0.5


def _cells(*tensors):
    return zip(*(t.flatten().tolist() for t in tensors), strict=True)


def test_cells_that_are_no_target_count_for_nothing():
    found, truth = torch.randn(2, 3, 4, generator=generator()).unbind()
    error, content = content_aware_sums(
        found, truth, torch.zeros(3, 4, dtype=torch.bool), threshold=0.5
    )
    assert (float(error), float(content)) == (0, 0)


def test_bins_above_the_nyquist_frequency_are_zero_and_never_scored():
    model = build(params_of("brainbert", bins=100), CONTEXT, seed=0)  # 0 to 198 Hz, heard to 125
    batch = batch_of("brainbert", WORLD, CONTEXT, size=6)
    model.objective = "ssl"
    model.prepare([batch])
    spectra, known = model.spectra(batch), model.known_bins(batch)
    assert known == 63
    assert spectra.shape[-1] == 100
    assert not spectra[..., known:].any()
    draws = model.draw(batch, generator())
    assert not draws.target.view(spectra.shape)[..., known:].any()
    assert draws.hidden.view(spectra.shape)[..., known:].any()


def test_what_is_masked_is_not_seen():
    model = build(params_of("simclr"), CONTEXT, seed=0)
    batch = batch_of("simclr", WORLD, CONTEXT, size=4)
    model.objective = "ssl"
    model.prepare([batch])
    draws = model.draw(batch, generator())
    seen = model.views(batch, draws)
    everything = replace(draws, hidden=torch.ones_like(draws.hidden))
    blind = model.views(batch, everything)
    assert (seen[0] - seen[1]).abs().max() > 1e-3  # two views of one window differ
    assert torch.allclose(blind, blind[:1].expand_as(blind))
    assert draws.hidden.view(4, 2, 8).sum(-1).tolist() == [[2, 2]] * 4


@pytest.mark.parametrize("family", FAMILIES)
def test_training_scales_each_bin_and_a_parents_scale_is_kept(family, tmp_path):
    louder = replace(WORLD, lfp=10 * WORLD.lfp)
    model = build(params_of(family), CONTEXT, seed=0)
    params = FitParams(objective="finetune", epochs=1, lr=1e-3, max_steps_per_epoch=1)
    fit(model, [WORLD], [], params, seed=1, folder=tmp_path / "parent")
    batch = batch_of(family, WORLD, CONTEXT, size=100)
    spectra = model.spectra(batch)[..., : model.known_bins(batch)]
    assert torch.allclose(spectra.mean(dim=(0, 1)), torch.zeros(spectra.shape[-1]), atol=1e-3)
    assert torch.allclose(spectra.std(dim=(0, 1)), torch.ones(spectra.shape[-1]), atol=1e-2)
    child = build(params_of(family), CONTEXT, seed=0)
    initialise_from(child, tmp_path / "parent" / "checkpoint")
    child.prepare([batch_of(family, louder, CONTEXT, size=100)])
    assert torch.equal(child.mean, model.mean)
    assert torch.equal(child.sd, model.sd)


def test_scaling_by_the_own_window_removes_the_gain():
    model = build(params_of("brainbert", normalise="window"), CONTEXT, seed=0)
    batch = batch_of("brainbert", WORLD, CONTEXT, size=5)
    louder = replace(batch, lfp=7 * batch.lfp)
    assert (model.spectra(batch) - model.spectra(louder)).abs().max() < 0.1
    other = build(params_of("brainbert"), CONTEXT, seed=0)
    assert (other.spectra(batch) - other.spectra(louder)).abs().max() > 10


@pytest.mark.parametrize("family", ["simclr", "brainbert"])
def test_every_layer_can_be_embedded_and_the_last_is_the_default(family):
    model = build(params_of(family), CONTEXT, seed=0).eval()
    batch = batch_of(family, WORLD, CONTEXT, size=5)
    layers = [model.embed(batch, EmbedParams(at="hidden", layer=n)) for n in (0, -1)]
    assert torch.equal(layers[1], model.embed(batch, EmbedParams()))
    assert family == "brainbert" or not layers[0].shape == layers[1].shape
    bare = build(params_of(family), CONTEXT.model_copy(update={"classes": ()}), seed=0)
    with pytest.raises(ValueError, match=f"{family} has no head"):
        bare.predict(batch)


def test_published_sizes_are_the_defaults_and_spans_must_fit():
    mlp = params_class("spectrogram_mlp")()
    assert (mlp.bins * mlp.frames, mlp.head_dim) == (8000, 128)
    assert params_class("simclr")().temperature == 0.606
    with pytest.raises(ValueError, match="mask_span 16 must be less than the 16 frames"):
        params_class("simclr")(mask_span=16)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cost_of_a_window_agrees_with_torchs_own_count(family):
    params = params_of(family)
    model = build(params, CONTEXT, seed=0).eval()
    spectra = torch.zeros(1, params.frames, params.bins)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        hidden = model.hidden(spectra)
        if family == "spectrogram_mlp":
            model.head.pooled(hidden)
    assert forward_flop(params, 3.0) == pytest.approx(counter.get_total_flops(), rel=0.02)


@pytest.mark.parametrize("family", ["simclr", "brainbert"])
def test_processes_that_share_a_batch_pool_what_pieces_of_it_pool(family):
    model = build(params_of(family), CONTEXT, seed=0).eval()
    model.objective, batch = "ssl", batch_of(family, WORLD, CONTEXT, size=8)
    draws = model.draw(batch, generator())
    ranks = [slice(0, 3), slice(3, 8)]
    total = sum(model.pooled(batch[rows], draws[rows]) for rows in ranks)
    given, losses = [], []
    for rows in ranks:

        def all_reduce(own):
            given.append(own)
            return total

        losses.append(model.share(batch[rows], draws[rows], all_reduce)["total"])
    assert torch.allclose(sum(given), total)
    assert float(sum(losses)) == pytest.approx(float(model.share(batch, draws)["total"]), rel=1e-5)
