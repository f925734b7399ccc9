"""Reading behind a URL moves what it needs, outlasts short trouble, and names lasting trouble."""

import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from archive_server import serve  # noqa: E402

from pipeline.nwb import (  # noqa: E402
    ContentChanged,
    ReadError,
    TransientReadError,
    open_lfp,
    open_nwb,
    read_summary_isolated,
)
from pipeline.nwb.http import ask_about, fetch_range  # noqa: E402
from pipeline.nwb.remote import RemoteFile  # noqa: E402

RATE, CHANNELS = 1250.0, 16


@pytest.fixture
def archive(monkeypatch):
    monkeypatch.setenv("FIELDBASE_PATIENCE", "1")
    with serve() as archive:
        archive.patience_s = 3.0
        yield archive


def publish(archive, data):
    (asset,) = archive.publish("000001", "0.1.1", {"a.nwb": data}).values()
    return asset, f"{archive.api}/assets/{asset.identifier}/download/"


def write_lfp(path, seconds, chunks):
    noise = np.random.default_rng(0).normal(size=(int(seconds * RATE), CHANNELS)).astype("f4")
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        series = file.create_group("acquisition/ES")
        series.attrs["neurodata_type"] = "ElectricalSeries"
        series.create_dataset("data", data=noise, chunks=chunks)
        series["starting_time"] = 0.0
        series["starting_time"].attrs["rate"] = RATE
    return noise


@pytest.mark.parametrize("chunks", [(2500, 16), (20000, 1), (7001, 3)])
def test_windows_move_little_more_than_the_chunks_they_lie_in(
    archive, tmp_path, monkeypatch, chunks
):
    monkeypatch.setenv("FIELDBASE_PATIENCE", "30")
    noise = write_lfp(tmp_path / "a.nwb", 1600, chunks)
    asset, url = publish(archive, (tmp_path / "a.nwb").read_bytes())
    starts = np.random.default_rng(1).integers(0, len(noise) - 2500, 20)
    with open_lfp(url, "acquisition/ES") as lfp:
        read = lfp.read_windows(starts, 2500)
    expected = np.stack([noise[s : s + 2500] for s in starts]) * 1e6
    np.testing.assert_allclose(read, expected, rtol=1e-5)
    rows = {r for s in starts for r in range(s // chunks[0], (s + 2499) // chunks[0] + 1)}
    wide = -(-CHANNELS // chunks[1]) * chunks[1]
    occupied = len(rows) * chunks[0] * wide * 4
    assert archive.sent["a.nwb"] < 1.1 * occupied + (1 << 20)
    assert occupied < asset.size


def test_a_long_read_holds_a_bounded_part_of_the_file_in_memory(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("FIELDBASE_PATIENCE", "30")
    noise = write_lfp(tmp_path / "a.nwb", 1600, (1250, 16))
    asset, url = publish(archive, (tmp_path / "a.nwb").read_bytes())
    assert asset.size > 120e6
    with RemoteFile(url) as remote, h5py.File(remote, "r") as file:
        data = file["acquisition/ES/data"]
        tracemalloc.start()
        for start in range(0, len(noise), 125_000):
            data[start : start + 125_000]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 90e6


COLLECTING = """
import gc, sys
import h5py
import pipeline.nwb.remote as remote
from pipeline.nwb.http import fetch_range

class Lost:
    pass

def collect_and_fetch(*args, **kwargs):  # as the interpreter may at any time
    if gc.isenabled():
        gc.collect()
    return fetch_range(*args, **kwargs)

remote.fetch_range = collect_and_fetch
with remote.RemoteFile(sys.argv[1]) as handle, h5py.File(handle, "r") as file:
    lost = Lost()
    lost.itself, lost.file = lost, h5py.File(sys.argv[2], "r")
    del lost
    assert file["acquisition/ES/data"][:100].shape == (100, 16)
assert gc.isenabled()
"""


def test_cycles_that_hold_hdf5_files_do_not_stop_a_reading_for_ever(archive, tmp_path):
    write_lfp(tmp_path / "a.nwb", 40, (12500, 16))  # chunks fetched by other threads
    _, url = publish(archive, (tmp_path / "a.nwb").read_bytes())
    command = [sys.executable, "-c", COLLECTING, url, tmp_path / "a.nwb"]
    subprocess.run(command, check=True, timeout=60)


def test_what_a_server_fails_at_for_a_moment_is_asked_again(archive, tmp_path):
    noise = write_lfp(tmp_path / "a.nwb", 4, (1250, 16))
    _, url = publish(archive, (tmp_path / "a.nwb").read_bytes())
    archive.faults["/blobs/"] = [503, "cut", 500, 429]
    with open_lfp(url, "acquisition/ES") as lfp:
        np.testing.assert_allclose(lfp.read(0, 5000), noise * 1e6, rtol=1e-5)
    assert archive.faults["/blobs/"] == []


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        (503, TransientReadError, "answered 503; try again later"),
        ("slow", TransientReadError, "cannot be reached"),
        ("cut", TransientReadError, "the connection broke|bytes came of"),
        (404, ReadError, r"is not there \(404\)"),
        (403, ReadError, "is not for us .*DANDI_API_KEY"),
        ("short", ContentChanged, "changed while it was read.*--revise"),
        ("flip", ContentChanged, "changed while it was read.*--revise"),
        ("refuse ranges", ReadError, "range requests; download"),
    ],
)
def test_lasting_trouble_while_reading_is_one_error_that_says_which(
    archive, tmp_path, fault, kind, told
):
    write_lfp(tmp_path / "a.nwb", 400, (1250, 16))
    _, url = publish(archive, (tmp_path / "a.nwb").read_bytes())
    with pytest.raises(ReadError, match=told) as caught, open_lfp(url, "acquisition/ES") as lfp:  # noqa: PT012
        archive.faults["/blobs/"] = [fault, ...]
        lfp.read(200_000, 300_000)
    assert type(caught.value) is kind


def damage_index(path, *, chunk, address=None, size=None):
    """Write another address or size of one chunk into the index (a version 1 B-tree)."""
    with h5py.File(path, "r") as file:
        found = file["acquisition/ES/data"].id.get_chunk_info(chunk)
    content = bytearray(path.read_bytes())
    entry = struct.pack("<II3Q", found.size, 0, *found.chunk_offset, 0)
    at = content.index(entry + struct.pack("<Q", found.byte_offset))
    if size is not None:
        content[at : at + 4] = struct.pack("<I", size)
    if address is not None:
        content[at + len(entry) : at + len(entry) + 8] = struct.pack("<Q", address)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("address", "size", "told"),
    [
        (lambda n: n - 100, None, "a chunk of /acquisition/ES/data is said to lie.* bytes long"),
        (lambda n: n + 10**9, None, "a chunk of /acquisition/ES/data is said to lie.* bytes long"),
        (lambda n: 0, 900_000, "900,000 bytes, and 160,000 when it is read"),
        (lambda n: 5000, 1000, "1,000 bytes, and 160,000 when it is read"),
    ],
)
def test_a_damaged_index_is_told_at_once_and_is_no_trouble_of_the_network(
    archive, tmp_path, monkeypatch, address, size, told
):
    monkeypatch.setenv("FIELDBASE_PATIENCE", "30")
    write_lfp(tmp_path / "a.nwb", 400, (2500, 16))
    whole = (tmp_path / "a.nwb").stat().st_size
    damage_index(tmp_path / "a.nwb", chunk=3, address=address(whole), size=size)
    _, url = publish(archive, (tmp_path / "a.nwb").read_bytes())
    began = time.monotonic()
    with pytest.raises(ReadError, match=told) as caught, open_lfp(url, "acquisition/ES") as lfp:
        lfp.read(0, 50_000)
    assert type(caught.value) is ReadError
    assert "index is damaged" in str(caught.value)
    assert time.monotonic() - began < 5
    assert archive.sent["a.nwb"] < 2e6


def test_a_damaged_index_of_a_file_on_the_disk_ends_no_process(tmp_path):
    path = tmp_path / "a.nwb"
    noise = write_lfp(path, 40, (2500, 16))
    damage_index(path, chunk=3, size=900_000)
    with open_lfp(path, "acquisition/ES") as lfp:
        np.testing.assert_allclose(lfp.read(0, 50_000), noise * 1e6, rtol=1e-5)
    write_lfp(path, 40, (2500, 16))
    damage_index(path, chunk=3, address=path.stat().st_size - 100)
    with (
        pytest.raises(ReadError, match="beyond the end of the file; its index is damaged"),
        open_lfp(path, "acquisition/ES") as lfp,
    ):
        lfp.read(0, 50_000)


def test_a_chunk_too_large_for_the_network_is_refused_before_it_is_fetched(
    archive, tmp_path, monkeypatch
):
    monkeypatch.setattr("pipeline.nwb.remote.MOST_CHUNK_BYTES", 100_000)
    write_lfp(tmp_path / "a.nwb", 40, (2500, 16))
    _, url = publish(archive, (tmp_path / "a.nwb").read_bytes())
    with (
        pytest.raises(ReadError, match="chunks of 160,000 bytes.*download the file"),
        open_lfp(url, "acquisition/ES") as lfp,
    ):
        lfp.read(0, 5_000)


def test_no_range_beyond_the_end_is_asked_for(archive):
    _, url = publish(archive, b"x" * 1000)
    served = ask_about(url)
    archive.asked.clear()
    with pytest.raises(ReadError, match="1,000 bytes long.*bytes 900 to 1,100") as caught:
        fetch_range(served.url, 900, 1100, of=served)
    assert type(caught.value) is ReadError
    assert archive.asked == []


def test_trouble_that_a_reader_takes_for_an_odd_file_still_comes_out(archive, tmp_path):
    write_lfp(tmp_path / "a.nwb", 400, (1250, 16))
    _, url = publish(archive, (tmp_path / "a.nwb").read_bytes())
    with pytest.raises(TransientReadError), open_nwb(url) as file:  # noqa: PT012
        archive.faults["/blobs/"] = [503, ...]
        try:
            file["acquisition/ES/data"][300_000:400_000]
        except Exception:
            pass  # as a tolerant reader does


def test_the_kind_of_error_crosses_the_border_of_the_reading_process(archive):
    _, url = publish(archive, b"no HDF5")
    archive.faults["/blobs/"] = [503, ...]
    with pytest.raises(TransientReadError, match="answered 503"):
        read_summary_isolated(url)


def test_a_link_that_expired_is_asked_for_anew(archive, tmp_path):
    noise = write_lfp(tmp_path / "a.nwb", 400, (1250, 16))
    asset, url = publish(archive, (tmp_path / "a.nwb").read_bytes())
    with open_lfp(url, "acquisition/ES") as lfp:
        archive.faults[asset.blob] = [403]
        asset.blob = "renewed"
        read = lfp.read(200_000, 200_100)
    np.testing.assert_allclose(read, noise[200_000:200_100] * 1e6, rtol=1e-5)


def test_the_token_goes_to_the_archive_and_to_nobody_else(archive, monkeypatch, tmp_path):
    write_lfp(tmp_path / "a.nwb", 4, (1250, 16))
    _, url = publish(archive, (tmp_path / "a.nwb").read_bytes())
    archive.token = "secret"
    with pytest.raises(ReadError, match="set DANDI_API_KEY"), open_nwb(url):
        pass
    monkeypatch.setenv("DANDI_API_KEY", "secret")
    with pytest.raises(ReadError, match="not for us"), open_nwb(url):  # another archive's token
        pass
    monkeypatch.setenv("DANDI_API_URL", archive.api)
    with open_nwb(url) as file:
        assert "acquisition/ES" in file
