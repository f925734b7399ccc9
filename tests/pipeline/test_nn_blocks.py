"""Resampling, masks, losses and the encoder against independent oracles."""

import numpy as np
import pytest
import torch
from scipy import signal
from torch import nn

from pipeline.nn import masking
from pipeline.nn.losses import contrastive_sum, poisson_nll, sample_negatives
from pipeline.nn.readin import SessionReadIn
from pipeline.nn.resample import resample_to, standardise
from pipeline.nn.transformer import Encoder, rotate, rotations
from pipeline.nn.unfolded import UnfoldedConv


@pytest.mark.parametrize(
    ("n_in", "n_out"),
    [(3750, 48000), (600, 48000), (768, 48001), (3000, 768), (3001, 769), (999, 1000)],
)
def test_resampling_equals_scipy(n_in, n_out):
    x = np.random.default_rng(0).normal(size=(3, n_in)).astype(np.float32)
    expected = signal.resample(x.astype(np.float64), n_out, axis=-1)
    assert np.abs(resample_to(torch.from_numpy(x), n_out).numpy() - expected).max() < 1e-5


def test_a_standardised_window_has_mean_zero_and_sd_one():
    x = standardise(7 + 300 * torch.randn(4, 5000, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(x.mean(-1), torch.zeros(4), atol=1e-5)
    assert torch.allclose(x.std(-1, correction=0), torch.ones(4), atol=1e-5)


def grid(batch=16, steps=149, units=1):
    step = torch.arange(steps).repeat_interleave(units).expand(batch, -1)
    unit = torch.arange(units).repeat(steps).expand(batch, -1)
    return step, unit, torch.ones_like(step, dtype=torch.bool)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


SCHEMES = {
    "spans": lambda s, u, v, g: masking.spans(s, v, g, probability=0.2, length=10, min_spans=2),
    "random": lambda s, u, v, g: masking.random(v, g, ratio=0.3),
    "units": lambda s, u, v, g: masking.whole_groups(u, v, g, ratio=0.3),
    "region": lambda s, u, v, g: masking.whole_groups(u % 3, v, g, ratio=None),
    "within": lambda s, u, v, g: masking.within_region(u, u % 3, v, g, ratio=0.3),
    "after": lambda s, u, v, g: masking.after(s, v, first=100),
}


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_targets_hidden_valid_cells_and_repeats_by_seed(name):
    step, unit, valid = grid(units=9)
    valid[:, unit[0] == 8] = False
    mask = SCHEMES[name](step, unit, valid, rng(1))
    assert (mask.hidden | ~mask.target).all()
    assert not (mask.hidden & ~valid).any()
    assert mask.target.any(dim=1).all()
    assert torch.equal(mask.hidden, SCHEMES[name](step, unit, valid, rng(1)).hidden)


def test_spans_hide_whole_runs_and_about_the_asked_share():
    step, _, valid = grid(batch=400)
    hidden = SCHEMES["spans"](step, None, valid, rng()).hidden
    padded = torch.nn.functional.pad(hidden.int(), (1, 1))
    edges = padded.diff(dim=1)
    lengths = (edges == -1).nonzero()[:, 1] - (edges == 1).nonzero()[:, 1]
    assert lengths.min() >= 10
    starts = 0.2 * 149 / 10  # expected number of spans
    assert hidden.float().mean() == pytest.approx(1 - (1 - 10 / 149) ** starts, abs=0.01)


def test_a_unit_is_hidden_for_the_whole_window_or_not_at_all():
    step, unit, valid = grid(units=7)
    hidden = masking.whole_groups(unit, valid, rng(), ratio=0.4).hidden.view(16, 149, 7)
    assert (hidden.all(dim=1) == hidden.any(dim=1)).all()
    assert 0.2 < hidden.float().mean() < 0.6


def test_within_a_region_the_others_are_hidden_and_never_scored():
    step, unit, valid = grid(units=9)
    mask = SCHEMES["within"](step, unit, valid, rng())
    for row in range(16):
        scored = (unit[row][mask.target[row]] % 3).unique()
        assert len(scored) == 1
        assert mask.hidden[row][unit[row] % 3 != scored].all()
        shown = ~mask.hidden[row] & (unit[row] % 3 == scored)
        assert set(unit[row][shown].tolist()).isdisjoint(unit[row][mask.target[row]].tolist())


def test_too_few_steps_for_a_span_are_refused():
    step, _, valid = grid(steps=5)
    with pytest.raises(ValueError, match="span of 10"):
        SCHEMES["spans"](step, None, valid, rng())


def test_negatives_are_other_hidden_cells_of_the_same_window_uniformly():
    hidden = torch.zeros(2, 30, dtype=torch.bool)
    hidden[0, 3:9] = True
    hidden[1, 10:14] = True
    negatives = sample_negatives(hidden, 4000, rng())
    own = torch.arange(10)[:, None]
    assert not (negatives == own).any()
    assert negatives[:6].max() < 6 <= negatives[6:].min()
    counts = torch.bincount(negatives[0], minlength=6)[1:].float()
    assert (counts / 4000 - 0.2).abs().max() < 0.03


def test_the_contrastive_sum_equals_a_loop_and_skips_equal_negatives():
    g = np.random.default_rng(0)
    query, positive = g.normal(size=(5, 8)), g.normal(size=(5, 8))
    positive[3] = positive[1]
    negatives = np.array([[1, 2], [3, 0], [4, 4], [1, 2], [0, 3]])
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)  # noqa: E731
    total = 0.0
    for i, others in enumerate(negatives):
        kept = [j for j in others if not np.array_equal(positive[j], positive[i])]
        logits = np.array([cosine(query[i], positive[j]) for j in [i, *kept]]) / 0.1
        total -= logits[0] - np.log(np.exp(logits).sum())
    found = contrastive_sum(
        torch.tensor(query), torch.tensor(positive), torch.tensor(negatives), temperature=0.1
    )
    assert float(found) == pytest.approx(total, rel=1e-9)


def test_poisson_loss_is_scipys_up_to_the_constant_and_counts_targets_only():
    from scipy.stats import poisson

    counts = torch.tensor([[0.0, 3.0, 1.0, 7.0]])
    log_rate = torch.tensor([[0.1, 1.2, -0.3, 9.0]])
    target = torch.tensor([[True, True, True, False]])
    y = counts[target].numpy()
    constant = np.mean([np.log(float(np.prod(np.arange(1, k + 1)))) for k in y.astype(int)])
    expected = -poisson.logpmf(y, log_rate[target].exp().numpy()).mean() - constant
    assert float(poisson_nll(log_rate, counts, target)) == pytest.approx(expected, rel=1e-5)


def test_rotary_products_depend_on_the_difference_of_steps_only():
    x = torch.randn(2, 1, 1, 1, 8, generator=rng())
    product = []
    for shift in (0, 37):
        turn = [rotations(torch.tensor([[s + shift]]), 8) for s in (3, 11)]
        product.append((rotate(x[0], turn[0]) * rotate(x[1], turn[1])).sum())
    assert float(product[0]) == pytest.approx(float(product[1]), abs=1e-4)


@pytest.mark.parametrize("norm", ["layer", "rms"])
@pytest.mark.parametrize("mlp", ["gelu", "gated"])
@pytest.mark.parametrize("rotary", [True, False])
def test_a_token_does_not_feel_one_it_may_not_attend_to(norm, mlp, rotary):
    torch.manual_seed(0)
    encoder = Encoder(dim=16, layers=2, heads=2, feedforward=32, norm=norm, mlp=mlp, rotary=rotary)
    x = torch.randn(1, 6, 16)
    step = torch.arange(6)[None]
    causal = torch.ones(6, 6, dtype=torch.bool).tril()[None]
    changed = x.clone()
    changed[:, -1] = torch.randn(16)
    before, after = encoder(x, step=step, attend=causal), encoder(changed, step=step, attend=causal)
    assert torch.allclose(before[:, :-1], after[:, :-1], atol=1e-6)
    assert not torch.allclose(encoder(x, step=step)[:, 0], encoder(changed, step=step)[:, 0])


def test_sessions_are_read_in_by_name_and_an_unknown_one_is_named():
    read_in = SessionReadIn({"a.b/c": 3, "d": 3}, 4)
    x = torch.ones(1, 2, 3)
    assert not torch.allclose(read_in(x, "a.b/c"), read_in(x, "d"))
    with pytest.raises(KeyError, match=r"no read-in for session 'e'.*\['a.b/c', 'd'\]"):
        read_in(x, "e")


def test_an_unfolded_convolution_equals_the_one_it_was_made_from():
    conv = nn.Conv1d(1, 6, 10, stride=5, bias=False)
    unfolded = UnfoldedConv.like(conv)
    x = torch.randn(3, 1, 203, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(conv(x), unfolded(x), atol=1e-6)
    assert unfolded.weight is conv.weight
    with pytest.raises(ValueError, match="unpadded"):
        UnfoldedConv.like(nn.Conv1d(1, 6, 10, padding=1))
