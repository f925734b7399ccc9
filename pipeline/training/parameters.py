"""How a model is trained, and what is written down of each epoch. Free of torch."""

from typing import Literal

from pydantic import Field

from ..params import Params


class FitParams(Params):
    """One training run; every number that changes its weights except the seed.

    Defaults follow fine-tuning in He et al. 2025, with bf16 only where it is asked for.
    ``frozen`` trains the head alone; ``none`` takes no step: of a self-supervised family it is a
    logistic regression on the hidden states as they came.
    """

    objective: Literal["ssl", "finetune", "frozen", "none"] = "finetune"
    epochs: int = Field(10, ge=0, description="0 fits in prepare() alone")
    batch_size: int = Field(32, gt=0)
    accumulate: int = Field(1, gt=0, description="batches per optimiser step")
    lr: float = Field(3e-5, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.01, ge=0)
    warmup_fraction: float = Field(0.1, ge=0, lt=1, description="of all steps")
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    clip_norm: float | None = Field(None, gt=0, description="largest gradient norm")
    precision: Literal["fp32", "bf16"] = "fp32"
    class_weights: Literal["none", "balanced"] = "none"
    select: Literal["loss", "accuracy", "balanced_accuracy", "last"] = Field(
        "loss", description="validation metric that chooses the epoch; last takes the last one"
    )
    patience: int | None = Field(None, gt=0, description="epochs without a better one; None waits")
    max_steps_per_epoch: int | None = Field(None, gt=0, description="optimiser steps")
    max_windows_per_channel: int | None = Field(None, gt=0, description="drawn once by the seed")
    max_validation_batches: int | None = Field(None, gt=0)


class EpochRecord(Params):
    """One row of the learning curve."""

    epoch: int = Field(ge=1)
    steps: int = Field(description="optimiser steps so far")
    train_loss: float
    parts: dict[str, float] = Field(default_factory=dict, description="parts of the training loss")
    validation: dict[str, float] = Field(default_factory=dict)
    lr: float = Field(description="at the end of the epoch")
    seconds: float = Field(description="this epoch took (s)")
    seconds_left: float = Field(description="estimate for the remaining epochs (s)")
    best: bool = Field(description="the best epoch so far")
    rows_at_once: int | None = Field(
        None, description="rows computed together since memory ran out; None: whole batches"
    )
    note: str = Field("", description="how this run differs from whole batches on one device")
