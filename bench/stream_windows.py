"""Streaming 100 windows of a 1 GB file behind a URL: bytes moved, and time against fsspec.

An Allen-like file (float32, chunks of 47193 x 1, 94 channels, timestamps for every sample) on a
server of this process that answers after 30 ms; 100 windows of 3 s from 200 s on, as published
studies cut them, and 100 anywhere. Promises: at most 1.3x the bytes of the chunks that the windows
lie in; identical values;
fewer bytes than the same reader over fsspec's block cache (blocks of 1 MB).

    python bench/stream_windows.py [--short]
"""

import argparse
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.nwb.lfp import LfpReader, open_lfp

RATE, CHANNELS, CHUNK, SERIES = 1250.0, 94, 47193, "acquisition/lfp"
WINDOW = 3750
LATENCY_S = 0.03  # before each answer, as a near archive takes


class Ranges(BaseHTTPRequestHandler):
    """One file by ranges; counts what it sends."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        """Length alone."""
        self.do_GET()

    def do_GET(self):
        """The range asked for, or everything."""
        time.sleep(LATENCY_S)
        size, asked = self.server.path.stat().st_size, self.headers.get("Range")
        first, _, last = (asked or "bytes=0-").removeprefix("bytes=").partition("-")
        first, last = int(first), min(int(last or size), size - 1)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        if self.command == "GET":
            with self.server.path.open("rb") as handle:
                handle.seek(first)
                self.wfile.write(handle.read(last - first + 1))
            with self.server.lock:
                self.server.sent += last - first + 1

    def log_message(self, *args):
        """Nothing."""


def write_file(path: Path, seconds: float) -> None:
    """Noise, chunk by chunk, as a file of that length has it."""
    n, rng = int(seconds * RATE), np.random.default_rng(0)
    noise = rng.standard_normal(CHUNK + CHANNELS).astype("f4") * 1e-4
    with h5py.File(path, "w") as file:
        file.attrs.update(nwb_version="2.2.2", neurodata_type="NWBFile", namespace="core")
        series = file.create_group(SERIES)
        series.attrs.update(neurodata_type="ElectricalSeries", namespace="core")
        data = series.create_dataset("data", (n, CHANNELS), "f4", chunks=(CHUNK, 1))
        data.attrs.update(unit="volts", conversion=1.0)
        stamps = 3.7 + np.arange(n) / 1249.998
        series.create_dataset("timestamps", data=stamps, chunks=(CHUNK,), compression="gzip")
        for row in range(0, n, CHUNK):
            for channel in range(CHANNELS):
                high = min(CHUNK, n - row)
                data[row : row + high, channel] = noise[channel : channel + high] + row


def occupied(path: Path, starts: np.ndarray) -> int:
    """Bytes of the chunks that the windows lie in."""
    rows = {r for s in starts for r in range(s // CHUNK, (s + WINDOW - 1) // CHUNK + 1)}
    with h5py.File(path) as file:
        data = file[SERIES]["data"]
        return sum(
            data.id.get_chunk_info_by_coord((row * CHUNK, channel)).size
            for row in rows for channel in range(CHANNELS)
        )  # fmt: skip


def over_fsspec(url: str, starts: np.ndarray) -> np.ndarray:
    """The peer: the same windows through fsspec's cache of 64 blocks of 1 MB."""
    options = {"cache_type": "blockcache", "cache_options": {"maxblocks": 64}}
    with fsspec.open(url, "rb", block_size=1 << 20, **options) as handle, h5py.File(handle) as file:
        return LfpReader(file[SERIES]).read_windows(starts, WINDOW)


def measure(server: ThreadingHTTPServer, read) -> tuple[np.ndarray, float, int]:
    """What was read, seconds, bytes sent."""
    server.sent, began = 0, time.perf_counter()
    found = read()
    return found, time.perf_counter() - began, server.sent


def compare(server: ThreadingHTTPServer, path: Path, name: str, starts: np.ndarray) -> bool:
    """Print one comparison; whether the promises were kept."""
    url = f"http://127.0.0.1:{server.server_address[1]}/lfp.nwb"

    def stream():
        with open_lfp(url, SERIES) as lfp:
            return lfp.read_windows(starts, WINDOW)

    ours, seconds, moved = measure(server, stream)
    peer, peer_seconds, peer_moved = measure(server, lambda: over_fsspec(url, starts))
    with open_lfp(path, SERIES) as lfp:
        same = np.array_equal(ours, lfp.read_windows(starts, WINDOW)) and np.array_equal(ours, peer)
    needed = occupied(path, starts)
    print(
        f"{name}: {moved / 1e6:.0f} MB moved, {moved / needed:.2f}x the {needed / 1e6:.0f} MB they "
        f"occupy (fsspec {peer_moved / needed:.2f}x); {peer_seconds / seconds:.1f}x fsspec "
        f"({seconds:.1f} s against {peer_seconds:.1f} s); {'identical' if same else 'DIFFERENT'}"
    )
    return same and moved <= 1.3 * needed and moved <= peer_moved


def main() -> None:
    """Print the ratios; exit 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a file of 280 MB and 20 windows")
    short = parser.parse_args().short
    seconds, n_windows = (600.0, 20) if short else (2200.0, 100)
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadingHTTPServer(("127.0.0.1", 0), Ranges) as server,
    ):
        server.path, server.lock = Path(folder) / "lfp.nwb", threading.Lock()
        write_file(server.path, seconds)
        server.handle_error = lambda *_: None  # clients that hang up
        threading.Thread(target=server.serve_forever, daemon=True).start()
        first = int(200 * RATE)
        row = first + WINDOW * np.arange(n_windows)
        anywhere = np.random.default_rng(1).integers(0, int(seconds * RATE) - WINDOW, n_windows)
        kept = compare(server, server.path, f"{n_windows} windows in a row", row)
        kept &= compare(server, server.path, f"{n_windows} windows anywhere", anywhere)
        server.shutdown()
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
