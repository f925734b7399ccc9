"""When memory runs out a batch is computed in pieces, and the training does not notice."""

import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from model_worlds import batch_of, context_of, generator, params_of, world  # noqa: E402

from pipeline.models import MODELS, build  # noqa: E402
from pipeline.training import FitParams, OutOfMemory  # noqa: E402
from pipeline.training.fit import fit  # noqa: E402
from pipeline.training.memory import Portions, is_out_of_memory  # noqa: E402
from pipeline.training.pieces import cut, drawn_together  # noqa: E402
from pipeline.training.shares import Shared, Shares  # noqa: E402
from pipeline.training.world import Alone  # noqa: E402

TRAIN, VALIDATION = [world("s1"), world("s2", seed=1)], [world("s3", seed=2)]
CONTEXT = context_of([*TRAIN, *VALIDATION])
EVERY = [(name, objective) for name, entry in MODELS.items() for objective in entry.objectives]
TRAINED = [each for each in EVERY if each[1] != "none"]
RANDOM = {"lfp2vec": {"dropout": 0.2, "layerdrop": 0.3}, "mtm": {"dropout": 0.2}}
FAILURES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
    RuntimeError("MPS backend out of memory"),
    RuntimeError("could not create a primitive"),
    MemoryError("Unable to allocate 3 GiB for an array"),
]


def built(family, objective):
    model = build(params_of(family, **RANDOM.get(family, {})), CONTEXT, seed=1)
    model.objective = objective
    return model


def limit_memory(monkeypatch, family, rows, error=FAILURES[0]):
    """Make every computation over more rows fail, half of the forward passes late."""
    seen, share = [], type(built(family, "ssl")).share

    def limited(self, batch, draws, pool=None):
        seen.append(len(batch))
        if len(batch) > rows:
            share(self, batch, draws, pool)["total"].backward() if self.training else None
            raise error
        return share(self, batch, draws, pool)

    monkeypatch.setattr(type(built(family, "ssl")), "share", limited)
    return seen


def flat(model):
    """All weights in one vector."""
    return torch.cat([value.float().flatten() for value in model.state_dict().values()])


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize(("family", "objective"), EVERY)
def test_the_shares_of_all_pieces_are_the_loss_of_the_batch(family, objective, at_once):
    batch = batch_of(family, TRAIN[0], CONTEXT, size=8)
    found = []
    for rows in (8, at_once):
        model = built(family, objective).train()
        shared = Shared(model, Shares(model), Alone(), "cpu", "fp32")
        torch.manual_seed(4)
        losses = shared.backward(
            batch, model.draw(batch, generator(2)), rows, weight=1.0, last=True
        )
        found.append((losses, [p.grad for p in model.parameters()], torch.rand(1)))
    (whole, gradients, after), (pieces, summed, later) = found
    assert list(pieces) == list(whole)
    for name in whole:
        assert float(pieces[name]) == pytest.approx(float(whole[name]), rel=1e-5, abs=1e-6)
    largest = max(float(g.abs().max()) for g in gradients if g is not None)
    assert largest > 0
    for one, other in zip(gradients, summed, strict=True):
        assert (one is None) == (other is None)
        assert one is None or float((one - other).abs().max()) < 1e-5 * largest
    assert torch.equal(after, later)  # the random streams end at the same place


@pytest.mark.parametrize(("family", "objective"), TRAINED)
def test_memory_that_runs_out_halves_what_is_computed_and_changes_nothing(
    family, objective, tmp_path, monkeypatch
):
    params = FitParams(
        objective=objective,
        epochs=2,
        batch_size=7,
        accumulate=2,
        lr=1e-3,
        max_steps_per_epoch=1,
        max_validation_batches=2,
    )
    models, results = [], []
    for place in ("whole", "halved"):
        if place == "halved":
            seen = limit_memory(monkeypatch, family, 2)
        models.append(built(family, objective))
        results.append(fit(models[-1], TRAIN, VALIDATION, params, seed=5, folder=tmp_path / place))
    start, whole, halved = (flat(model) for model in (built(family, objective), *models))
    assert (whole - halved).norm() < 1e-3 * (whole - start).norm()
    whole, halved = (result.epochs[-1] for result in results)
    assert halved.train_loss == pytest.approx(whole.train_loss, rel=1e-5)
    assert halved.validation["loss"] == pytest.approx(whole.validation["loss"], rel=1e-4)
    assert (whole.rows_at_once, halved.rows_at_once) == (None, 1)
    assert [n for n in seen if n > 2] == [7, 3]  # each size fails once, not in every batch


def test_one_row_that_does_not_fit_ends_the_training_and_says_what_to_do(tmp_path, monkeypatch):
    limit_memory(monkeypatch, "mtm", 0)
    params = FitParams(objective="ssl", epochs=1, batch_size=8)
    with pytest.raises(OutOfMemory, match="memory of cpu ran out with 1 row at a time.*free") as e:
        fit(built("mtm", "ssl"), TRAIN, [], params, seed=5, folder=tmp_path)
    assert e.value.rows == 1


def test_memory_that_fails_outside_of_the_rows_is_told_apart(tmp_path, monkeypatch):
    def step(self, closure=None):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    params = FitParams(objective="ssl", epochs=1, batch_size=8)
    with pytest.raises(OutOfMemory, match="model, optimiser and windows"):
        fit(built("mtm", "ssl"), TRAIN, [], params, seed=5, folder=tmp_path)


@pytest.mark.parametrize("family", ["band_power", "mtm"])
def test_the_pass_before_the_first_step_is_taken_in_smaller_batches(family, tmp_path, monkeypatch):
    objective = MODELS[family].objectives[0]
    epochs = 0 if objective == "none" else 1
    params = FitParams(objective=objective, epochs=epochs, batch_size=32)
    whole = built(family, objective)
    fit(whole, TRAIN, [], params, seed=5, folder=tmp_path / "whole")
    prepare, sizes = type(whole).prepare, []

    def limited(self, batches):
        def counted():
            for batch in batches:
                sizes.append(len(batch))
                if len(batch) > 5:
                    raise FAILURES[1]
                yield batch

        prepare(self, counted())

    monkeypatch.setattr(type(whole), "prepare", limited)
    halved = built(family, objective)
    fit(halved, TRAIN, [], params, seed=5, folder=tmp_path / "halved")
    assert max(sizes) > 5
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, halved.state_dict()[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("error", FAILURES, ids=str)
def test_every_allocators_way_of_giving_up_is_known(error):
    assert is_out_of_memory(error)
    tried = []

    def compute(rows):
        tried.append((rows, float(torch.rand(1))))
        if rows > 3:
            raise error
        return rows

    portions = Portions("cpu")
    assert portions.run(compute, 16) == 2
    assert [rows for rows, _ in tried] == [16, 8, 4, 2]
    assert len({drawn for _, drawn in tried}) == 1
    assert portions.run(compute, 16) == 2
    assert len(tried) == 5


def test_other_errors_pass_and_devices_that_must_agree_do_not_halve():
    def broken(rows):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        Portions("cpu").run(broken, 8)

    def full(rows):
        raise FAILURES[0]

    with pytest.raises(OutOfMemory) as error:
        Portions("cpu", halve=False).run(full, 8)
    assert error.value.rows == 8


def test_attention_with_a_mask_and_dropout_is_that_of_the_whole_batch():
    q, k, v = torch.randn(3, 6, 2, 5, 4, generator=generator()).unbind()
    attend = torch.rand(6, 1, 5, 5, generator=generator(1)) > 0.3
    attend |= torch.eye(5, dtype=torch.bool)
    attention = torch.nn.functional.scaled_dot_product_attention
    torch.manual_seed(0)
    whole = attention(q, k, v, attn_mask=attend, dropout_p=0.4)
    for rows in cut(slice(0, 6), 4):
        torch.manual_seed(0)
        with drawn_together(rows, 6, set()):
            part = attention(q[rows], k[rows], v[rows], attn_mask=attend[rows], dropout_p=0.4)
        assert torch.allclose(part, whole[rows], atol=1e-6)
    assert np.count_nonzero(whole.numpy()) > 0


def test_a_failed_try_has_let_go_of_its_tensors_before_the_next_one():
    held = []

    def compute(rows):
        assert [tensor() for tensor in held] == [None] * len(held)
        activations = torch.zeros(rows)
        held.append(weakref.ref(activations))
        if rows > 1:
            raise FAILURES[1].__class__("can't allocate memory")
        return rows

    assert Portions("cpu").run(compute, 8) == 1
    assert len(held) == 4
