"""The only training loop."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..models import MODELS, FoundationModel
from ..recording import WindowSet
from .checkpoint import save_checkpoint
from .memory import Portions, explaining
from .parameters import EpochRecord, FitParams
from .run import Run
from .state import FitState
from .world import Alone

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
    world: Alone | None = None,
    portions: Portions | None = None,
) -> FitResult:
    """Train a model, keep its best epoch, write it to ``folder / "checkpoint"``.

    Every draw follows from the seed and the epoch, so a run that was killed goes on from its last
    finished epoch to the same weights (bit for bit on one CPU). On return the model holds the
    kept weights. Where memory runs out, batches are computed in pieces with the same draws: the
    weights stay the same up to rounding (on a GPU, attention dropout is drawn anew).

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
    world, portions
        For ``fit_distributed``: the processes that train together (the first one writes), and how
        many rows of a batch are computed together. By default alone, whole batches until memory
        runs out, then halves; ``EpochRecord.rows_at_once`` says what it came to.

    Raises
    ------
    ValueError
        If the family has no such objective, there is nothing to train on, or the folder holds the
        state of another run.
    FloatingPointError
        If the loss is no longer finite.
    OutOfMemory
        If not even one row fits.
    """
    started = time.monotonic()
    check(model, params, bool(validation))
    with explaining(device):
        run = Run(
            model.to(device), train, validation, params, seed=seed, device=device, world=world,
            portions=portions,
        )  # fmt: skip
        state, resumed_from = _epochs(run, folder, on_epoch, resume)
    if state.best:
        model.load_state_dict(state.best)
    model.eval()
    facts = {"fit": params.to_json(), "seed": seed, "best_epoch": state.best_epoch}
    sha256 = ""
    if run.world.rank == 0:
        sha256 = save_checkpoint(folder / CHECKPOINT, model, facts)["sha256"]
    return FitResult(
        epochs=list(state.epochs),
        best_epoch=state.best_epoch,
        checkpoint=folder / CHECKPOINT,
        sha256=sha256,
        resumed_from=resumed_from,
        stopped_early=len(state.epochs) < params.epochs,
        seconds=time.monotonic() - started,
    )


def _epochs(
    run: Run, folder: Path, on_epoch: Callable[[EpochRecord], None] | None, resume: bool
) -> tuple[FitState, int]:
    """The state after the last epoch, and how many epochs an earlier call had finished."""
    model, params = run.model, run.params
    fingerprint = run.fingerprint
    state = FitState.load(folder, fingerprint) if resume else None
    if state is None:
        state = FitState()
        run.prepare()
    elif state.epochs and run.portions.rows is None:
        run.portions.rows = state.epochs[-1].rows_at_once
    state.restore(model, run.optimizer)
    resumed_from = len(state.epochs)
    for record in state.epochs:
        _tell(on_epoch, record)
    while len(state.epochs) < params.epochs and not state.exhausted(params):
        record = run.epoch(state)
        state = state.after(record, model, run.optimizer)
        if run.world.rank == 0:
            state.save(folder, fingerprint)
        _tell(on_epoch, record)
    return state, resumed_from


def check(model: FoundationModel, params: FitParams, validated: bool) -> None:
    """Refuse what cannot be trained; raises ``ValueError``."""
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
    if params.augment is not None and (params.epochs == 0 or "lfp" not in family.needs):
        raise ValueError(
            f"augment changes the LFP of training steps; {model.params.family} with "
            f"{params.epochs} epochs reads {sorted(family.needs)}: leave it out"
        )
    if validated and params.objective == "ssl" and params.select not in ("loss", "last"):
        raise ValueError(
            f"self-supervised training has no validation {params.select}; select 'loss' or 'last'"
        )
    if params.objective in ("finetune", "frozen") and not model.context.classes:
        raise ValueError(
            f"objective {params.objective!r} needs classes, the model was built without any; "
            "label the training channels or train with objective 'ssl'"
        )


def _tell(on_epoch: Callable[[EpochRecord], None] | None, record: EpochRecord) -> None:
    if on_epoch is not None:
        on_epoch(record)
