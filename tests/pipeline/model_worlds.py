"""Small worlds for the model tests: windows whose labels and rates have a known cause."""

import atexit
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parent))
from decoder_folders import transformer_folder, trees_folder  # noqa: E402

from pipeline.models import MODELS, DataContext, label_set, params_class
from pipeline.recording import WindowSet
from pipeline.training.batches import iterate_batches, rows_of

RELEASES = Path(tempfile.mkdtemp(prefix="fieldbase-releases-"))
atexit.register(shutil.rmtree, RELEASES, ignore_errors=True)
torch.set_num_threads(1)  # networks this small wait for threads longer than they compute

TINY = {
    "lfp2vec": {
        "size": "tiny",
        "conv_dim": (8,) * 7,
        "hidden": 16,
        "heads": 2,
        "layers": 2,
        "feedforward": 32,
        "position_kernel": 8,
        "position_groups": 2,
        "codewords": 8,
        "code_dim": 16,
        "negatives": 8,
        "head_dim": 16,
        "model_rate": 4000.0,
    },
    "spectrogram_mlp": {"size": "tiny"},
    "simclr": {"size": "tiny"},
    "brainbert": {"size": "tiny"},
    "ibl_trees": {"source": str(trees_folder(RELEASES / "trees"))},
    "ibl_transformer": {"source": str(transformer_folder(RELEASES / "transformer"))},
    "mtm": {
        "hidden": 32,
        "layers": 1,
        "heads": 2,
        "feedforward": 32,
        "read_in": 16,
        "dropout": 0.0,
    },
}


def params_of(family, **changes):
    return params_class(family)(**{**TINY.get(family, {}), **changes})


def world(session="s1", *, seed=0, windows=8, channels=6, rate=250.0, units=12):
    """Regions differ in rhythm, amplitude, depth and vector; units share one latent."""
    g = np.random.default_rng([seed, 7])
    t = np.arange(int(3 * rate)) / rate
    upper = np.arange(channels) < channels // 2
    hz, amplitude = np.where(upper, 6.0, 40.0), np.where(upper, 100.0, 30.0)
    phase = g.uniform(0, 2 * np.pi, (windows, 1, channels))
    lfp = amplitude * np.sin(2 * np.pi * hz * t[:, None] + phase)
    lfp = (lfp + 5 * g.normal(size=lfp.shape)).astype(np.float32)
    latent = np.cumsum(g.normal(size=(windows, 50)), axis=1)
    latent = (latent - latent.mean(1, keepdims=True)) / latent.std(1, keepdims=True)
    weight = np.where(np.arange(units) % 2, 1.0, -1.0)
    counts = g.poisson(np.exp(-0.3 + latent[..., None] * weight))
    frame = pd.DataFrame(
        {
            "probe": "p",
            "channel": np.arange(channels),
            "depth_um": np.where(upper, 2000.0, 500.0) + np.arange(channels),
            "rel_x": 11.0,
            "x": np.nan,
            "region": np.where(upper, "CA1", "VISp"),
        }
    )
    valid = np.ones((windows, channels), dtype=bool)
    valid[0, 0] = False
    return WindowSet(
        windows="0" * 63 + str(seed),
        session=session,
        subject="m" + session,
        source="lab",
        start_s=np.arange(windows) * 3.0,
        window_s=3.0,
        valid=valid,
        channels=frame,
        rate=rate,
        lfp=lfp,
        bin_s=0.06,
        spikes=counts.astype(np.uint16),
        units=pd.DataFrame({"unit": np.arange(units), "region": np.where(weight > 0, "a", "b")}),
        features=np.stack([amplitude * np.ones((windows, channels)), phase[:, 0]], -1).astype("f4"),
        synthetic=True,
    )


def context_of(windowsets, **changes):
    context = DataContext.of(windowsets, classes=label_set(windowsets))
    return context.model_copy(update=changes)


def batch_of(family, windowset, context, size=32):
    entry = MODELS[family]
    rows = rows_of([windowset], grain=entry.grain, classes=context.classes)
    rng = np.random.default_rng(0)
    return next(
        iterate_batches(
            [windowset], rows, context=context, batch_size=size, needs=entry.needs, rng=rng
        )
    )


def generator(seed=0):
    return torch.Generator().manual_seed(seed)
