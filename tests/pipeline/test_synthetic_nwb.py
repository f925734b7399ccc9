import numpy as np
import pytest
from nwbinspector import Importance, inspect_nwbfile

from pipeline.nwb import open_lfp, read_behavior, read_spikes, read_summary
from pipeline.synthetic import LabParams, simulate_session, write_lab, write_sessions

PARAMS = {
    layout: LabParams(layout=layout, subjects=1, probes=2, channels=8, duration_s=6.0, units=3)
    for layout in ("allen", "ibl", "generic")
}


@pytest.fixture(scope="module", params=list(PARAMS))
def written(request, tmp_path_factory):
    params = PARAMS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    (paths,) = write_sessions(folder, params)
    return params, simulate_session(params, 0), paths


def test_every_file_says_that_it_is_synthetic_and_whose_layout_it_has(written):
    params, _, paths = written
    summaries = [read_summary(path) for path in paths]
    assert all(s.synthetic and "ynthetic" in s.session_description for s in summaries)
    assert {s.layout for s in summaries} == {params.layout}
    assert len({(s.session_id, s.subject.subject_id, s.session_start) for s in summaries}) == 1
    assert len({s.identifier for s in summaries}) == len(paths)
    assert not any(s.warnings for s in summaries)


def test_the_inspector_finds_no_violation(written):
    for path in written[2]:
        found = list(
            inspect_nwbfile(
                nwbfile_path=path,
                importance_threshold=Importance.BEST_PRACTICE_VIOLATION,
                skip_validate=False,
            )
        )
        assert not found, [(m.check_function_name, m.message) for m in found]


def test_what_was_simulated_is_read_back_in_microvolts_on_the_session_clock(written):
    params, made, paths = written
    step_uv = {"allen": 1e-3, "ibl": 4.6875, "generic": 0.195}[params.layout]
    series = [(path, s) for path in paths for s in read_summary(path).lfp]
    assert len(series) == 2
    for probe, (path, summary) in zip(made.probes, series, strict=True):
        with open_lfp(path, summary.series) as lfp:
            data = lfp.read(0, lfp.n_samples)
            assert lfp.rate == pytest.approx(made.rate, rel=1e-6)
            assert lfp.time_of(100) == pytest.approx(made.times[100], abs=1e-4)
        clipped = np.clip(probe.lfp, -32768 * step_uv, 32767 * step_uv)
        within = clipped if params.layout != "allen" else probe.lfp
        assert np.abs(data - within).max() <= 0.51 * step_uv


def test_regions_units_trials_and_flaws_are_read_back(written):
    params, made, paths = written
    summaries = [read_summary(path) for path in paths]
    names = {
        "ibl": [r.full_name for p in made.probes for r in p.track.regions],
        "allen": [r.acronym or "root" for p in made.probes for r in p.track.regions],
    }
    names["generic"] = names["allen"]
    whole = next(s for s in summaries if len(s.channels) == 16)
    assert [c.location_raw for c in whole.channels] == names[params.layout]
    assert [c.depth_um for c in whole.channels[:8]] == made.probes[0].track.from_tip_um.tolist()
    units = next(s for s in summaries if s.units)
    spikes = [s for p in made.probes for s in p.spikes if len(s)]
    (path,) = [p for p, s in zip(paths, summaries, strict=True) if s.units]
    stored = read_spikes(path)
    assert all(np.allclose(a, b) for a, b in zip(stored.times, spikes, strict=True))
    assert len(units.trials) == len(made.trials)
    times, values, _ = read_behavior(path, units.behavior[0].series)
    assert np.allclose(values[:, 0] * 100, np.interp(times, made.times, made.speed), atol=0.05)
    if params.layout == "allen":
        assert [(i.start_s, i.stop_s) for i in units.invalid] == made.invalid
        assert all(i.scope == "all" for i in units.invalid)
        assert [bool(c.bad) for c in whole.channels] == [
            bool(b) for p in made.probes for b in p.bad
        ]


def test_a_lab_has_one_subject_after_the_other(tmp_path):
    paths = write_lab(tmp_path, layout="generic", subjects=3, channels=4, duration_s=3.0, seed=5)
    names = [read_summary(path).subject.subject_id for path in paths]
    assert names == ["SYN-generic-5-00", "SYN-generic-5-01", "SYN-generic-5-02"]
