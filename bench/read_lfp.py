"""Reading LFP: our parallel chunk decoding against h5py slicing, in the same run.

An Allen-like file (float32 volts, gzip 4, chunks of 47193 x 1, 94 channels x 600 s at 1250 Hz).
Promises: the whole array at least 2x faster; 100 windows of 3 s, all channels, at least 10x
faster than slicing window by window; identical values; peak memory at most output + 300 MB.

    python bench/read_lfp.py [--short]
"""

import argparse
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.nwb.lfp import open_lfp

RATE, CHANNELS, CHUNK, SERIES = 1250.0, 94, 47193, "acquisition/probe_1_lfp/probe_1_lfp_data"
WINDOW = 3750


def write_allen_like(path: Path, seconds: float) -> None:
    """Filtered noise in volts, quantised as a 10-bit converter does (2.34375 µV per step)."""
    n, rng = int(seconds * RATE), np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs.update(nwb_version="2.2.2", neurodata_type="NWBFile", namespace="core")
        series = file.create_group(SERIES)
        series.attrs.update(neurodata_type="ElectricalSeries", namespace="core")
        file["acquisition/probe_1_lfp"].attrs["neurodata_type"] = "LFP"
        data = series.create_dataset(
            "data", (n, CHANNELS), "f4", chunks=(CHUNK, 1), compression="gzip", compression_opts=4
        )
        data.attrs.update(unit="volts", conversion=1.0)
        series["timestamps"] = 3.7 + np.arange(n) / 1249.998
        for channel in range(CHANNELS):
            noise = rng.standard_normal(n).cumsum()
            noise -= np.convolve(noise, np.full(625, 1 / 625), "same")
            data[:, channel] = (np.round(noise * 8) * 2.34375e-6).astype("f4")


def timed(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, seconds, and the peak growth of resident memory (MB) of one call."""
    peak, done = [0.0], threading.Event()
    before = _resident_mb()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], _resident_mb() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    result = function()
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    return result, seconds, max(peak[0], _resident_mb() - before)


def _resident_mb() -> float:
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def slice_whole(path: Path) -> np.ndarray:
    """The peer: one h5py slice, no scaling."""
    with h5py.File(path) as file:
        return file[SERIES]["data"][:]


def slice_windows(path: Path, starts: np.ndarray) -> np.ndarray:
    """The peer: one h5py slice for each window, no scaling."""
    with h5py.File(path) as file:
        data = file[SERIES]["data"]
        return np.stack([data[s : s + WINDOW] for s in starts])


def main() -> None:
    """Print the two ratios; exit 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="120 s and 20 windows")
    short = parser.parse_args().short
    seconds, n_windows = (120.0, 20) if short else (600.0, 100)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "allen_like.nwb"
        write_allen_like(path, seconds)
        rng = np.random.default_rng(1)
        starts = rng.integers(0, int(seconds * RATE) - WINDOW, n_windows)
        with open_lfp(path, SERIES) as lfp:
            lfp.read(0, 100)  # threads and imports are there
            ours, t_ours, mb = timed(lambda: lfp.read(0, lfp.n_samples))
            peer, t_peer, _ = timed(lambda: slice_whole(path))
            same = np.array_equal(ours, peer * np.float32(1e6))
            extra = mb - ours.nbytes / 1e6
            del ours, peer
            ours, t_win, mb = timed(lambda: lfp.read_windows(starts, WINDOW))
            extra = max(extra, mb - ours.nbytes / 1e6)
        peer, t_win_peer, _ = timed(lambda: slice_windows(path, starts))
        same = same and np.array_equal(ours, peer * np.float32(1e6))
    whole, windows = t_peer / t_ours, t_win_peer / t_win
    print(f"whole array: {whole:.1f}x h5py slicing ({t_ours:.2f} s against {t_peer:.2f} s)")
    print(f"{n_windows} windows: {windows:.1f}x slicing ({t_win:.2f} s against {t_win_peer:.2f} s)")
    print(f"identical values: {same}; memory beyond the output: {max(0.0, extra):.0f} MB")
    kept = whole >= 2 and (short or windows >= 10) and same and extra <= 300
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
