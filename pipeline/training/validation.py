"""What is measured after each epoch to choose one."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .batches import Batch
from .pieces import cut
from .precision import autocast, seeded

if TYPE_CHECKING:
    from .run import Run

VALIDATION_STREAM = 2**31
"""Seed of the validation masks beside the run's: the same in every epoch."""


@torch.no_grad()
def validate(run: "Run") -> dict[str, float]:
    """``loss``; for supervised training also ``accuracy`` and ``balanced_accuracy``."""
    run.model.eval()
    return _read_out(run) if run.supervised else _mean_loss(run)


def _mean_loss(run: "Run") -> dict[str, float]:
    losses, sizes = [], []
    with seeded(run.device, run.seed, VALIDATION_STREAM) as rng:
        for batch in _batches(run):
            draws = run.model.draw(batch, rng)
            found = run.portions.run(
                lambda rows, each=(batch, draws): run.shared.losses(*each, rows), run.largest
            )
            losses.append(float(found["total"]))
            sizes.append(len(batch))
    each = np.sum(run.world.gather(losses), axis=0)
    return {"loss": float(np.average(each, weights=sizes))}


def _read_out(run: "Run") -> dict[str, float]:
    """Each batch's mean over its labelled rows, then the mean of batches by their size."""
    logs, truth, chosen, sizes = [], [], [], []
    with seeded(run.device, run.seed, VALIDATION_STREAM):
        for batch in _batches(run):
            sizes.append(len(batch))
            own = _own_rows(run, batch)
            probability = run.portions.run(
                lambda rows, own=own: _predict(run, own, rows), run.largest
            )
            known = (own.region >= 0) & own.channel_valid
            right = probability.gather(-1, own.region.clamp(min=0)[..., None])[..., 0]
            logs.append(right[known].clamp(min=1e-12).log().numpy())
            truth.append(own.region[known].numpy())
            chosen.append(probability.argmax(-1)[known].numpy())
    everyone = run.world.gather((logs, truth, chosen))
    logs, truth, chosen = (
        [np.concatenate(parts) for parts in zip(*each, strict=True)]
        for each in zip(*everyone, strict=True)
    )
    loss = np.average([-each.mean() for each in logs], weights=sizes)
    return {"loss": float(loss)} | accuracies(np.concatenate(truth), np.concatenate(chosen))


def _batches(run: "Run") -> Iterator[Batch]:
    order = np.random.default_rng([run.seed, VALIDATION_STREAM])
    batches = run.batches(run.validation, run.validation_rows, order)
    return islice(batches, run.params.max_validation_batches)


def _own_rows(run: "Run", batch: Batch) -> Batch:
    """This process' rows; of a batch that all compute, the first process' only."""
    rows, share = run.world.part(len(batch))
    return batch[rows if share == 1 or run.world.rank == 0 else slice(0, 0)]


def _predict(run: "Run", batch: Batch, at_once: int) -> Tensor:
    """Class probabilities ``(row, channel, class)`` on the CPU."""
    found = [torch.empty(0, batch.region.shape[1], len(run.model.context.classes))]
    for piece in cut(slice(0, len(batch)), at_once):
        with autocast(run.device, run.params.precision):
            found.append(run.model.predict(batch[piece].to(run.device)).float().cpu())
    return torch.cat(found)


def accuracies(truth: np.ndarray, chosen: np.ndarray) -> dict[str, float]:
    """Raw accuracy and the mean recall over the classes present."""
    right = truth == chosen
    recalls = [float(right[truth == c].mean()) for c in np.unique(truth)]
    return {"accuracy": float(right.mean()), "balanced_accuracy": float(np.mean(recalls))}
