"""Samples come out as stored, whatever the storage; clocks are measured, never believed."""

import h5py
import numpy as np
import pytest

from pipeline.nwb import ReadError, chunks
from pipeline.nwb.lfp import LfpReader, open_lfp

N, CHANNELS = 5003, 21
STORAGE = {
    "contiguous": dict(),
    "chunks without filter": dict(chunks=(500, 5)),
    "gzip, one column wide": dict(chunks=(700, 1), compression="gzip"),
    "gzip, odd width": dict(chunks=(611, 4), compression="gzip"),
    "shuffled gzip": dict(chunks=(611, 8), compression="gzip", shuffle=True),
    "gzip, all columns": dict(chunks=(100, CHANNELS), compression="gzip"),
    "one chunk larger than the data": dict(
        chunks=(8000, 32), compression="gzip", maxshape=(None, None)
    ),
    "lzf": dict(chunks=(500, 5), compression="lzf"),
    "checksummed": dict(chunks=(500, 5), compression="gzip", fletcher32=True),
}
KINDS = ["<i2", ">i2", "<u2", "<i4", "<f4", ">f4", "<f8"]


def make_series(path, raw, *, stamps=None, rate=1000.0, attributes=None, **storage):
    with h5py.File(path, "w") as file:
        file.attrs["nwb_version"] = "2.7.0"
        series = file.create_group("acquisition/ES")
        series.attrs["neurodata_type"] = "ElectricalSeries"
        data = series.create_dataset("data", data=raw, **storage)
        data.attrs.update({"unit": "volts", "conversion": 1e-6, **(attributes or {})})
        if stamps is None:
            series["starting_time"] = 0.0
            series["starting_time"].attrs["rate"] = rate
        else:
            series["timestamps"] = stamps
    return path


def noise(kind="<i2"):
    values = np.random.default_rng(7).integers(0, 1000, (N, CHANNELS))
    return values.astype(kind)


@pytest.mark.parametrize("storage", STORAGE)
def test_every_storage_gives_what_h5py_slices(tmp_path, storage):
    raw = noise()
    path = make_series(tmp_path / "a.nwb", raw, **STORAGE[storage])
    with open_lfp(path, "acquisition/ES") as lfp:
        np.testing.assert_allclose(lfp.read(0, N), raw, rtol=1e-6)
        np.testing.assert_allclose(lfp.read(611, 1222), raw[611:1222], rtol=1e-6)
        columns = [20, 3, 4, 5, 0]
        np.testing.assert_allclose(lfp.read(17, 4000, columns), raw[17:4000, columns], rtol=1e-6)
        starts = [4900, 0, 50, 60, 3000]
        windows = lfp.read_windows(starts, 103)
        np.testing.assert_allclose(windows, [raw[s : s + 103] for s in starts], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_format_becomes_float32_microvolts(tmp_path, kind):
    raw = noise(kind)
    path = make_series(tmp_path / "a.nwb", raw, chunks=(700, 3), compression="gzip", shuffle=True)
    with open_lfp(path, "acquisition/ES") as lfp:
        read = lfp.read(0, N)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, raw.astype(float), rtol=1e-6)


@pytest.mark.parametrize("columns", [None, [5, 2, 9]])
def test_conversion_offset_and_channel_conversion_all_count(tmp_path, columns):
    raw, gain = noise(), np.linspace(0.5, 2, CHANNELS)
    about = {"conversion": 5e-7, "offset": 3e-6}
    path = make_series(tmp_path / "a.nwb", raw, attributes=about, chunks=(900, 1))
    with h5py.File(path, "r+") as file:
        file["acquisition/ES/channel_conversion"] = gain
    expected = raw * gain * 0.5 + 3.0
    with open_lfp(path, "acquisition/ES") as lfp:
        wanted = expected if columns is None else expected[:, columns]
        np.testing.assert_allclose(lfp.read(0, N, columns), wanted, rtol=1e-5)


def test_chunks_never_written_read_as_the_fill_value(tmp_path):
    path = make_series(tmp_path / "a.nwb", noise()[:1, :1])
    with h5py.File(path, "r+") as file:
        del file["acquisition/ES/data"]
        data = file.create_dataset(
            "acquisition/ES/data", (1000, 4), "i2", chunks=(100, 2), compression="gzip", fillvalue=9
        )
        data[200:300, 0:2] = 5
        data.attrs.update(unit="volts", conversion=1e-6)
        expected = data[()]
    with open_lfp(path, "acquisition/ES") as lfp:
        np.testing.assert_allclose(lfp.read(0, 1000), expected, rtol=1e-6)


def test_a_damaged_chunk_is_an_error_and_not_wrong_numbers(tmp_path):
    path = make_series(tmp_path / "a.nwb", noise(), chunks=(700, 7), compression="gzip")
    with h5py.File(path) as file:
        where = file["acquisition/ES/data"].id.get_chunk_info(3)
    with path.open("r+b") as handle:
        handle.seek(where.byte_offset + where.size // 2)
        handle.write(b"\xff" * 64)
    with (
        open_lfp(path, "acquisition/ES") as lfp,
        pytest.raises(ReadError, match="a chunk of /acquisition/ES/data is damaged"),
    ):
        lfp.read(0, N)


def test_each_chunk_is_decoded_once_for_many_windows(tmp_path, monkeypatch):
    path = make_series(tmp_path / "a.nwb", noise(), chunks=(700, 3), compression="gzip")
    fetched = []
    fetch = chunks._raw
    monkeypatch.setattr(chunks, "_raw", lambda data, o: fetched.append(o) or fetch(data, o))
    with open_lfp(path, "acquisition/ES") as lfp:
        lfp.read_windows(np.arange(0, 1300, 10), 90)
    assert len(fetched) == len(set(fetched)) == 2 * 7


def test_one_dimensional_data_is_one_channel(tmp_path):
    raw = noise()[:, 0]
    path = make_series(tmp_path / "a.nwb", raw, chunks=(500,), compression="gzip")
    with open_lfp(path, "acquisition/ES") as lfp:
        assert lfp.n_channels == 1
        np.testing.assert_allclose(lfp.read(3, 4000)[:, 0], raw[3:4000], rtol=1e-6)
        np.testing.assert_allclose(lfp.read_windows([3], 50)[0, :, 0], raw[3:53], rtol=1e-6)


@pytest.mark.parametrize("asked", [(-1, 5), (0, N + 1), (9, 3)])
def test_samples_that_are_not_there_are_refused(tmp_path, asked):
    path = make_series(tmp_path / "a.nwb", noise())
    with open_lfp(path, "acquisition/ES") as lfp, pytest.raises(ValueError, match="it has 5003"):
        lfp.read(*asked)


def test_columns_and_series_that_are_not_there_are_refused(tmp_path):
    path = make_series(tmp_path / "a.nwb", noise())
    with open_lfp(path, "acquisition/ES") as lfp, pytest.raises(ValueError, match="it has 21"):
        lfp.read(0, 5, [21])
    with pytest.raises(KeyError, match="there are .'acquisition/ES'"), open_lfp(path, "nope"):
        pass


@pytest.mark.parametrize("seed", range(3))
def test_the_rate_is_measured_through_jitter_and_gaps(tmp_path, seed):
    rng = np.random.default_rng(seed)
    times = 12.5 + np.arange(N) / 1249.998
    times[2000:] += 7.0
    times[4000:] += 0.01
    times += rng.uniform(-1e-5, 1e-5, N)
    path = make_series(tmp_path / "a.nwb", noise(), stamps=times)
    with open_lfp(path, "acquisition/ES") as lfp:
        assert lfp.rate == pytest.approx(1249.998, rel=1e-5)
        assert lfp.gaps.tolist() == [2000, 4000]
        assert lfp.stop_s == pytest.approx(times[-1] + 1 / lfp.rate)


def test_samples_and_times_convert_both_ways(tmp_path):
    times = 12.5 + np.arange(40000) / 1000.0
    times[20000:] += 3.0
    path = make_series(tmp_path / "a.nwb", np.zeros((40000, 1), "i2"), stamps=times)
    with open_lfp(path, "acquisition/ES") as lfp:
        for sample in (0, 1, 16383, 16384, 19999, 20000, 39999):
            assert lfp.time_of(sample) == times[sample]
            assert lfp.sample_at(times[sample] + 0.0004) == sample
            assert lfp.sample_at(times[sample] - 0.0004) == sample
        assert lfp.sample_at(-100.0) == 0
        assert lfp.sample_at(1e6) == 40000
        assert lfp.time_of(40000) == pytest.approx(times[-1] + 0.001)


def test_a_declared_rate_gives_the_same_conversions(tmp_path):
    path = make_series(tmp_path / "a.nwb", noise(), rate=999.412)
    with open_lfp(path, "acquisition/ES") as lfp:
        assert isinstance(lfp, LfpReader)
        assert (lfp.rate, lfp.start_s) == (999.412, 0.0)
        assert lfp.sample_at(lfp.time_of(1234)) == 1234
        assert lfp.sample_at(1e9) == N
        assert lfp.stop_s == pytest.approx(N / 999.412)
