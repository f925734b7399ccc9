"""How a model is trained, and what is written down of each epoch. Free of torch."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from ..params import Params

Range = tuple[float, float]
"""The least and the most, both above 0; what is drawn is uniform in its logarithm."""


class AugmentParams(Params):
    """Recording chains of other laboratories, drawn anew for every window of a training step.

    Filters have no phase and wrap around the window. Each part changes ``share`` of the channels'
    windows; a part that is None, or 0, changes none. Amplitudes are as heard: after gain and
    filters.
    """

    share: float = Field(0.5, gt=0, le=1, description="of the windows that a part changes")
    gain_db: float = Field(6.0, ge=0, description="gain, up to so much more or less (dB)")
    tilt_db: float = Field(0.3, ge=0, description="slope around 10 Hz, up or down (dB per octave)")
    lowpass_hz: Range | None = Field((100.0, 600.0), description="Butterworth corner (Hz)")
    lowpass_orders: tuple[int, int] = Field((1, 4), description="least and most")
    line_hz: tuple[float, ...] = Field((50.0, 60.0), min_length=1, description="mains (Hz)")
    line_uv: Range | None = Field((1.0, 6.0), description="amplitude of the mains (µV)")
    harmonics: int = Field(3, ge=1, description="of the mains; the k-th is at most 1/k as large")
    reference_uv: Range | None = Field(
        (1.0, 25.0), description="SD of noise that all channels of a window share (µV)"
    )
    reference_hz: Range = Field((5.0, 60.0), description="where that noise ends (Hz)")
    noise_uv: Range | None = Field((0.1, 2.0), description="SD of each channel's white noise (µV)")

    @field_validator("lowpass_hz", "lowpass_orders", "line_uv", "reference_uv", "reference_hz",
                     "noise_uv")  # fmt: skip
    @classmethod
    def _rising(cls, value: tuple | None) -> tuple | None:
        if value is not None and not 0 < value[0] <= value[1]:
            raise ValueError(f"the least and the most, both above 0; got {list(value)}")
        return value


class FitParams(Params):
    """One training run; every number that changes its weights except the seed.

    Defaults follow fine-tuning in He et al. 2025, with bf16 only where it is asked for.
    ``frozen`` trains the head alone; ``none`` takes no step: of a self-supervised family it is a
    logistic regression on the hidden states as they came.
    """

    later: ClassVar[frozenset[str]] = frozenset({"augment"})
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
    augment: AugmentParams | None = Field(
        None, description="change the windows of every step; never those of validation"
    )


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
