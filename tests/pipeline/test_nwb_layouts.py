"""Every layout yields the same summary of what was written, whatever its conventions."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from nwb_files import WRITERS, write_allen_session, write_ibl  # noqa: E402

from pipeline.nwb import LAYOUTS, open_lfp, read_spikes, read_summary  # noqa: E402
from pipeline.nwb.summary import FileSummary  # noqa: E402


@pytest.fixture(scope="module", params=sorted(WRITERS))
def made(request, tmp_path_factory):
    return WRITERS[request.param](tmp_path_factory.mktemp("nwb") / f"{request.param}.nwb")


def test_every_registered_layout_is_covered():
    assert {layout.name for layout in LAYOUTS} == {name.split("_")[0] for name in WRITERS}


def test_channels_carry_ids_places_and_labels(made):
    summary = read_summary(made.path)
    channels = summary.channels
    assert summary.layout == made.layout
    assert [c.channel for c in channels] == made.ids
    assert {c.probe for c in channels} == {made.probe}
    assert [c.location for c in channels] == made.locations
    assert [c.index_on_probe for c in channels] == made.index_on_probe
    assert [c.depth_um for c in channels] == made.depth_um
    known = [c.evidence for c in channels if c.location]
    assert known == [made.evidence] * len(known)
    assert {c.evidence for c in channels if c.location is None} <= {"unknown"}
    assert made.extra.items() <= channels[0].extra_labels.items()


def test_the_series_is_listed_once_with_its_measured_rate(made):
    (lfp,) = read_summary(made.path).lfp
    assert lfp.series == made.series
    assert (lfp.n_samples, lfp.n_channels) == made.uv.shape
    assert lfp.channel_ids == made.ids
    assert (lfp.rate_measured or lfp.rate_declared) == pytest.approx(made.rate, rel=1e-7)
    assert lfp.kind == "lfp"
    assert lfp.all_zero is False


def test_signals_come_out_in_microvolts(made):
    with open_lfp(made.path, made.series) as lfp:
        assert lfp.rate == pytest.approx(made.rate, rel=1e-7)
        np.testing.assert_allclose(lfp.read(0, lfp.n_samples), made.uv, rtol=1e-5, atol=1e-3)


def test_a_summary_survives_json(made):
    summary = read_summary(made.path)
    assert FileSummary.from_json(summary.to_json()) == summary


def test_session_subject_and_synthetic_mark_are_read(made):
    summary = read_summary(made.path)
    assert summary.subject.subject_id == "m1"
    assert summary.subject.species == "Mus musculus"
    assert summary.session_start == "2024-05-06T07:08:09+00:00"
    assert summary.session_id == "s1"
    assert summary.synthetic


def test_allen_missing_coordinates_and_invalid_channels_are_told(tmp_path):
    made = WRITERS["allen"](tmp_path / "a.nwb")
    first, second, third, _ = read_summary(made.path).channels
    assert (first.x, first.y, first.z) == (None, None, None)
    assert (second.x, second.coordinate_unit) == (8000.0, "um")
    assert [first.bad, third.bad] == [False, True]
    assert first.location_raw == ""


def test_allen_invalid_times_keep_their_scope(tmp_path):
    summary = read_summary(write_allen_session(tmp_path / "session.nwb"))
    assert [(i.start_s, i.stop_s, i.scope) for i in summary.invalid] == [
        (10.0, 11.0, "all"),
        (20.0, 21.0, "probeB"),
        (30.0, 31.0, "stimulus"),
    ]
    assert not summary.trials
    assert [p.probe for p in summary.probes] == ["probeA", "probeB"]


def test_units_find_probe_and_region_through_their_peak_channel(tmp_path):
    path = write_allen_session(tmp_path / "session.nwb")
    units = read_summary(path).units
    assert [(u.unit, u.probe, u.channel, u.n_spikes, u.region_raw) for u in units] == [
        (900, "probeB", 201, 3, "CA1"),
        (901, "probeA", 100, 1, "VISp"),
    ]
    spikes = read_spikes(path)
    np.testing.assert_array_equal(spikes.times[0], [1.0, 2.0, 3.0])
    assert spikes.units.region.tolist() == ["CA1", "VISp"]


def test_ibl_spike_band_is_left_out_beside_its_lf_band(tmp_path):
    made = write_ibl(tmp_path / "ibl.nwb")
    warnings = read_summary(made.path).warnings
    assert any("ElectricalSeriesProbe00AP" in w and "left out" in w for w in warnings)


def test_ibl_localization_gives_ccf_coordinates(tmp_path):
    made = write_ibl(tmp_path / "ibl.nwb")
    channel = read_summary(made.path).channels[2]
    assert (channel.x, channel.y, channel.z) == (1002.0, 2002.0, 3002.0)
    assert channel.coordinate_unit == "um"
    assert channel.location_raw == "root"
    assert channel.extra_labels["atlas_id"] == "2"


def test_a_localization_table_is_read_in_a_file_of_any_layout(tmp_path):
    made = WRITERS["generic"](tmp_path / "g.nwb")
    with h5py.File(made.path, "r+") as file:
        table = file.create_group("general/localization/AllenCCF")
        table["id"] = np.arange(2)
        table["brain_region"] = np.array(["SUB", "POST"], dtype=object)
        table["localized_entity"] = np.array([4, 5])
    channels = read_summary(made.path).channels
    assert [c.location for c in channels][4:] == ["SUB", "POST"]
    assert [c.evidence for c in channels][3:] == ["target", "histology", "histology"]
