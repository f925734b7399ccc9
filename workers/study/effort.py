"""How long a study would take: windows to train on, operations, hours."""

from dataclasses import dataclass

from pipeline.models.cost import TRAINING, forward_flop

from .models import answers, ssl_first
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


ASIDE = 1 / 3
"""Share of the subjects to set aside, where a study does not say how many."""


def spell_effort(
    spec: StudySpec, signals: list[Counted], folds: int, subjects: int | None = None
) -> list[str]:
    """What training and reading out would take, in words; nothing without LFP.

    Parameters
    ----------
    subjects
        How many there are, those set aside to pretrain on among them; None: as many as folds.
    """
    subjects = subjects or folds
    if not signals or not folds or not spec.model:
        return []
    rows = sum(one.channels * _windows(spec, one) for one in signals)
    said = [f"{rows:,} windows of one channel, {spec.windows.length_s:g} s each"]
    trained = heard = flop = small = 0.0
    for model in spec.model:
        forward = forward_flop(model.values, spec.windows.length_s)
        if not forward:
            continue
        fitted = _fitted(spec, model, signals, folds, subjects)
        read = _read(spec, model, rows, folds)
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
    return said + _spell_pretraining(spec, signals, folds, subjects)


def _spell_pretraining(
    spec: StudySpec, signals: list[Counted], folds: int, subjects: int
) -> list[str]:
    """GPU hours of self-supervision for each fold, and once on subjects that no fold has."""
    heard = [model for model in spec.model if ssl_first(model)]
    if not heard or spec.split.by == "time" or subjects < 3:
        return []
    aside = spec.split.pretrain_subjects or max(1, round(ASIDE * subjects))
    left = subjects - aside if spec.split.folds == "leave-one-out" else folds
    mine = spec.split.pretrain
    all_folds = max(folds, subjects) if spec.split.folds == "leave-one-out" else folds
    each = sum(_gpu_hours(spec, m, signals, _share(spec, all_folds)) * all_folds for m in heard)
    once = sum(_gpu_hours(spec, model, signals, aside / subjects) for model in heard)
    now = {"disjoint": "the latter is asked for", "none": "neither is asked for"}
    return [
        f"self-supervision, by pretrain: {each:,.3g} GPU hours for each of {all_folds} folds in "
        f"turn ('train'), {once:,.3g} once on {aside} of {subjects} subjects that no fold has "
        f"('disjoint', leaves {left} fold{'s' * (left != 1)}); "
        + now.get(mine, "the former is asked for")
        + (", and hears those tested: transductive" if mine == "all" else "")
    ]


def _gpu_hours(spec: StudySpec, model: Model, signals: list[Counted], share: float) -> float:
    """Of the self-supervised stages a model begins with, all seeds, one fold."""
    stages = model.stages[: ssl_first(model)]
    heard = sum(_stage_windows(spec, stage, signals, share) for stage in stages) * len(model.seeds)
    flop = forward_flop(model.values, spec.windows.length_s) * TRAINING * heard
    return (flop / GPU_FLOPS + GPU_STEP_S * heard) / 3600


def _windows(spec: StudySpec, one: Counted) -> int:
    params = spec.windows
    start = params.start_s or 0.0
    usable = min(one.duration_s, params.stop_s or one.duration_s) - start
    step = params.stride_s or params.length_s
    fitting = max(0, int((usable - params.length_s) / step + 1e-6) + 1)
    return min(fitting, params.max_windows or fitting)


def _fitted(
    spec: StudySpec, model: Model, signals: list[Counted], folds: int, subjects: int
) -> float:
    """Windows of one channel that the model's stages go through, all folds and epochs."""
    aside = spec.split.pretrain_subjects / subjects
    first, total = ssl_first(model) if aside else 0, 0.0
    for at, stage in enumerate(model.stages):
        if at < first:
            total += _stage_windows(spec, stage, signals, aside)
            continue
        share = _share(spec, folds) * (1 - aside)
        total += _stage_windows(spec, stage, signals, share) * folds
    return total * len(model.seeds)


def _share(spec: StudySpec, folds: int) -> float:
    """Of the recordings, what one fold trains on."""
    blocks = spec.split.k if spec.split.by == "time" else max(folds, 2)
    return max(1 - (1 + spec.split.validation) / blocks, 1 / blocks)


def _stage_windows(spec: StudySpec, stage, signals: list[Counted], share: float) -> float:
    """Windows of one channel that a stage goes through in one fold, all epochs."""
    most = stage.max_windows_per_channel or float("inf")
    cut = spec.split.by == "time"  # a share of each recording, else a share of the recordings
    each = sum(
        one.channels
        * (
            min(_windows(spec, one) * share, most)
            if cut
            else share * min(_windows(spec, one), most)
        )
        for one in signals
    )
    if stage.max_steps_per_epoch:
        each = min(each, stage.max_steps_per_epoch * stage.batch_size * stage.accumulate)
    return each * stage.epochs


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
