"""Small files as lfpack writes them, and what was put into them."""

import contextlib
import io
from pathlib import Path

import lfpack
import numpy as np
import pandas as pd

RATE, RAW_RATE = 250.0, 2500.0
CHUNK = 512  # samples coded together; the default is 2048
N_CHANNELS = 24
REGIONS = ["VISp4"] * 8 + ["CA1"] * 8 + ["DG-mo"] * 7 + ["root"]
ATLAS_IDS = [721] * 8 + [382] * 8 + [10703] * 7 + [997]
FLAGS = np.r_[1, np.zeros(N_CHANNELS - 2), 3].astype(np.int8)
WHO = pd.DataFrame(
    {
        "pid": ["aaaa-00", "bbbb-01", "cccc-02"],
        "eid": ["session-1", "session-1", "session-2"],
        "probe_name": ["probe00", "probe01", "probe00"],
        "subject": ["M-1", "M-1", "M-2"],
        "lab": ["northlab", "northlab", "southlab"],
    }
)


def write_recording(
    folder: Path, name: str, *, seconds: float = 12.0, seed: int = 0, **more
) -> Path:
    """One recording in a file of its own; regions differ in rhythm."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    t = np.arange(n)[:, None] / RATE
    peak = {"VISp4": 22.0, "CA1": 8.0, "DG-mo": 40.0, "root": 3.0}
    hz = np.array([peak[region] for region in REGIONS])
    volts = 1e-4 * np.sin(2 * np.pi * hz * t + rng.uniform(0, 6, N_CHANNELS))
    volts += 2e-6 * rng.standard_normal((n, N_CHANNELS))
    np.save(folder / "volts.npy", volts.astype(np.float32))
    depth = 20.0 * (np.arange(N_CHANNELS) // 2)
    channels = {
        "x": np.full(N_CHANNELS, 0.0015),
        "y": np.full(N_CHANNELS, -0.002),
        "z": -0.001 - depth[::-1] * 1e-6,
        "atlas_id": ATLAS_IDS,
        "acronym": REGIONS,
        "labels": FLAGS,
    }
    header = {"x": np.resize([43.0, 11.0, 59.0, 27.0], N_CHANNELS), "y": depth}
    options = {"t0_sync": 5.0 + seed, "fs_sync": RATE + 0.01, "channels": channels} | more
    path = folder / f"{name}.h5"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        lfpack.compress_to_h5(
            folder / "volts.npy", path, name, h=header, chunk=CHUNK, overlap=128, n_jobs=1,
            epsilon=2.0, alpha=1.0, fs=RATE,
            sglx_meta={"typeThis": "imec", "imDatPrb_type": 0, "imDatPrb_sn": 1234},
            saturation_intervals=[[10_000, 12_000]], saturation_attrs={"fs": RAW_RATE}, **options,
        )  # fmt: skip
    (folder / "volts.npy").unlink()
    return path


def write_pack(folder: Path, name: str = "pack.h5") -> Path:
    """Three recordings of two mice, and the table ``who.csv`` that says so, in a folder."""
    parts = [
        write_recording(folder, pid, seconds=12.0 + 2 * seed, seed=seed)
        for seed, pid in enumerate(WHO["pid"])
    ]
    with contextlib.redirect_stderr(io.StringIO()):
        lfpack.merge_h5(parts, folder / name)
    for part in parts:
        part.unlink()
    WHO.to_csv(folder / "who.csv")
    return folder / name
