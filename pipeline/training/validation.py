"""What is measured after each epoch to choose one."""

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from .precision import autocast, seeded

if TYPE_CHECKING:
    from .run import Run

VALIDATION_STREAM = 2**31
"""Seed of the validation masks beside the run's: the same in every epoch."""


@torch.no_grad()
def validate(run: "Run") -> dict[str, float]:
    """``loss``; for supervised training also ``accuracy`` and ``balanced_accuracy``."""
    run.model.eval()
    order = np.random.default_rng([run.seed, VALIDATION_STREAM])
    batches = run.batches(run.validation, run.validation_rows, order)
    if run.params.max_validation_batches is not None:
        batches = islice(batches, run.params.max_validation_batches)
    losses, sizes, truth, chosen = [], [], [], []
    with seeded(run.device, run.seed, VALIDATION_STREAM) as rng:
        for batch in batches:
            sizes.append(len(batch))
            with autocast(run.device, run.params.precision):
                if not run.supervised:
                    losses.append(float(run.model.loss(batch, rng)["total"]))
                    continue
                probability = run.model.predict(batch).float()
            known = (batch.region >= 0) & batch.channel_valid
            own = probability.gather(-1, batch.region.clamp(min=0)[..., None])[..., 0]
            losses.append(float(-own[known].clamp(min=1e-12).log().mean()))
            truth.append(batch.region[known].cpu().numpy())
            chosen.append(probability.argmax(-1)[known].cpu().numpy())
    found = {"loss": float(np.average(losses, weights=sizes))}
    if run.supervised:
        found |= accuracies(np.concatenate(truth), np.concatenate(chosen))
    return found


def accuracies(truth: np.ndarray, chosen: np.ndarray) -> dict[str, float]:
    """Raw accuracy and the mean recall over the classes present."""
    right = truth == chosen
    recalls = [float(right[truth == c].mean()) for c in np.unique(truth)]
    return {"accuracy": float(right.mean()), "balanced_accuracy": float(np.mean(recalls))}
