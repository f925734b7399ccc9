"""Embedding with Lfp2Vec base against the plain loop: `python bench/embedding.py [--short]`.

The plain loop is what one writes first: `scipy.signal.resample`, z-score, Wav2Vec2Model in fp32
with eager attention. Both read the same windows with the same random weights, in turns, in one
process on 2 cores. Where the processor multiplies bf16 in hardware ours runs in bf16, else in fp32;
int8 can be asked for. With a GPU it prints the share of the GPU's own measured bf16 matmul rate
instead.

Promise: on a CPU with bf16 at least twice the windows per second, cosine 0.999 or more. Besides
wall time it prints the ratio of CPU time, which a busy machine disturbs less.
"""

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # for both, before torch is there

import torch
from scipy import signal
from transformers import Wav2Vec2Model

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.models import DataContext, EmbedParams, build
from pipeline.models.lfp2vec import network_config
from pipeline.models.parameters import CONV_KERNEL, CONV_STRIDE, Lfp2VecParams
from pipeline.recording import WindowSet
from pipeline.training.inference import embed_windows
from pipeline.training.precision import fast_bf16, fast_int8

RATE, WINDOW_S, MODEL_RATE = 1250.0, 3.0, 16_000.0


def make_windows(n: int) -> WindowSet:
    """Pink noise with a rhythm of its own in each window (µV)."""
    rng = np.random.default_rng(0)
    samples = int(RATE * WINDOW_S)
    spectrum = np.fft.rfft(rng.normal(size=(n, samples)), axis=1)
    spectrum /= np.maximum(np.arange(spectrum.shape[1]), 1) ** rng.uniform(0.3, 0.8, (n, 1))
    hz = rng.uniform(4, 90, (n, 1))
    rhythm = np.sin(2 * np.pi * hz * np.arange(samples) / RATE)
    noise = np.fft.irfft(spectrum, samples, axis=1)
    lfp = 100 * (noise / noise.std(1, keepdims=True) + rng.uniform(0, 1, (n, 1)) * rhythm)
    return WindowSet(
        windows="0" * 64,
        session="bench",
        subject="none",
        source="none",
        start_s=np.arange(n) * WINDOW_S,
        window_s=WINDOW_S,
        valid=np.ones((n, 1), dtype=bool),
        channels=pd.DataFrame({"channel": [0], "region": [None]}),
        rate=RATE,
        lfp=lfp[..., None].astype(np.float32),
        synthetic=True,
    )


@torch.no_grad()
def plain_loop(model: Wav2Vec2Model, windows: WindowSet, batch_size: int) -> np.ndarray:
    """The peer."""
    found = []
    for first in range(0, len(windows), batch_size):
        lfp = windows.lfp[first : first + batch_size, :, 0]
        audio = signal.resample(lfp, int(MODEL_RATE * WINDOW_S), axis=1)
        audio = (audio - audio.mean(1, keepdims=True)) / (audio.std(1, keepdims=True) + 1e-10)
        states = model(torch.from_numpy(audio.astype(np.float32))).last_hidden_state
        found.append(states.mean(dim=1).numpy())
    return np.concatenate(found)


def timed(function, *arguments, **options) -> tuple[np.ndarray, float, float]:
    """Result, wall seconds and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments, **options)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Smallest cosine between the rows of two arrays."""
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def cpu_features() -> dict[str, bool]:
    """What this processor multiplies in hardware."""
    return {
        "amx": torch.cpu._is_amx_tile_supported(),
        "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
        "int8_vnni": fast_int8("cpu"),
    }


def peak_mb() -> float:
    """Largest resident size of this process so far (MB), the peer's included."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


def flops_per_window(params: Lfp2VecParams) -> float:
    """Multiplications and additions of one forward pass, matrix products only."""
    samples, channels, total = round(MODEL_RATE * WINDOW_S), 1, 0.0
    for width, kernel, stride in zip(params.conv_dim, CONV_KERNEL, CONV_STRIDE, strict=True):
        samples = (samples - kernel) // stride + 1
        total += samples * width * channels * kernel
        channels = width
    d = params.hidden
    total += samples * (channels * d + d * params.position_kernel * d / params.position_groups)
    layer = 4 * d * d + 2 * d * params.feedforward + 2 * samples * d
    return 2 * (total + params.layers * samples * layer)


def matmul_rate(device: str, n: int = 8192, seconds: float = 2.0) -> float:
    """Operations per second of a large bf16 matrix product."""
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    best, until = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(10):
            a @ b
        torch.cuda.synchronize()
        best = max(best, 10 * 2 * n**3 / (time.perf_counter() - began))
    return best


def bench_gpu(model, params: Lfp2VecParams) -> None:
    windows = make_windows(4096)
    settings = {"batch_size": 256, "device": "cuda", "params": EmbedParams(precision="bf16")}
    embed_windows(model, windows, **settings)
    best = min(timed(embed_windows, model, windows, **settings)[1] for _ in range(3))
    rate, peak = len(windows) / best * flops_per_window(params), matmul_rate("cuda")
    report = {
        "device": torch.cuda.get_device_name(),
        "windows_per_s": round(len(windows) / best, 1),
        "share_of_matmul_rate": round(rate / peak, 3),
        "matmul_tflops": round(peak / 1e12, 1),
    }
    print(json.dumps(report))


def bench_cpu(model, n_windows: int, batch_size: int, rounds: int, precision: str) -> None:
    config = network_config(model.params)
    config._attn_implementation = "eager"
    peer = Wav2Vec2Model(config).eval()
    peer.load_state_dict(model.network.wav2vec2.state_dict())
    windows = make_windows(n_windows)
    settings = {"batch_size": batch_size, "params": EmbedParams(at="hidden", precision=precision)}
    warm = make_windows(1)
    plain_loop(peer, warm, 1)
    embed_windows(model, warm, **settings)
    plain, ours = [], []
    for _ in range(rounds):
        plain.append(timed(plain_loop, peer, windows, batch_size))
        ours.append(timed(embed_windows, model, windows, **settings))
    expected, found = plain[0][0], ours[0][0][0]
    wall, cpu = ([min(t[i] for t in times) for times in (plain, ours)] for i in (1, 2))
    centre = expected.mean(axis=0)
    report = {
        "precision": precision,
        "cpu": cpu_features(),
        "promise": 2.0 if fast_bf16("cpu") else "none: no bf16 in this CPU",
        "plain_windows_per_s": round(n_windows / wall[0], 2),
        "ours_windows_per_s": round(n_windows / wall[1], 2),
        "ratio": round(wall[0] / wall[1], 2),
        "ratio_cpu_time": round(cpu[0] / cpu[1], 2),
        "cosine": round(cosine(found, expected), 5),
        "cosine_about_the_mean": round(cosine(found - centre, expected - centre), 4),
        "peak_mb": round(peak_mb()),
    }
    print(json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="8 windows and 1 round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    params = Lfp2VecParams()
    context = DataContext(window_s=WINDOW_S, rate=RATE, n_samples=int(RATE * WINDOW_S))
    model = build(params, context, seed=0).eval()
    if torch.cuda.is_available():
        bench_gpu(model, params)
        return
    best = "bf16" if fast_bf16("cpu") else "fp32"
    rounds = 1 if arguments.short else arguments.rounds
    n_windows = 8 if arguments.short else 24
    bench_cpu(model, n_windows, arguments.batch, rounds, arguments.precision or best)


if __name__ == "__main__":
    main()
