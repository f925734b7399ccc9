"""A model in training: its rows, its optimiser, one step, one epoch."""

import math
import time
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float32
from torch import Generator, Tensor

from ..models import MODELS, FoundationModel
from ..params import digest
from ..recording import WindowSet
from .batches import Batch, Rows, batch_indices, iterate_batches, region_ids, rows_of
from .parameters import EpochRecord, FitParams
from .precision import autocast, seeded
from .state import FitState
from .validation import validate


class Run:
    """Everything one training holds besides its curve.

    Raises
    ------
    ValueError
        If there is no row to train on.
    """

    def __init__(
        self,
        model: FoundationModel,
        train: Sequence[WindowSet],
        validation: Sequence[WindowSet],
        params: FitParams,
        *,
        seed: int,
        device: str,
    ) -> None:
        self.model, self.params, self.seed, self.device = model, params, seed, device
        self.family = MODELS[model.params.family]
        self.train, self.validation = list(train), list(validation)
        self.rows = self._rows(self.train, params.max_windows_per_channel)
        self.validation_rows = self._rows(self.validation, None)
        if len(self.rows) == 0:
            raise ValueError(self._nothing())
        model.objective = params.objective
        model.class_weights = self._class_weights()
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=params.lr, weight_decay=params.weight_decay
        )
        batches = batch_indices(self.train, self.rows, params.batch_size, self.family.needs, None)
        steps = math.ceil(len(batches) / params.accumulate)
        self.steps_per_epoch = min(steps, params.max_steps_per_epoch or steps)

    @property
    def supervised(self) -> bool:
        """Whether only labelled channels count."""
        wants_labels = self.params.objective != "ssl" and self.family.output == "classes"
        return wants_labels and bool(self.model.context.classes)

    @property
    def fingerprint(self) -> str:
        """Digest of all that decides the weights."""
        return digest(
            {
                "model": self.model.params.to_json(),
                "context": self.model.context.to_json(),
                "provenance": self.model.provenance,
                "fit": self.params.to_json(),
                "seed": self.seed,
                "windows": [
                    [[w.windows, w.session, len(w), int(w.valid.sum())] for w in part]
                    for part in (self.train, self.validation)
                ],
            }
        )

    def prepare(self) -> None:
        """One pass over the training rows before the first step."""
        with seeded(self.device, self.seed, 0):
            self.model.prepare(self.batches(self.train, self.rows, None))

    def epoch(self, state: FitState) -> EpochRecord:
        """One epoch of steps and the validation after it."""
        began = time.monotonic()
        number = len(state.epochs) + 1
        losses = self._steps(number)
        found = validate(self) if len(self.validation_rows) else {}
        seconds = time.monotonic() - began
        each = float(np.mean([*(e.seconds for e in state.epochs), seconds]))
        return EpochRecord(
            epoch=number,
            steps=number * self.steps_per_epoch,
            train_loss=losses.pop("total"),
            parts=losses,
            validation=found,
            lr=self.optimizer.param_groups[0]["lr"],
            seconds=seconds,
            seconds_left=each * (self.params.epochs - number),
            best=state.improves(found, self.params),
        )

    def batches(
        self, windowsets: list[WindowSet], rows: Rows, rng: np.random.Generator | None
    ) -> Iterator[Batch]:
        """Batches on the device."""
        found = iterate_batches(
            windowsets,
            rows,
            context=self.model.context,
            batch_size=self.params.batch_size,
            needs=self.family.needs,
            rng=rng,
        )
        return (batch.to(self.device) for batch in found)

    def _steps(self, number: int) -> dict[str, float]:
        """Mean of every part of the loss over the epoch's batches that have it."""
        self.model.train()
        order = np.random.default_rng([self.seed, number])
        batches = self.batches(self.train, self.rows, order)
        sums: dict[str, list[float]] = {}
        with seeded(self.device, self.seed, number) as rng:
            for step in range(self.steps_per_epoch):
                self._set_lr((number - 1) * self.steps_per_epoch + step)
                group = list(islice(batches, self.params.accumulate))
                for losses in self._step(group, rng):
                    for name, value in losses.items():
                        sums.setdefault(name, []).append(float(value.detach()))
                _check_finite(sums["total"][-1], number, step)
        return {name: float(np.mean(values)) for name, values in sums.items()}

    def _step(self, group: list[Batch], rng: Generator) -> list[dict[str, Tensor]]:
        self.optimizer.zero_grad(set_to_none=True)
        found = []
        for batch in group:
            with autocast(self.device, self.params.precision):
                losses = self.model.loss(batch, rng)
            (losses["total"] / len(group)).backward()
            found.append(losses)
        if self.params.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.params.clip_norm)
        self.optimizer.step()
        return found

    def _set_lr(self, step: int) -> None:
        total = self.steps_per_epoch * self.params.epochs
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.params, step, total)

    def _rows(self, windowsets: list[WindowSet], limit: int | None) -> Rows:
        return rows_of(
            windowsets,
            grain=self.family.grain,
            classes=self.model.context.classes,
            labelled=self.supervised,
            max_windows_per_channel=limit,
            rng=np.random.default_rng([self.seed, 0]),
        )

    def _class_weights(self) -> Float32[Tensor, " klass"] | None:
        if self.params.class_weights == "none" or not self.supervised:
            return None
        classes = self.model.context.classes
        ids = [region_ids(w, classes) for w in self.train]
        labels = [ids[s][c] for s, c in zip(self.rows.windowset, self.rows.channel, strict=True)]
        counts = np.bincount(labels, minlength=len(classes))
        weights = np.where(counts > 0, counts.sum() / np.maximum(counts, 1), 0) / (counts > 0).sum()
        return torch.from_numpy(weights.astype(np.float32))

    def _nothing(self) -> str:
        kind = f"labelled with one of {list(self.model.context.classes)}" if self.supervised else ""
        return (
            f"nothing to train {self.model.params.family} on: {len(self.train)} sets of windows "
            f"hold no valid window {kind}; look at the rejection reasons and labels of the windows"
        )


def learning_rate(params: FitParams, step: int, total: int) -> float:
    """The learning rate of a step (from 0) of ``total``: linear warm-up, then the schedule."""
    warm = round(params.warmup_fraction * total)
    if step < warm:
        return params.lr * (step + 1) / (warm + 1)
    done = (step - warm) / max(total - warm, 1)
    if params.schedule == "linear":
        return params.lr * (1 - done)
    if params.schedule == "cosine":
        return params.lr * 0.5 * (1 + math.cos(math.pi * done))
    return params.lr


def _check_finite(loss: float, epoch: int, step: int) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"loss became {loss} in epoch {epoch}, step {step + 1}; lower lr, set clip_norm, or "
            "train in fp32"
        )
