"""The only training loop."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..models import MODELS, FoundationModel
from ..recording import WindowSet
from .checkpoint import save_checkpoint
from .parameters import EpochRecord, FitParams
from .run import Run
from .state import FitState

CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class FitResult:
    """What a training leaves behind.

    Attributes
    ----------
    epochs
        The learning curve.
    best_epoch
        The epoch whose weights were kept; 0 when ``prepare`` did all.
    checkpoint, sha256
        Folder of the kept weights, and their digest.
    resumed_from
        Last epoch that an interrupted call had finished; 0 for a fresh start.
    stopped_early
        Patience ran out before the last epoch.
    """

    epochs: list[EpochRecord]
    best_epoch: int
    checkpoint: Path
    sha256: str
    resumed_from: int
    stopped_early: bool
    seconds: float


def fit(
    model: FoundationModel,
    train: Sequence[WindowSet],
    validation: Sequence[WindowSet],
    params: FitParams,
    *,
    seed: int,
    device: str = "cpu",
    folder: Path,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    resume: bool = True,
) -> FitResult:
    """Train a model, keep its best epoch, write it to ``folder / "checkpoint"``.

    Every draw follows from the seed and the epoch, so a run that was killed goes on from its last
    finished epoch to the same weights (bit for bit on one CPU). On return the model holds the
    kept weights.

    Parameters
    ----------
    validation
        Chooses the epoch; may be empty, then the last one is kept.
    folder
        Also holds the state of an unfinished run.
    on_epoch
        Called with each epoch's record, also for those an earlier call had finished.
    resume
        False starts over.

    Raises
    ------
    ValueError
        If the family has no such objective, there is nothing to train on, or the folder holds the
        state of another run.
    FloatingPointError
        If the loss is no longer finite.
    """
    started = time.monotonic()
    _check(model, params, bool(validation))
    run = Run(model.to(device), train, validation, params, seed=seed, device=device)
    fingerprint = run.fingerprint
    state = FitState.load(folder, fingerprint) if resume else None
    if state is None:
        state = FitState()
        run.prepare()
    state.restore(model, run.optimizer)
    resumed_from = len(state.epochs)
    for record in state.epochs:
        _tell(on_epoch, record)
    while len(state.epochs) < params.epochs and not state.exhausted(params):
        record = run.epoch(state)
        state = state.after(record, model, run.optimizer)
        state.save(folder, fingerprint)
        _tell(on_epoch, record)
    if state.best:
        model.load_state_dict(state.best)
    model.eval()
    facts = {"fit": params.to_json(), "seed": seed, "best_epoch": state.best_epoch}
    written = save_checkpoint(folder / CHECKPOINT, model, facts)
    return FitResult(
        epochs=list(state.epochs),
        best_epoch=state.best_epoch,
        checkpoint=folder / CHECKPOINT,
        sha256=written["sha256"],
        resumed_from=resumed_from,
        stopped_early=len(state.epochs) < params.epochs,
        seconds=time.monotonic() - started,
    )


def _check(model: FoundationModel, params: FitParams, validated: bool) -> None:
    family = MODELS[model.params.family]
    if params.objective not in family.objectives:
        raise ValueError(
            f"{model.params.family} has no objective {params.objective!r}; it has "
            f"{list(family.objectives)}"
        )
    if (params.objective == "none") != (params.epochs == 0):
        raise ValueError(
            f"objective {params.objective!r} with {params.epochs} epochs: 'none' goes with 0 "
            "epochs and only with that"
        )
    if validated and params.objective == "ssl" and params.select not in ("loss", "last"):
        raise ValueError(
            f"self-supervised training has no validation {params.select}; select 'loss' or 'last'"
        )
    if params.objective == "finetune" and not model.context.classes:
        raise ValueError(
            "objective 'finetune' needs classes, the model was built without any; label the "
            "training channels or train with objective 'ssl'"
        )


def _tell(on_epoch: Callable[[EpochRecord], None] | None, record: EpochRecord) -> None:
    if on_epoch is not None:
        on_epoch(record)
