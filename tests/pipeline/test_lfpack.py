"""Recordings compressed by lfpack, against lfpack's own reader and what was put into the file."""

import shutil
import sys

import h5py
import lfpack
import numpy as np
import pandas as pd
import pytest

from pipeline.lfpack import (
    Insertion,
    open_packed_lfp,
    read_insertions,
    read_packed_summary,
    survey_pack,
)
from pipeline.lfpack.header import read_header_json
from pipeline.nwb import FileSummary, ReadError
from pipeline.preprocessing import LfpParams, WindowParams, cut_lfp_windows
from pipeline.preprocessing.readers import LfpSource
from tests.packed_files import (
    ATLAS_IDS,
    CHUNK,
    FLAGS,
    N_CHANNELS,
    RATE,
    RAW_RATE,
    REGIONS,
    WHO,
    write_pack,
    write_recording,
)

LIMITS = {"memory_bytes": 4 << 30, "deadline_s": 60}


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return write_pack(tmp_path_factory.mktemp("pack"))


@pytest.fixture
def copy(pack, tmp_path):
    """A copy to damage."""
    return shutil.copyfile(pack, tmp_path / "copy.h5")


def header(path, recording="bbbb-01"):
    """Its summary, read in this process."""
    return FileSummary.from_json(read_header_json(f"{path}::{recording}"))


def test_every_recording_is_listed_with_its_shape_and_a_file_of_another_kind_has_none(
    pack, tmp_path
):
    held = survey_pack(pack, **LIMITS)
    assert [one.recording for one in held] == list(WHO["pid"])
    for one in held:
        reader = lfpack.LFPackReader(pack, recording=one.recording)
        assert (one.n_channels, one.n_samples, one.rate) == (reader.nc, reader.ns, RATE)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["general/x"] = 1
    assert survey_pack(tmp_path / "other.h5", **LIMITS) == []


def test_samples_and_clock_are_those_of_lfpacks_own_reader(pack):
    reader = lfpack.LFPackReader(pack, recording="cccc-02")
    with open_packed_lfp(pack, "cccc-02") as lfp:
        assert isinstance(lfp, LfpSource)
        assert (lfp.n_samples, lfp.n_channels) == (reader.ns, reader.nc)
        assert lfp.rate == pytest.approx(reader.fs, rel=1e-12)
        for start, stop in [(0, 7), (300, 1800), (CHUNK, 2 * CHUNK), (reader.ns - 5, reader.ns)]:
            volts = reader.read(slice(start, stop), sync=False)
            assert lfp.read(start, stop) == pytest.approx(volts * 1e6, rel=1e-6)
        for sample in (0, 1, 777, reader.ns - 1):
            assert lfp.time_of(sample) == pytest.approx(reader.times[sample], abs=1e-9)
            assert lfp.sample_at(reader.times[sample]) == sample
        assert not len(lfp.gaps)


def test_only_the_chunks_that_are_asked_for_are_decoded(pack):
    with open_packed_lfp(pack, "aaaa-00") as lfp:
        lfp.read(CHUNK + 1, 2 * CHUNK - 1)
        lfp.read(CHUNK + 5, CHUNK + 9)
        assert lfp.chunks_decoded == 1


def test_the_header_gives_channels_labels_clock_and_saturated_stretches(pack):
    found = read_packed_summary(pack, Insertion(recording="bbbb-01", subject="M"), **LIMITS)
    reader = lfpack.LFPackReader(pack, recording="bbbb-01")
    series, sites = found.lfp[0], found.channels
    assert (series.n_samples, series.n_channels) == (reader.ns, N_CHANNELS)
    assert (series.start_s, series.rate_measured) == (reader.t0, reader.fs)
    assert series.stop_s == pytest.approx(reader.times[-1] + 1 / reader.fs)
    assert series.channel_ids == list(range(N_CHANNELS))
    assert series.all_zero is False
    assert [site.location_raw for site in sites] == REGIONS
    assert [site.location for site in sites] == [*REGIONS[:-1], None]
    assert [site.extra_labels["atlas_id"] for site in sites] == [str(i) for i in ATLAS_IDS]
    assert [site.bad for site in sites] == [bool(flag) for flag in FLAGS]
    known = reader.channels
    assert [site.rel_y for site in sites] == known["axial_um"].tolist()
    for axis in "xyz":
        metres = [getattr(site, axis) / 1e6 for site in sites]
        assert metres == pytest.approx(known[axis].tolist(), rel=1e-6)
    [row] = reader.saturation_times().to_dict("records")
    [span] = found.invalid
    assert (span.start_s, span.stop_s) == pytest.approx((row["start_time"], row["stop_time"]))
    assert row["stop_sample"] / RAW_RATE == pytest.approx(span.stop_s - reader.t0, rel=1e-3)
    assert "Neuropixels" in found.probes[0].device


def test_headers_are_read_without_the_decoder(pack, monkeypatch):
    monkeypatch.setitem(sys.modules, "lfpack", None)
    assert header(pack).lfp[0].n_channels == N_CHANNELS
    with (
        pytest.raises(ModuleNotFoundError, match=r"pip install 'fieldbase\[ibl\]'"),
        open_packed_lfp(pack, "bbbb-01"),
    ):
        pass


@pytest.mark.parametrize("array", ["vh_values", "u_values", "basis", "chunk_table"])
def test_the_digest_is_of_one_recordings_content_and_follows_it(copy, array):
    before = {pid: header(copy, pid).lfp[0].digest for pid in WHO["pid"]}
    with h5py.File(copy, "r+") as file:
        data = file[f"bbbb-01/00/codec/{array}"]
        values = data[()]
        if array == "chunk_table":
            values["rmse"][0] += 1
        else:
            values.flat[-1] += 0.5
        data[...] = values
    after = {pid: header(copy, pid).lfp[0].digest for pid in WHO["pid"]}
    assert [pid for pid in after if after[pid] != before[pid]] == ["bbbb-01"]
    assert len(set(before.values())) == 3


def test_a_clock_of_knots_is_followed_as_lfpack_follows_it(tmp_path):
    path = write_recording(tmp_path, "knots", seconds=12)
    at = np.array([100.0, 900.0, 1500.0, 2500.0])
    with h5py.File(path, "r+") as file:
        lfpack.write_sync_attrs(file["knots/00/meta"], at, np.array([3.4, 6.61, 9.0, 13.02]))
    reader = lfpack.LFPackReader(path)
    with open_packed_lfp(path, "knots") as lfp:
        times = [lfp.time_of(sample) for sample in range(lfp.n_samples)]
        assert np.abs(times - np.maximum.accumulate(reader.times)).max() < 1e-9
    series = header(path, "knots").lfp[0]
    assert (series.start_s, series.stop_s) == pytest.approx(
        (reader.times[0], reader.times[-1] + 1 / reader.fs)
    )


def test_a_recording_without_a_session_clock_says_so_and_counts_from_zero(tmp_path):
    path = write_recording(tmp_path, "alone", seconds=6, t0_sync=None, fs_sync=None)
    found = header(path, "alone")
    assert (found.lfp[0].start_s, found.lfp[0].rate_measured) == (0.0, None)
    assert found.warnings == ["alone: no session clock; times count from the first sample"]


def test_a_recording_without_labels_is_read_and_said_to_have_none(tmp_path):
    path = write_recording(tmp_path, "bare", seconds=6, channels=None)
    found = header(path, "bare")
    assert {(site.location, site.x, site.bad) for site in found.channels} == {(None, None, None)}
    assert found.warnings == ["bare: no region is written for any channel"]


def test_format_1_is_read_like_format_2(tmp_path):
    """One HDF5 group for each chunk, as lfpack wrote before 1.0."""
    path = write_recording(tmp_path, "old", seconds=6)
    rng = np.random.default_rng(3)
    with h5py.File(path, "r+") as file:
        del file["old/00/codec"], file["old/00/meta"].attrs["format_version"]
        for i, n in enumerate((512, 512, 476)):
            coded = lfpack.compress(rng.standard_normal((N_CHANNELS, n)) * 1e-4)
            group = file.create_group(f"old/00/chunks/{i}")
            kept = np.flatnonzero(coded.Vh_hat)
            group["U_scaled"], group["vh_indices"] = coded.U_scaled, kept.astype(np.int32)
            group["vh_values"] = coded.Vh_hat.ravel()[kept]
            told = {"ns_original": n, "ns_extended": n, "left_overlap": 0, "epsilon": 100.0}
            told |= {"alpha": 7.0, "cr_svd": 1.0, "cr_wp": 1.0, "cr_total": 1.0}
            group.attrs.update(told | {"vh_shape": coded.Vh_hat.shape})
    reader = lfpack.LFPackReader(path)
    with open_packed_lfp(path, "old") as lfp:
        volts = reader.read(slice(400, 1500), sync=False)
        assert lfp.read(400, 1500) == pytest.approx(volts * 1e6, rel=1e-6)
    assert len(header(path, "old").lfp[0].digest) == 64


def test_windows_are_cut_from_it_like_from_any_recording(pack):
    reader = lfpack.LFPackReader(pack, recording="aaaa-00")
    plain = LfpParams(highpass_hz=None, lowpass_hz=None, target_rate_hz=None, bad_channels="given")
    with open_packed_lfp(pack, "aaaa-00") as lfp:
        cut = cut_lfp_windows(lfp, plain, WindowParams(length_s=2.0), bad_channels=FLAGS > 0)
    assert len(cut.start_s) == 5
    samples = np.searchsorted(reader.times, cut.start_s - 1e-6)
    for window, first in zip(cut.data, samples, strict=True):
        volts = reader.read(slice(first, first + 500), sync=False)
        assert window == pytest.approx(volts * 1e6, rel=1e-6)
    assert (cut.valid == (FLAGS == 0)).all()


DAMAGES = {
    "a chunk less in the table": lambda g: shorten(g, "codec/chunk_table"),
    "a value less": lambda g: shorten(g, "codec/vh_values"),
    "no basis": lambda g: g["codec"].__delitem__("basis"),
    "no codes": lambda g: g.__delitem__("codec"),
    "more samples than chunks": lambda g: g["meta"].attrs.__setitem__("ns_total", 10**9),
    "no number of channels": lambda g: g["meta"].attrs.__setitem__("nc", 0),
    "a rank beyond its arrays": lambda g: set_field(g, "rank", 60_000),
    "columns beyond all memory": lambda g: set_field(g, "vh_cols", 2**31),
}


def shorten(group, name):
    values = group[name][:-1]
    del group[name]
    group[name] = values


def set_field(group, field, value):
    table = group["codec/chunk_table"][()]
    table[field][0] = value
    group["codec/chunk_table"][...] = table


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_recording_is_one_clear_error_and_the_others_are_read(copy, damage):
    with h5py.File(copy, "r+") as file:
        DAMAGES[damage](file["bbbb-01/00"])
    with pytest.raises(ReadError, match="bbbb-01") as told:
        header(copy)
    assert "fetch the file again" in str(told.value)
    with pytest.raises(ReadError, match="bbbb-01"), open_packed_lfp(copy, "bbbb-01"):
        pass
    assert header(copy, "aaaa-00").lfp[0].n_channels == N_CHANNELS


def test_codes_that_cannot_be_unpacked_are_one_clear_error(copy):
    with h5py.File(copy) as file:
        spot = file["bbbb-01/00/codec/vh_values"].id.get_chunk_info(0)
    with open(copy, "r+b") as raw:
        raw.seek(spot.byte_offset)
        raw.write(b"\xff" * spot.size)
    with open_packed_lfp(copy, "bbbb-01") as lfp:
        with pytest.raises(ReadError, match="::bbbb-01 is damaged"):
            lfp.read(0, 100)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_file_cut_short_is_refused(copy, kept):
    copy.write_bytes(copy.read_bytes()[: int(kept * copy.stat().st_size)])
    with pytest.raises(ReadError, match=r"cut short|cannot be opened|damaged"):
        survey_pack(copy, **LIMITS)


def test_what_is_not_in_the_file_is_asked_for_by_name(pack):
    with pytest.raises(ReadError, match="no recording 'dddd'; it has 3 others, e.g. aaaa-00"):
        header(pack, "dddd")


def test_an_insertion_names_subject_session_and_probe(tmp_path):
    WHO.to_csv(tmp_path / "who.csv")
    known = read_insertions(tmp_path / "who.csv")
    one = known["bbbb-01"]
    assert (one.subject, one.session, one.probe, one.lab) == (
        "M-1", "session-1", "probe01", "northlab",
    )  # fmt: skip
    WHO.to_parquet(tmp_path / "who.parquet")
    assert read_insertions(tmp_path / "who.parquet") == known


def test_a_subject_that_is_not_known_is_one_of_its_own_and_said_to_be(pack):
    found = Insertion(recording="aaaa-00").name(header(pack, "aaaa-00"))
    assert found.subject.subject_id == "aaaa-00"
    assert found.warnings == ["aaaa-00: its subject is not known; it counts as one of its own"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.drop(columns="subject"), "no column subject or nickname; there are"),
        (lambda t: t.drop(columns="pid"), "no column pid or recording"),
        (lambda t: pd.concat([t, t.tail(1)]), "speaks of recording cccc-02 twice"),
        (lambda t: t.assign(subject=["M", None, "M"]), "bbbb-01 has no subject"),
        (lambda t: t.assign(probe_name="probe00"), "are both probe probe00 of session session-1"),
    ],
)
def test_a_table_that_leaves_it_open_whose_a_recording_is_is_refused(tmp_path, change, told):
    change(WHO).to_csv(tmp_path / "who.csv", index=False)
    with pytest.raises(ValueError, match=told):
        read_insertions(tmp_path / "who.csv")
