"""The laboratories with a comb of shanks, a macaque and a disease."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from pipeline.nwb import read_summary
from pipeline.synthetic import LabParams, simulate_session, write_sessions
from pipeline.synthetic.disease import GAMMA_HZ, LEFT, power_left
from pipeline.synthetic.regions import REGIONS
from pipeline.synthetic.session import HARDWARE
from pipeline.synthetic.signals import draw_brain, draw_rhythm, simulate_lfp
from pipeline.synthetic.track import Track

COMB = LabParams(layout="generic", hardware="sinaps", subjects=1, channels=6, shanks=3,
                 duration_s=6.0, units=2)  # fmt: skip


def test_a_comb_is_read_back_as_one_probe_of_several_shanks(tmp_path):
    ((path,),) = write_sessions(tmp_path, COMB)
    found = read_summary(path)
    made = simulate_session(COMB, 0).probes[0]
    (probe,) = found.probes
    assert (probe.shanks, probe.n_channels) == (3, 18)
    assert [c.shank for c in found.channels] == np.repeat([0, 1, 2], 6).tolist()
    assert [c.rel_x for c in found.channels] == np.repeat([0.0, 250.0, 500.0], 6).tolist()
    assert [c.location_raw for c in found.channels] == [a or "root" for a in made.track.acronyms]
    assert found.lfp[0].n_channels == 18
    full = LabParams(layout="generic", hardware="sinaps", channels=128, shanks=8)
    assert full.sites == 1024
    with pytest.raises(ValueError, match="several shanks need"):
        LabParams(layout="allen", shanks=2)


def test_shanks_of_one_comb_see_the_same_regions_at_almost_the_same_depth():
    made = simulate_session(LabParams(layout="generic", hardware="sinaps", channels=40, shanks=4,
                                      duration_s=3.0, units=0), 1).probes[0]  # fmt: skip
    names = np.array(made.track.acronyms).reshape(4, 40)
    same = (names[0] == names[1]).mean()
    assert 0.6 < same < 1
    other = simulate_session(LabParams(layout="generic", hardware="sinaps", channels=40, shanks=4,
                                       duration_s=3.0, units=0), 2).probes[0]  # fmt: skip
    assert (np.array(other.track.acronyms)[:40] == names[0]).mean() < same
    sos = signal.butter(3, 15, "highpass", fs=1250.0, output="sos")  # theta is everywhere
    alike = np.corrcoef(signal.sosfiltfilt(sos, made.lfp, axis=0).T).reshape(4, 40, 4, 40)
    near = np.median(np.diag(alike[0, :, 0], 1))
    across = np.median(np.diag(alike[0, :, 1]))
    assert near > across + 0.1  # 65 µm apart, and 250


def test_a_macaque_has_its_species_and_a_region_per_probe(tmp_path):
    params = LabParams(layout="generic", hardware="nhp", brain="macaque", subjects=1, probes=3,
                       channels=4, duration_s=3.0, units=0)  # fmt: skip
    ((path,),) = write_sessions(tmp_path, params)
    found = read_summary(path)
    assert found.synthetic
    assert found.subject.species == "Macaca mulatta"
    regions = {p.probe: {c.location_raw for c in found.channels if c.probe == p.probe}
               for p in found.probes}  # fmt: skip
    assert sorted(regions.values(), key=str) == [{"BG"}, {"M1"}, {"SMA"}]
    with pytest.raises(ValueError, match="3 regions"):
        LabParams(brain="macaque", probes=4)


def test_disease_takes_gamma_from_its_regions_and_nothing_else():
    rng = np.random.default_rng(0)
    brain = draw_brain(rng, list(REGIONS), 0.0)
    rate, n = HARDWARE["sinaps"].rate, 40_000
    rhythm = draw_rhythm(rng, np.zeros(n), brain, rate)
    names = ("CA1", "LP")
    place = 40.0 * np.arange(16)
    track = Track(tuple(REGIONS[name] for name in names for _ in range(8)), place,
                  np.full(16, 0.9), place, place, place)  # fmt: skip
    power = {}
    for ill in (False, True):
        lfp = simulate_lfp(np.random.default_rng(1), track, replace(brain, diseased=ill), rhythm,
                           HARDWARE["sinaps"])  # fmt: skip
        freqs, density = signal.welch(lfp, rate, nperseg=2048, axis=0)
        for at, name in enumerate(names):
            mine = density[:, at * 8 + 2 : at * 8 + 6].mean(axis=1)
            for band, low, high in (("gamma", 40, 80), ("slow", 2, 12)):
                inside = (freqs >= low) & (freqs < high)
                power[name, band, ill] = mine[inside].mean()
    ratio = {key[:2]: power[(*key[:2], True)] / power[(*key[:2], False)] for key in power}
    assert ratio["CA1", "gamma"] == pytest.approx(LEFT["CA1"], rel=0.2)
    assert ratio["CA1", "slow"] == pytest.approx(1, rel=0.1)
    assert ratio["LP", "gamma"] == pytest.approx(1, rel=0.1)
    assert power_left("LP", np.array([1.0, 50.0])).tolist() == [1, 1]
    middle = np.sqrt(GAMMA_HZ[0] * GAMMA_HZ[1])
    assert power_left("CA1", np.array([middle]))[0] == pytest.approx(LEFT["CA1"], rel=0.01)


def test_only_the_first_subjects_are_diseased_and_their_files_say_so(tmp_path):
    params = COMB.model_copy(update={"subjects": 2, "diseased": 1})
    first, second = (paths[0] for paths in write_sessions(tmp_path, params))
    assert read_summary(first).subject.genotype == "App/Psen1 (synthetic)"
    assert read_summary(second).subject.genotype == "wild type (synthetic)"
    healthy = simulate_session(COMB, 1).probes[0].lfp
    assert np.array_equal(simulate_session(params, 1).probes[0].lfp, healthy)
    assert not np.array_equal(simulate_session(params, 0).probes[0].lfp,
                              simulate_session(COMB, 0).probes[0].lfp)  # fmt: skip
    assert LabParams().to_json().keys().isdisjoint({"shanks", "brain", "diseased"})
    with pytest.raises(ValueError, match="cannot be diseased"):
        LabParams(subjects=2, diseased=3)
