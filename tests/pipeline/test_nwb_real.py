"""Every real recording at hand: outcome, counts and warnings, as pynwb and its README have them."""

import numpy as np
import pytest
from pynwb import NWBHDF5IO
from pynwb.ecephys import ElectricalSeries

from pipeline.nwb import ReadError, open_lfp, read_spikes, read_summary

pytestmark = pytest.mark.real

# file: layout, probes, channels, channels with a region, LFP (samples, columns, Hz) or None,
#       units, spikes, rows of intervals, behavioural series, words of each warning
EXPECTED = {
    "nwb/sub-4_ses-4_ecephys+image.nwb": (
        "generic", 19, 19, 19, None, 35, 214278, 450, 2, ["read as mm"]),
    "nwb/buzsaki_DT9_20170428_stub.nwb": (
        "generic", 2, 96, 96, (100, 96, 1250.0), 10, 1725, 0, 0, []),
    "nwb/sub-anm369963_ses-20170228.nwb": (
        "generic", 1, 64, 64, None, 1, 1679, 178, 2, ["x, y, z are 0"]),
    "nwb/aibs.nwb": (
        "allen", 6, 10, 8, None, 0, 0, 90, 14, ["cut apart from its index", "10 units left out"]),
    "nwb/aibs_ecephys.nwb": (
        "allen", 1, 87, 10, (10, 87, 1249.9988), 0, 0, 0, 0,
        ["declares 624.999 Hz", "87 columns but 10 electrodes"]),
    "nwb/aibs_ecephys_fulltable_norootattrs.h5": (
        "allen", 1, 87, 72, (10, 87, 1249.9988), 0, 0, 0, 0,
        ["no nwb_version", "declares 624.999 Hz"]),
    "nwb/sub-001_ses-1.nwb": (
        "generic", 1, 384, 0, (13163, 384, 2500.0), 0, 0, 0, 0, []),
    "ieeg_nwb/sub-BW001_ses-supereeg_ieeg.nwb": (
        "generic", 1, 64, 64, (1000, 64, 200.0), 0, 0, 0, 0, []),
    "ieeg_nwb/sub-CH003_ses-supereeg_ieeg.nwb": (
        "generic", 1, 64, 61, (5000, 64, 256.0), 0, 0, 0, 0, []),
    "ieeg_nwb/sub-CH012_ses-supereeg_ieeg.nwb": (
        "generic", 1, 64, 63, (5000, 64, 256.0), 0, 0, 0, 0, []),
    "ieeg_nwb/sub-mneecogpat01_ses-seizure_ieeg.nwb": (
        "generic", 3, 76, 0, (21658, 76, 999.4121), 0, 0, 3, 1, []),
    "rodent_nwb/sub-CSR6_ses-20180320-sq8_ecephys.nwb": (
        "generic", 9, 32, 32, (225000, 32, 250.0), 50, 3136, 0, 3, []),
    "rodent_nwb/sub-Jango_ses-20160626-day0_ecephys.nwb": (
        "generic", 1, 96, 96, None, 0, 0, 299, 3, []),
    "rodent_nwb/sub-K265_ses-20190611_ecephys.nwb": (
        "generic", 1, 31, 31, None, 50, 63414, 0, 0, []),
    "rodent_nwb/sub-T170_ses-20180911_ecephys.nwb": (
        "generic", 1, 13, 13, None, 21, 8951, 0, 0, []),
    "rodent_nwb/sub-T179_ses-20190321_ecephys.nwb": (
        "generic", 1, 10, 10, None, 11, 34977, 0, 0, []),
    "rodent_nwb/sub-T181_ses-20191111_ecephys.nwb": (
        "generic", 1, 65, 65, None, 115, 98072, 0, 0, []),
    "rodent_nwb/sub-T182_ses-20181001_ecephys.nwb": (
        "generic", 1, 23, 23, None, 53, 36208, 0, 0, []),
    "rodent_nwb/sub-T196_ses-20190509_ecephys.nwb": (
        "generic", 1, 10, 10, None, 18, 15838, 0, 0, []),
    "rodent_nwb/sub-T209_ses-20190522_ecephys.nwb": (
        "generic", 1, 13, 13, None, 22, 56059, 0, 0, []),
    "rodent_nwb/sub-T219_ses-20191203_ecephys.nwb": (
        "generic", 1, 112, 112, None, 196, 319869, 0, 0, []),
    "rodent_nwb/sub-T224_ses-20200116_ecephys.nwb": (
        "generic", 1, 89, 89, None, 223, 264606, 0, 0, []),
    "rodent_nwb/sub-install_ses-20170708-lineartrack_ecephys.nwb": (
        "generic", 13, 13, 0, None, 31, 28829, 0, 2, []),
}  # fmt: skip
REFUSED = {"nwb/20080606_R1.nwb": "is NWB 1.0.6; NWB 2 or later is read; write it anew"}


@pytest.mark.parametrize("name", EXPECTED)
def test_outcome_counts_and_warnings_of(real_data, name):
    layout, probes, channels, located, lfp, units, spikes, rows, behavior, words = EXPECTED[name]
    found = read_summary(real_data / name)
    assert found.layout == layout
    assert (len(found.probes), len(found.channels)) == (probes, channels)
    assert sum(c.location is not None for c in found.channels) == located
    if lfp is None:
        assert found.lfp == []
    else:
        (one,) = found.lfp
        rate = one.rate_measured or one.rate_declared
        assert (one.n_samples, one.n_channels, round(rate, 4)) == lfp
        assert len(set(one.channel_ids)) == one.n_channels
        assert not one.all_zero
    assert (len(found.units), sum(u.n_spikes for u in found.units)) == (units, spikes)
    assert (len(found.trials), len(found.behavior)) == (rows, behavior)
    assert len(found.warnings) == len(words)
    assert all(any(word in warning for warning in found.warnings) for word in words)
    assert not found.synthetic


@pytest.mark.parametrize("name", REFUSED)
def test_a_clear_refusal_of(real_data, name):
    with pytest.raises(ReadError, match=REFUSED[name]):
        read_summary(real_data / name)


def test_no_file_is_forgotten(real_data):
    there = {
        f"{folder}/{path.name}"
        for folder in ("nwb", "ieeg_nwb", "rodent_nwb")
        for path in (real_data / folder).iterdir()
    }
    assert there == set(EXPECTED) | set(REFUSED)


@pytest.mark.parametrize(
    ("name", "locations"),
    [
        ("nwb/sub-4_ses-4_ecephys+image.nwb", {"hippocampus_right": 14, "amygdala_right": 5}),
        ("nwb/buzsaki_DT9_20170428_stub.nwb", {"hpc": 64, "ls": 32}),
        ("nwb/sub-anm369963_ses-20170228.nwb", {"ALM": 64}),
        ("nwb/aibs_ecephys_fulltable_norootattrs.h5", {"grey": 52, "VISam": 20, None: 15}),
        ("rodent_nwb/sub-CSR6_ses-20180320-sq8_ecephys.nwb", {"SUB": 30, "RSC": 2}),
    ],
)
def test_locations_are_read_out_of_their_defects(real_data, name, locations):
    found = [c.location for c in read_summary(real_data / name).channels]
    assert {name: found.count(name) for name in set(found)} == locations


def test_lobes_of_the_human_files_reach_the_channels(real_data):
    summary = read_summary(real_data / "ieeg_nwb/sub-BW001_ses-supereeg_ieeg.nwb")
    lobes = [c.extra_labels["lobe"] for c in summary.channels]
    assert {lobe: lobes.count(lobe) for lobe in set(lobes)} == {
        "temporal": 30, "frontal": 15, "parietal": 7, "insula": 5, "occipital": 4,
        "hippocampus": 2, "cingulate": 1,
    }  # fmt: skip
    assert {c.evidence for c in summary.channels} == {"coordinates"}
    assert {c.coordinate_unit for c in summary.channels} == {"mm"}


def test_the_seizure_file_says_that_its_frame_is_not_mni(real_data):
    summary = read_summary(real_data / "ieeg_nwb/sub-mneecogpat01_ses-seizure_ieeg.nwb")
    assert sum("NOT MNI" in c.coordinate_frame for c in summary.channels) == 64
    assert sum(c.x is None for c in summary.channels) == 12


@pytest.mark.parametrize(
    "name", [n for n, e in EXPECTED.items() if e[4] and "norootattrs" not in n]
)
def test_microvolts_agree_with_pynwb(real_data, name):
    series = read_summary(real_data / name).lfp[0].series
    with NWBHDF5IO(str(real_data / name), "r", load_namespaces=True) as io:
        nwb = io.read()
        one = next(o for o in nwb.objects.values() if isinstance(o, ElectricalSeries))
        raw = one.data[:2000] * one.conversion * 1e6 + (one.offset or 0.0) * 1e6
    with open_lfp(real_data / name, series) as lfp:
        read = lfp.read(0, min(2000, lfp.n_samples))
    np.testing.assert_allclose(read, raw, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", [n for n, e in EXPECTED.items() if e[5] in (1, 10, 31, 35, 50)])
def test_spikes_agree_with_pynwb(real_data, name):
    spikes = read_spikes(real_data / name)
    with NWBHDF5IO(str(real_data / name), "r", load_namespaces=True) as io:
        units = io.read().units
        for i, train in enumerate(spikes.times):
            np.testing.assert_array_equal(train, np.sort(units["spike_times"][i]))
