"""Every real recording at hand: outcome, counts and warnings, as pynwb and its README have them."""

import sys
from pathlib import Path

import numpy as np
import pytest
from pynwb import NWBHDF5IO
from pynwb.ecephys import ElectricalSeries

sys.path.insert(0, str(Path(__file__).parent))
from real_files import EXPECTED, REFUSED  # noqa: E402

from pipeline.nwb import ReadError, open_lfp, read_spikes, read_summary  # noqa: E402

pytestmark = pytest.mark.real


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
