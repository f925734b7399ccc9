"""Files with the defects real ones have: read with a warning, or one clear error."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from nwb_files import WRITERS, add_probe, new_file, save, signal, write_generic  # noqa: E402
from pynwb.ecephys import LFP, ElectricalSeries, SpikeEventSeries  # noqa: E402

from pipeline.nwb import ReadError, read_behavior, read_spikes, read_summary  # noqa: E402
from pipeline.nwb.locations import region_name, unit_in  # noqa: E402
from pipeline.nwb.tables import _name_of  # noqa: E402

ELECTRODES = "general/extracellular_ephys/electrodes"


@pytest.fixture
def generic(tmp_path):
    return write_generic(tmp_path / "g.nwb")


def edit(made, change):
    with h5py.File(made.path, "r+") as file:
        change(file)
    return read_summary(made.path)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("CA1", "CA1"),
        ("b'amygdala_right'", "amygdala_right"),
        ('b"hippocampus_left"', "hippocampus_left"),
        ("brain_region: ALM; brain_subregion: N/A; cortical_layer: 5; ", "ALM"),
        ("{'brain_region': 'VISp', 'hemisphere': 'left'}", "VISp"),
        ("brain_region: N/A; hemisphere: left", None),
        ("ctx-lh-superiortemporal", "ctx-lh-superiortemporal"),
        ("Field CA1: stratum", "Field CA1: stratum"),
        ("", None),
        ("Unknown", None),
        ("See electrode locations", None),
        (None, None),
    ],
)
def test_a_region_is_read_out_of_whatever_text_names_it(raw, name):
    assert region_name(raw) == name


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("MNI, mm, RAS (+x right)", "mm"),
        ("x in mm, not micrometres; see coordinate_frame.", "mm"),
        ("position in µm", "um"),
        ("microns", "um"),
        ("x coordinate of the channel", "unknown"),
    ],
)
def test_a_length_unit_is_taken_from_its_description(text, unit):
    assert unit_in(text) == unit


def test_an_electrode_table_shorter_than_the_data_gets_invented_ids(generic):
    def cut(file):
        for name in list(file[ELECTRODES]):
            kept = file[ELECTRODES][name][:4]
            attributes = dict(file[ELECTRODES][name].attrs)
            del file[ELECTRODES][name]
            file[ELECTRODES].create_dataset(name, data=kept).attrs.update(attributes)
        series = file[generic.series]
        del series["electrodes"]
        series["electrodes"] = np.arange(4)

    summary = edit(generic, cut)
    assert summary.lfp[0].channel_ids == [0, 1, 2, 3, -1, -2]
    assert [c.evidence for c in summary.channels[4:]] == ["unknown", "unknown"]
    assert {c.probe for c in summary.channels} == {"probe0"}
    assert summary.probes[0].n_channels == 6
    assert any("6 columns but 4 electrodes" in w for w in summary.warnings)


def test_a_reference_to_something_without_a_name_has_none(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        nameless, named = file.create_group(None), file.create_group("deep/probe0")
        assert _name_of(file, nameless.ref) is None
        assert _name_of(file, named.ref) == "probe0"


def test_no_electrode_table_still_gives_channels(generic):
    def drop(file):
        del file["general/extracellular_ephys"]
        del file[generic.series]["electrodes"]

    summary = edit(generic, drop)
    assert len(summary.channels) == 6
    assert "no electrode table" in summary.warnings


def test_a_missing_version_is_read_with_a_warning(generic):
    summary = edit(generic, lambda file: file.attrs.__delitem__("nwb_version"))
    assert summary.nwb_version is None
    assert summary.lfp[0].n_channels == 6
    assert any("no nwb_version" in w for w in summary.warnings)


@pytest.mark.parametrize("where", ["attribute", "dataset"])
def test_nwb_1_is_refused_with_a_way_out(generic, where):
    def older(file):
        del file.attrs["nwb_version"]
        if where == "attribute":
            file.attrs["nwb_version"] = "1.0.6"
        else:
            file["nwb_version"] = b"NWB-1.0.6"

    with pytest.raises(ReadError, match=r"is NWB 1\.0\.6; NWB 2 or later is read; write it anew"):
        edit(generic, older)


def test_a_file_that_is_missing_or_no_hdf5_is_one_clear_error(tmp_path):
    with pytest.raises(ReadError, match="no file at"):
        read_summary(tmp_path / "none.nwb")
    (tmp_path / "text.nwb").write_text("hello")
    with pytest.raises(ReadError, match="cannot be opened as HDF5"):
        read_summary(tmp_path / "text.nwb")
    (tmp_path / "empty.nwb").touch()
    with pytest.raises(ReadError):
        read_summary(tmp_path / "empty.nwb")


def test_a_file_cut_short_is_one_clear_error(generic):
    generic.path.write_bytes(generic.path.read_bytes()[:-5000])
    with pytest.raises(ReadError, match="cut short"):
        read_summary(generic.path)


def test_spikes_cut_from_their_index_give_no_units_and_a_warning(tmp_path):
    nwb = new_file()
    for k in range(3):
        nwb.add_unit(spike_times=np.arange(10.0) + k)
    path = save(nwb, tmp_path / "u.nwb")
    with h5py.File(path, "r+") as file:
        file["units/spike_times_index"][...] = [132, 145, 158]
    summary = read_summary(path)
    assert summary.units == []
    assert any("cut apart from its index" in w for w in summary.warnings)
    with pytest.raises(ReadError, match="no spikes"):
        read_spikes(path)


def test_the_peak_channel_is_the_one_with_the_largest_waveform(tmp_path):
    nwb = new_file()
    add_probe(nwb, "p", 4, columns={"location": ["a", "b", "c", "d"]})
    wave = np.zeros((30, 3))
    wave[10, 2] = -1.0
    nwb.add_unit(spike_times=[1.0, 3.0], electrodes=[0, 1, 3], waveform_mean=wave)
    (unit,) = read_summary(save(nwb, tmp_path / "u.nwb")).units
    assert (unit.channel, unit.probe, unit.region_raw) == (3, "p", "d")
    assert unit.rate_hz == pytest.approx(1.0)


@pytest.mark.parametrize(("shape", "told"), [((1, 1 << 40, 3), True), ((1 << 40, 30, 3), False)])
def test_mean_waveforms_of_no_possible_size_are_not_read(tmp_path, shape, told):
    nwb = new_file()
    add_probe(nwb, "p", 4, columns={"location": ["a", "b", "c", "d"]})
    nwb.add_unit(spike_times=[1.0, 3.0], electrodes=[0, 1, 3], waveform_mean=np.zeros((30, 3)))
    path = save(nwb, tmp_path / "u.nwb")
    with h5py.File(path, "r+") as file:
        del file["units/waveform_mean"]
        file["units"].create_dataset("waveform_mean", shape, "f8", chunks=(1, 30, 3))
    summary = read_summary(path)
    assert [unit.channel for unit in summary.units] == [None]
    assert any("waveform_mean" in warning for warning in summary.warnings) == told


def test_a_series_linked_or_copied_twice_is_listed_once(generic):
    def again(file):
        file["acquisition/soft"] = h5py.SoftLink("/" + generic.series)
        file["acquisition/hard"] = file[generic.series]
        file.copy(generic.series, "acquisition/copy")

    summary = edit(generic, again)
    assert len(summary.lfp) == 1
    assert any("the same data as" in w for w in summary.warnings)


def test_a_broken_link_costs_nothing_else(generic):
    def broken(file):
        file["acquisition/gone"] = h5py.SoftLink("/nowhere")
        file["acquisition/away"] = h5py.ExternalLink("missing.h5", "/x")

    assert len(edit(generic, broken).lfp) == 1


def test_channels_first_is_left_out_with_a_warning(tmp_path):
    nwb = new_file()
    region = add_probe(nwb, "p", 6, columns={"location": ["x"] * 6})
    series = ElectricalSeries("ES", signal(6, 500), region, rate=1000.0)
    nwb.add_acquisition(series)
    summary = read_summary(save(nwb, tmp_path / "t.nwb"))
    assert summary.lfp == []
    assert any("channels seem to come first" in w for w in summary.warnings)


def test_wideband_is_told_from_lfp_and_spike_snippets_are_neither(tmp_path):
    nwb = new_file()
    region = add_probe(nwb, "p", 2, columns={"location": ["x"] * 2})
    nwb.add_acquisition(ElectricalSeries("Raw", signal(600, 2), region, rate=30000.0))
    nwb.add_acquisition(ElectricalSeries("Slow", signal(500, 2, 1), region, rate=1000.0))
    snippets = SpikeEventSeries("Snippets", signal(20, 2, 2), np.arange(20.0), region)
    nwb.add_acquisition(snippets)
    summary = read_summary(save(nwb, tmp_path / "w.nwb"))
    assert {s.series: s.kind for s in summary.lfp} == {
        "acquisition/Raw": "wideband",
        "acquisition/Slow": "lfp",
    }


def test_an_all_zero_series_is_flagged(tmp_path):
    nwb = new_file()
    region = add_probe(nwb, "p", 2, columns={"location": ["x"] * 2})
    late = np.zeros((2_000_000, 2), np.int16)
    late[1_250_100] = 1
    nwb.add_acquisition(ElectricalSeries("Zero", late[:5000], region, rate=1000.0))
    nwb.add_acquisition(ElectricalSeries("Late", late, region, rate=1000.0))
    summary = read_summary(save(nwb, tmp_path / "z.nwb"))
    assert {s.series: s.all_zero for s in summary.lfp}["acquisition/Zero"] is True
    assert any("acquisition/Zero: every sampled value is zero" in w for w in summary.warnings)


def test_several_probes_and_shanks_keep_apart(tmp_path):
    nwb = new_file()
    one = nwb.create_device("Neuropixels 2.0")
    for group in ("ProbeAShank0", "ProbeAShank1"):
        add_probe(nwb, group, 2, columns={"location": ["x"] * 2}, device=one)
    add_probe(nwb, "lead B", 3, columns={"location": ["x"] * 3})
    region = nwb.create_electrode_table_region(list(range(7)), "all")
    nwb.add_acquisition(ElectricalSeries("ES", signal(100, 7), region, rate=1000.0))
    summary = read_summary(save(nwb, tmp_path / "s.nwb"))
    assert [(p.probe, p.shanks, p.n_channels, p.device) for p in summary.probes] == [
        ("ProbeA", 2, 4, "Neuropixels 2.0"),
        ("lead B", 1, 3, "device of lead B"),
    ]
    assert [c.shank for c in summary.channels] == [0, 0, 1, 1, None, None, None]


def test_an_lfp_container_under_acquisition_is_found(tmp_path):
    nwb = new_file()
    region = add_probe(nwb, "p", 2, columns={"location": ["x"] * 2})
    nwb.add_acquisition(LFP(ElectricalSeries("ES", signal(100, 2), region, rate=1000.0)))
    summary = read_summary(save(nwb, tmp_path / "l.nwb"))
    assert [s.series for s in summary.lfp] == ["acquisition/LFP/ES"]


@pytest.mark.parametrize(
    ("text", "synthetic"),
    [
        ("a synthetic recording", True),
        ("Synthetic: made by fieldbase", True),
        ("real data, not synthetic", False),
        ("photosynthetically active", False),
    ],
)
def test_only_what_calls_itself_synthetic_is(tmp_path, text, synthetic):
    path = save(new_file(session_description=text), tmp_path / "s.nwb")
    assert read_summary(path).synthetic is synthetic


def test_a_unit_that_is_no_voltage_is_warned_about(generic):
    def other(file):
        file[generic.series]["data"].attrs["unit"] = "meters"

    assert any("none of voltage" in w for w in edit(generic, other).warnings)


def test_a_wrong_declared_rate_loses_to_the_timestamps(tmp_path):
    made = WRITERS["allen"](tmp_path / "a.nwb")

    def half(file):
        file["general/extracellular_ephys/probeA"].attrs["lfp_sampling_rate"] = 625.0

    summary = edit(made, half)
    assert summary.lfp[0].rate_declared == 625.0
    assert summary.lfp[0].rate_measured == pytest.approx(1249.998)
    assert any("declares 625 Hz" in w for w in summary.warnings)


def test_behavior_comes_with_times_and_named_columns(tmp_path):
    from pynwb import TimeSeries
    from pynwb.behavior import Position, SpatialSeries

    nwb = new_file()
    times = 5 + np.arange(50) / 30.0
    place = SpatialSeries("position", np.arange(100.0).reshape(50, 2), timestamps=times,
                          reference_frame="corner")  # fmt: skip
    module = nwb.create_processing_module("behavior", "what the rat did")
    module.add(Position(place))
    force = TimeSeries(
        "force", np.ones((40, 2)), unit="N", rate=20.0, conversion=2.0,
        description="columns: left, right",
    )  # fmt: skip
    module.add(force)
    path = save(nwb, tmp_path / "b.nwb")
    rows = {b.series: b for b in read_summary(path).behavior}
    assert rows["processing/behavior/Position/position"].columns == ["x", "y"]
    assert rows["processing/behavior/Position/position"].rate == pytest.approx(30.0)
    read_times, values, names = read_behavior(path, "processing/behavior/Position/position")
    np.testing.assert_allclose(read_times, times)
    np.testing.assert_allclose(values, np.arange(100.0).reshape(50, 2))
    read_times, values, names = read_behavior(path, "processing/behavior/force")
    assert names == ["left", "right"]
    assert (values == 2.0).all()
    np.testing.assert_allclose(read_times, np.arange(40) / 20.0)
    with pytest.raises(KeyError, match="there are"):
        read_behavior(path, "processing/behavior/nope")


def test_trials_of_every_table_keep_their_values(tmp_path):
    nwb = new_file()
    nwb.add_trial_column("choice", "left or right")
    nwb.add_trial_column("reward", "µl")
    nwb.add_trial(start_time=1.0, stop_time=2.0, choice="left", reward=3.0)
    nwb.add_trial(start_time=3.0, stop_time=np.nan, choice="right", reward=np.nan)
    nwb.add_epoch(start_time=0.0, stop_time=9.0, tags=["a", "b"])
    trials = read_summary(save(nwb, tmp_path / "t.nwb")).trials
    assert {(t.table, t.trial) for t in trials} == {("trials", 0), ("trials", 1), ("epochs", 0)}
    by = {(t.table, t.trial): t for t in trials}
    assert by["trials", 0].values == {"choice": "left", "reward": 3.0}
    assert by["trials", 1].stop_s is None
    assert by["trials", 1].values["reward"] is None
    assert by["epochs", 0].values["tags"] == ["a", "b"]


def test_a_soft_link_whose_text_is_no_text_leads_nowhere(generic):
    name = b"broken\xff\xfe"

    def change(file):
        file.id.links.create_soft(b"acquisition/lost", name)

    assert edit(generic, change).lfp


@pytest.mark.parametrize("dtype", ["u1", "i8"])
def test_spike_times_in_whole_numbers_are_times(tmp_path, dtype):
    nwb, path = new_file(), tmp_path / "u.nwb"
    nwb.add_unit(spike_times=[1.0, 3.0, 5.0])
    save(nwb, path)
    with h5py.File(path, "r+") as file:
        times = file["units/spike_times"][()].astype(dtype)
        del file["units/spike_times"]
        file["units/spike_times"] = times
    (unit,) = read_summary(path).units
    assert (unit.n_spikes, unit.rate_hz) == (3, 3 / 4)


def test_more_electrodes_than_can_be_meant_are_refused_before_they_are_read(generic):
    def change(file):
        del file[f"{ELECTRODES}/id"]
        file[ELECTRODES].create_dataset("id", (1 << 25,), "i8", chunks=(1 << 16,))

    with pytest.raises(ReadError, match="33,554,432 rows; 1,000,000 at most"):
        edit(generic, change)
