"""A URL reads through the same code as a path, by ranges, within a bounded cache."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from nwb_files import WRITERS  # noqa: E402

from pipeline.nwb import ReadError, open_lfp, open_nwb, read_summary  # noqa: E402


class Ranges(BaseHTTPRequestHandler):
    """Serves one folder; answers ranges unless told not to; counts the bytes it sends."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body=True):
        path = self.server.folder / self.path.lstrip("/").partition("?")[0]
        if not path.is_file():
            self.send_error(404)
            return
        size, asked = path.stat().st_size, self.headers.get("Range")
        first, last = 0, size - 1
        if asked and self.server.ranges:
            begin, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(begin), min(int(end or last), last)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        else:
            self.send_response(200)
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        if body:
            with path.open("rb") as handle:
                handle.seek(first)
                self.wfile.write(handle.read(last - first + 1))
            self.server.sent += last - first + 1

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Ranges) as served:
        served.folder, served.ranges, served.sent = tmp_path, True, 0
        served.url = f"http://127.0.0.1:{served.server_address[1]}"
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


@pytest.mark.parametrize("layout", ["generic", "allen", "ibl"])
def test_a_url_gives_the_summary_and_the_signal_of_the_file(tmp_path, server, layout):
    made = WRITERS[layout](tmp_path / "made.nwb")
    url = f"{server.url}/made.nwb"
    assert read_summary(url) == read_summary(made.path)
    with open_lfp(url, made.series) as lfp:
        np.testing.assert_allclose(lfp.read(100, 2000), made.uv[100:2000], rtol=1e-5, atol=1e-3)


def test_only_the_blocks_needed_are_fetched(tmp_path, server):
    with h5py.File(tmp_path / "big.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        series = file.create_group("acquisition/ES")
        series.attrs["neurodata_type"] = "ElectricalSeries"
        noise = np.random.default_rng(0).integers(0, 30000, (1_000_000, 16), np.int16)
        series.create_dataset("data", data=noise, chunks=(50000, 16))
        series["starting_time"] = 0.0
        series["starting_time"].attrs["rate"] = 1000.0
    with open_lfp(f"{server.url}/big.nwb", "acquisition/ES") as lfp:
        read = lfp.read(500_000, 501_000, [3])
    np.testing.assert_allclose(read[:, 0], noise[500_000:501_000, 3] * 1e6, rtol=1e-6)
    assert server.sent < 6e6 < (tmp_path / "big.nwb").stat().st_size / 4


def test_a_missing_url_is_one_clear_error(server):
    with (
        pytest.raises(ReadError, match="is not there") as caught,
        open_nwb(f"{server.url}/none.nwb"),
    ):
        pass
    assert caught.value.stage == "open"


def test_a_server_without_ranges_is_told_from_a_bad_file(tmp_path, server):
    made = WRITERS["generic"](tmp_path / "made.nwb")
    with h5py.File(made.path, "r+") as file:
        file["padding"] = np.zeros(1_000_000)
    server.ranges = False
    with pytest.raises(ReadError, match="range requests; download"):
        read_summary(f"{server.url}/made.nwb")


def test_a_url_that_is_no_hdf5_is_one_clear_error(tmp_path, server):
    (tmp_path / "text.nwb").write_text("hello" * 100)
    with pytest.raises(ReadError, match="cannot be opened as HDF5"):
        read_summary(f"{server.url}/text.nwb")
