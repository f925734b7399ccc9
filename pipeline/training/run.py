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
from ..models.draws import Draws
from ..params import digest
from ..recording import WindowSet
from .ahead import ahead
from .augment import augment
from .batches import Batch, Rows, batch_indices, iterate_batches, region_ids, rows_of
from .memory import Portions
from .parameters import EpochRecord, FitParams
from .pieces import cut
from .precision import seeded
from .shares import Shared, Shares
from .state import FitState
from .validation import validate
from .world import Alone


class Run:
    """Everything one training holds besides its curve.

    Parameters
    ----------
    world
        The processes that train together; each computes its rows of every batch.
    portions
        How many rows are computed together; halved when memory runs out.

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
        world: Alone | None = None,
        portions: Portions | None = None,
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
        self.world = world or Alone()
        self.portions = portions or Portions(device)
        self.shared = Shared(
            model, self.world.wrap(Shares(model)), self.world, device, params.precision
        )
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
        """One pass over the training rows before the first step, as the steps will hear them."""

        def pieces(at_once: int, rng: Generator) -> Iterator[Batch]:
            for batch in self.batches(self.train, self.rows, None, size=self.params.batch_size):
                heard = self._heard(batch, rng)
                yield from (heard[rows] for rows in cut(slice(0, len(batch)), at_once))

        def prepare(at_once: int) -> None:
            with seeded(self.device, self.seed, 0) as rng:
                self.model.prepare(piece.to(self.device) for piece in pieces(at_once, rng))

        self.portions.run(prepare, self.params.batch_size)

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
            rows_at_once=self.rows_at_once,
            note="; ".join(sorted(self.shared.notes)),
        )

    @property
    def largest(self) -> int:
        """Rows of a whole batch that this process computes."""
        return math.ceil(self.params.batch_size / self.world.size)

    @property
    def rows_at_once(self) -> int | None:
        """Rows that are computed together where memory does not hold all; else None."""
        rows = self.portions.rows
        return rows if rows is not None and rows < self.largest else None

    def batches(
        self,
        windowsets: list[WindowSet],
        rows: Rows,
        rng: np.random.Generator | None,
        *,
        size: int | None = None,
    ) -> Iterator[Batch]:
        """Batches on the CPU, this process' rows read; all rows where a size is given."""
        return iterate_batches(
            windowsets,
            rows,
            context=self.model.context,
            batch_size=size or self.params.batch_size,
            needs=self.family.needs,
            rng=rng,
            part=None if size else lambda n: self.world.part(n)[0],
        )

    def stream(self, order: np.random.Generator) -> Iterator[Batch]:
        """The training batches of an epoch; for a GPU they are read while it computes."""
        batches = self.batches(self.train, self.rows, order)
        return ahead(batches) if self.device.startswith("cuda") else batches

    def _steps(self, number: int) -> dict[str, float]:
        """Mean of every part of the loss over the epoch's batches that have it."""
        self.shared.forward.train()
        order = np.random.default_rng([self.seed, number])
        batches = self.stream(order)
        sums: dict[str, list[float]] = {}
        with seeded(self.device, self.seed, number) as rng:
            for step in range(self.steps_per_epoch):
                self._set_lr((number - 1) * self.steps_per_epoch + step)
                group = list(islice(batches, self.params.accumulate))
                for losses in self._step(group, rng):
                    for name, value in losses.items():
                        sums.setdefault(name, []).append(float(value))
                _check_finite(sums["total"][-1], number, step)
        everyone = self.world.gather(sums)
        return {n: float(np.sum([s[n] for s in everyone], axis=0).mean()) for n in sums}

    def _step(self, group: list[Batch], rng: Generator) -> list[dict[str, Tensor]]:
        drawn = [self._drawn(batch, rng) for batch in group]

        def backward(at_once: int) -> list[dict[str, Tensor]]:
            self.optimizer.zero_grad(set_to_none=True)
            return [
                self.shared.backward(
                    *each, at_once, weight=1 / len(group), last=number == len(group)
                )
                for number, each in enumerate(drawn, 1)
            ]

        found = self.portions.run(backward, self.largest)
        if self.params.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.params.clip_norm)
        self.optimizer.step()
        return found

    def _drawn(self, batch: Batch, rng: Generator) -> tuple[Batch, Draws]:
        """A batch as the model is to hear it, and all that is random in its loss."""
        draws = self.model.draw(batch, rng)
        return self._heard(batch, rng), draws

    def _heard(self, batch: Batch, rng: Generator) -> Batch:
        if self.params.augment is None:
            return batch
        return augment(batch, self.params.augment, rng, self.device)

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
