"""One pretraining step of Lfp2Vec base against transformers' Trainer on the same windows.

    python bench/pretraining.py [--short] [--device cuda] [--batch 32] [--steps 10] [--rounds 3]

The peer is what its users write: `Trainer` on Wav2Vec2ForPreTraining, masks and negatives drawn in
a collator as in transformers' own pretraining example. It is given the audio already resampled and
standardised, which ours does in the step, and its own defaults (fused AdamW, gradients clipped at
norm 1). Both start from the same weights, take the same batch size, and train in turns in one
process: bf16 autocast on a GPU and where the CPU multiplies bf16, else fp32. Besides wall time the
ratio of CPU time is printed, which a busy machine disturbs less.

Promise: on a GPU in bf16, batch 32, at least 1.5 times the steps per second. On a CPU the ratio is
printed and nothing promised: in fp32 both do nearly the same matrix products.
"""

import argparse
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # for both, before torch is there

import torch
import transformers
from scipy import signal
from transformers import Trainer, TrainerCallback, TrainingArguments, Wav2Vec2ForPreTraining
from transformers.models.wav2vec2 import modeling_wav2vec2 as theirs

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.models import DataContext, build
from pipeline.models.lfp2vec import n_frames, network_config
from pipeline.models.parameters import Lfp2VecParams
from pipeline.recording import WindowSet
from pipeline.training import FitParams
from pipeline.training.precision import fast_bf16
from pipeline.training.run import Run
from pipeline.training.state import FitState

RATE, WINDOW_S, CHANNELS = 1250.0, 3.0, 96
PROMISE = 1.5
SMALL = {"size": "tiny", "model_rate": 4000.0, "mask_span": 3}


def make_windows(n_rows: int) -> WindowSet:
    """Pink noise on 96 channels (µV), enough windows for so many rows."""
    rng = np.random.default_rng(0)
    samples, n = int(RATE * WINDOW_S), -(-n_rows // CHANNELS)
    spectrum = np.fft.rfft(rng.normal(size=(n, samples, CHANNELS)), axis=1)
    spectrum /= np.maximum(np.arange(spectrum.shape[1]), 1)[:, None] ** 0.6
    noise = np.fft.irfft(spectrum, samples, axis=1)
    return WindowSet(
        windows="0" * 64,
        session="bench",
        subject="none",
        source="none",
        start_s=np.arange(n) * WINDOW_S,
        window_s=WINDOW_S,
        valid=np.ones((n, CHANNELS), dtype=bool),
        channels=pd.DataFrame({"channel": np.arange(CHANNELS), "region": [None] * CHANNELS}),
        rate=RATE,
        lfp=(100 * noise / noise.std(axis=1, keepdims=True)).astype(np.float32),
        synthetic=True,
    )


class Collator:
    """Audio, masks and negatives of a batch, as transformers' pretraining example makes them."""

    def __init__(self, config, frames: int, min_masks: int) -> None:
        self.config, self.frames, self.min_masks = config, frames, min_masks

    def __call__(self, rows: list[np.ndarray]) -> dict[str, torch.Tensor]:
        shape, config = (len(rows), self.frames), self.config
        hidden = theirs._compute_mask_indices(
            shape, config.mask_time_prob, config.mask_time_length, min_masks=self.min_masks
        )
        negatives = theirs._sample_negative_indices(shape, config.num_negatives, hidden)
        return {
            "input_values": torch.from_numpy(np.stack(rows)),
            "mask_time_indices": torch.from_numpy(hidden),
            "sampled_negative_indices": torch.from_numpy(negatives).long(),
        }


class Clock(TrainerCallback):
    """When each step ended."""

    def __init__(self, device: str) -> None:
        self.device, self.ends = device, []

    def on_step_end(self, args, state, control, **kwargs) -> None:
        settle(self.device)
        self.ends.append((time.perf_counter(), time.process_time()))


def settle(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def peer_trainer(
    model: Wav2Vec2ForPreTraining, windows: WindowSet, params: Lfp2VecParams,
    given: argparse.Namespace, precision: str, folder: str,
) -> tuple[Trainer, Clock]:  # fmt: skip
    """The peer, and the clock that times its steps; one step more than are counted."""
    samples = round(WINDOW_S * params.model_rate)
    rows = windows.lfp.transpose(0, 2, 1).reshape(-1, windows.lfp.shape[1])[: rows_needed(given)]
    audio = signal.resample(rows, samples, axis=1)
    audio = (audio - audio.mean(1, keepdims=True)) / (audio.std(1, keepdims=True) + 1e-10)
    clock = Clock(given.device)
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=given.steps + 1,
        per_device_train_batch_size=given.batch,
        learning_rate=1e-5,
        lr_scheduler_type="constant",
        weight_decay=0.01,
        bf16=precision == "bf16",
        use_cpu=given.device == "cpu",
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        remove_unused_columns=False,
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=list(audio.astype(np.float32)),
        data_collator=Collator(model.config, n_frames(samples), params.mask_min_spans),
        callbacks=[clock],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer, clock


def rows_needed(given: argparse.Namespace) -> int:
    return (given.steps + 1) * given.batch


class Ours:
    """Our loop as `fit` runs it, with the time it spends waiting for batches."""

    def __init__(self, model, windows: WindowSet, given: argparse.Namespace, precision: str):
        params = FitParams(
            objective="ssl", epochs=1, batch_size=given.batch, lr=1e-5, schedule="constant",
            warmup_fraction=0.0, precision=precision, select="last",
            max_steps_per_epoch=given.steps,
        )  # fmt: skip
        self.given = given
        self.run = Run(model.to(given.device), [windows], [], params, seed=0, device=given.device)
        self.loading = 0.0
        read = self.run.stream
        self.run.stream = lambda order: self._timed(read(order))

    def _timed(self, batches: Iterator) -> Iterator:
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self.loading += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    def steps(self) -> tuple[float, float]:
        """Seconds of a step, and the share of them spent waiting for data."""
        self.loading, began = 0.0, time.perf_counter()
        self.run.epoch(FitState())
        settle(self.given.device)
        seconds = time.perf_counter() - began
        return seconds / self.given.steps, self.loading / seconds


def busy_share(ours: Ours) -> float:
    """Share of the wall time in which the GPU runs kernels."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        seconds, _ = ours.steps()
    kernels = sum(event.self_device_time_total for event in trace.key_averages()) * 1e-6
    return kernels / (seconds * ours.given.steps)


def interleave(ours: Ours, trainer: Trainer, clock: Clock, rounds: int) -> dict[str, list[float]]:
    """Seconds per step of both, one round of each in turns; the first round of ours is warm-up."""
    found: dict[str, list[float]] = {
        name: [] for name in ("ours", "peer", "ours_cpu", "peer_cpu", "loading")
    }
    ours.steps()
    for _ in range(rounds):
        clock.ends.clear()
        trainer.train()
        (wall, cpu), *_, (end, spent) = clock.ends
        found["peer"].append((end - wall) / (len(clock.ends) - 1))
        found["peer_cpu"].append((spent - cpu) / (len(clock.ends) - 1))
        cpu = time.process_time()
        seconds, loading = ours.steps()
        found["ours_cpu"].append((time.process_time() - cpu) / ours.given.steps)
        found["ours"].append(seconds)
        found["loading"].append(loading)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a tiny network, no promise")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, help="32 on a GPU, 4 on a CPU")
    parser.add_argument("--steps", type=int, help="of a round: 20 on a GPU, 2 on a CPU")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    on_gpu = given.device == "cuda"
    given.batch = given.batch or (32 if on_gpu else 4)
    given.steps = given.steps or (20 if on_gpu else 2)
    if given.short:
        given.rounds, given.steps = 1, 2
    torch.set_num_threads(given.threads)
    logging.disable(logging.WARNING)
    precision = "bf16" if fast_bf16(given.device) else "fp32"
    params = Lfp2VecParams(**(SMALL if given.short else {}))
    windows = make_windows(rows_needed(given))
    context = DataContext.of([windows])
    model = build(params, context, seed=0)
    config = network_config(params)
    peer = Wav2Vec2ForPreTraining(config)
    peer.load_state_dict(model.network.state_dict())
    peer.set_gumbel_temperature(params.gumbel_temperature)
    with tempfile.TemporaryDirectory() as folder:
        trainer, clock = peer_trainer(peer, windows, params, given, precision, folder)
        ours = Ours(model, windows, given, precision)
        found = interleave(ours, trainer, clock, given.rounds)
    return report(found, ours, given, precision)


def report(
    found: dict[str, list[float]], ours: Ours, given: argparse.Namespace, precision: str
) -> int:
    """The promise and what became of it, as one line of JSON."""
    seconds, peer = min(found["ours"]), min(found["peer"])
    on_gpu = given.device == "cuda"
    promised = on_gpu and precision == "bf16" and not given.short
    ratio = peer / seconds
    told = {
        "bench": f"pretraining step, {'tiny' if given.short else 'base'}, {given.device} "
        f"{precision}, batch {given.batch}",
        "promise": PROMISE if promised else "none: no GPU with bf16",
        "ratio": round(ratio, 2),
        "ratio_of_medians": round(
            statistics.median(found["peer"]) / statistics.median(found["ours"]), 2
        ),
        "ratio_cpu_time": round(min(found["peer_cpu"]) / min(found["ours_cpu"]), 2),
        "ours_s_per_step": round(seconds, 4),
        "peer_s_per_step": round(peer, 4),
        "waiting_for_data": round(max(found["loading"]), 4),
        "cores_busy": round(min(found["ours_cpu"]) / seconds, 2),
        "rounds": given.rounds,
    }
    if on_gpu:
        told["device"] = torch.cuda.get_device_name()
        told["gpu_busy"] = round(busy_share(ours), 3)
        told["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 1)
    told["kept"] = not promised or ratio >= PROMISE
    print(json.dumps(told))
    return 0 if told["kept"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
