"""How long a study would take: windows to train on, operations, hours."""

from dataclasses import dataclass

from pipeline.models.cost import TRAINING, forward_flop

from .models import answers
from .spec import Model, StudySpec

CPU_FLOPS, GPU_FLOPS = 0.12e12, 100e12
"""Operations per second: two CPU cores in fp32 (measured), one data-centre GPU in bf16 (usual)."""

CPU_STEP_S, GPU_STEP_S = 0.01, 0.0005
"""What a window of one channel takes to train on, however small the model (s)."""


@dataclass(frozen=True)
class Counted:
    """One LFP series: channels and length (s)."""

    channels: int
    duration_s: float


def spell_effort(spec: StudySpec, signals: list[Counted], folds: int) -> list[str]:
    """What training and reading out would take, in words; nothing without LFP."""
    if not signals or not folds or not spec.model:
        return []
    rows = sum(one.channels * _windows(spec, one) for one in signals)
    said = [f"{rows:,} windows of one channel, {spec.windows.length_s:g} s each"]
    trained = heard = flop = small = 0.0
    for model in spec.model:
        forward = forward_flop(model.values, spec.windows.length_s)
        if not forward:
            continue
        fitted, read = _fitted(spec, model, signals, folds), _read(spec, model, rows, folds)
        trained, heard = trained + fitted, heard + read
        flop += forward * (TRAINING * fitted + read)
        small += fitted + read / TRAINING
    if not flop:
        return said
    said.append(f"networks train on {trained:,.0f} of them and read {heard:,.0f}, counted by epoch")
    cpu = _spell(flop / CPU_FLOPS + CPU_STEP_S * small)
    gpu = _spell(flop / GPU_FLOPS + GPU_STEP_S * small)
    said.append(
        f"about {flop / 1e15:,.3g} PFLOP: {cpu} on two CPU cores, {gpu} on a GPU that does "
        f"{GPU_FLOPS / 1e12:g} TFLOP/s"
    )
    return said


def _windows(spec: StudySpec, one: Counted) -> int:
    params = spec.windows
    start = params.start_s or 0.0
    usable = min(one.duration_s, params.stop_s or one.duration_s) - start
    step = params.stride_s or params.length_s
    fitting = max(0, int((usable - params.length_s) / step + 1e-6) + 1)
    return min(fitting, params.max_windows or fitting)


def _fitted(spec: StudySpec, model: Model, signals: list[Counted], folds: int) -> float:
    """Windows of one channel that the model's stages go through, all folds and epochs."""
    blocks = spec.split.k if spec.split.by == "time" else max(folds, 2)
    share = max(1 - (1 + spec.split.validation) / blocks, 1 / blocks)
    total = 0.0
    for stage in model.stages:
        most = stage.max_windows_per_channel or float("inf")
        each = sum(one.channels * min(_windows(spec, one) * share, most) for one in signals)
        if stage.max_steps_per_epoch:
            each = min(each, stage.max_steps_per_epoch * stage.batch_size * stage.accumulate)
        total += each * stage.epochs
    return total * folds * len(model.seeds)


def _read(spec: StudySpec, model: Model, rows: int, folds: int) -> float:
    """Windows of one channel that the trained models answer and embed."""
    embeds = bool(spec.analyses.linear_probes or spec.analyses.silhouettes)
    tested = folds if spec.split.by == "time" else 1
    answered = tested if answers(model) else 0
    again = 1 if "phase_randomised" in spec.analyses.controls and answered else 0
    return rows * (folds * embeds + answered + again) * len(model.seeds)


def _spell(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
