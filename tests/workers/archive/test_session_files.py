"""Allen keeps a session in several files; they find each other in any order of arrival."""

import itertools

import h5py
import numpy as np
import pytest

from pipeline.recording import REASONS
from workers.study.plan import enter_study, request_windows
from workers.study.spec import StudyError, StudySpec

COUNTER = itertools.count()


@pytest.fixture
def two_files(allen_files, tmp_path, tables):
    """Session file and probe file of a mouse of this test alone."""
    name = f"own-{next(COUNTER)}"
    files = {}
    for path, data in allen_files.items():
        if "910005000" in path:
            kind = "probe" if "_probe-" in path else "session"
            files[kind] = tmp_path / f"{kind}.nwb"
            files[kind].write_bytes(data)
            with h5py.File(files[kind], "r+") as file:
                del file["general/subject/subject_id"]
                file["general/subject/subject_id"] = name
                del file["general/session_id"]
                file["general/session_id"] = name
    return files


def study(modalities=("lfp",)):
    values = {
        "study": {"name": f"files-{next(COUNTER)}"},
        "data": {"recordings": ["x"], "modalities": list(modalities)},
        "windows": {"length_s": 1.0},
        "lfp": {"target_rate_hz": 250.0},
        "bins": {"bin_s": 0.1},
    }
    spec = StudySpec.model_validate(values)
    enter_study(spec)
    return spec


def arrive(tables, *paths):
    from workers.ingest import register

    keys = register([str(path) for path in paths], base=paths[0].parent)
    tables.recording.Ingestion.populate([{"nwb_file": key} for key in keys])
    return keys


def cut(tables, spec, keys):
    members = request_windows(spec, keys)
    names = [{"windows": name} for name in members.windows]
    tables.windows.Windows.populate(names)
    return [(tables.windows.Windows & name).fetch1() for name in names], members.notes


def marked_invalid(two_files, row):
    """Which windows overlap a time that the session file says not to use, by its own table."""
    starts = row["window_start_s"].load()
    with h5py.File(two_files["session"]) as file:
        table = file["intervals/invalid_times"]
        spans = list(zip(table["start_time"][()], table["stop_time"][()], strict=True))
    return np.array([any(a < s + 1.0 and b > s for a, b in spans) for s in starts])


def rejected(row):
    return (row["reasons"].load() == REASONS.index("invalid_interval")).any(axis=1)


def test_windows_leave_out_invalid_times_whichever_file_came_first(tables, two_files):
    probe = arrive(tables, two_files["probe"])
    spec = study()
    (before,), notes = cut(tables, spec, probe)
    assert any("only its probe files are ingested" in note for note in notes)
    expected = marked_invalid(two_files, before)
    assert 0 < expected.sum() < len(expected)
    assert not rejected(before).any()
    session = arrive(tables, two_files["session"])
    (after,), notes = cut(tables, spec, probe)
    assert not any("only its probe files" in note for note in notes)
    assert after["windows"] != before["windows"]
    np.testing.assert_array_equal(rejected(after), expected)
    assert len(tables.windows.Windows & {"windows": before["windows"]}) == 1
    (again,), _ = cut(tables, study(), session + probe)
    assert again["windows"] == after["windows"]


def test_the_session_file_may_come_first(tables, two_files):
    keys = arrive(tables, two_files["session"]) + arrive(tables, two_files["probe"])
    (row,), notes = cut(tables, study(), keys)
    np.testing.assert_array_equal(rejected(row), marked_invalid(two_files, row))
    assert not any("only its probe files" in note for note in notes)


def test_a_task_means_the_same_whenever_it_is_computed(tables, two_files):
    probe = arrive(tables, two_files["probe"])
    asked = request_windows(study(), probe)
    arrive(tables, two_files["session"])
    (name,) = asked.windows
    tables.windows.Windows.populate({"windows": name})
    assert not rejected((tables.windows.Windows & {"windows": name}).fetch1()).any()


@pytest.mark.parametrize("order", [("session", "probe"), ("probe", "session")])
def test_lfp_of_one_file_and_units_of_the_other_become_one_set_of_windows(tables, two_files, order):
    keys = {kind: arrive(tables, two_files[kind])[0] for kind in order}
    (row,), _ = cut(tables, study(["lfp", "spikes"]), [keys[kind] for kind in order])
    key = {"windows": row["windows"]}
    assert (tables.windows.WindowsLfp & key).fetch1("nwb_file") == keys["probe"]
    assert (tables.windows.WindowsUnits & key).fetch1("nwb_file") == keys["session"]
    with h5py.File(two_files["session"]) as file:
        units = file["units"]
        ends, times = units["spike_times_index"][()], units["spike_times"][()]
    starts = row["window_start_s"].load()
    counts = row["spikes"].load()
    for unit, (a, b) in enumerate(itertools.pairwise([0, *ends])):
        inside = (times[a:b] >= starts[0]) & (times[a:b] < starts[0] + 1.0)
        assert counts[0, :, unit].sum() == inside.sum()


def test_units_that_are_nowhere_in_the_session_are_missed_in_words(tables, two_files):
    probe = arrive(tables, two_files["probe"])
    with pytest.raises(StudyError, match="no units, nor beside it in its session"):
        request_windows(study(["lfp", "spikes"]), probe)


@pytest.mark.parametrize("order", [("session", "probe"), ("probe", "session")])
def test_trials_of_one_file_belong_to_the_session_of_the_others_signal(tables, two_files, order):
    keys = {kind: arrive(tables, two_files[kind])[0] for kind in order}
    key = {"session": (tables.recording.LfpSeries & {"nwb_file": keys["probe"]}).fetch1("session")}
    trials = tables.recording.Trial & key
    assert set(trials.to_arrays("nwb_file")) == {keys["session"]}
    with h5py.File(two_files["session"]) as file:
        starts = file["intervals/trials/start_time"][()]
    assert len(starts) > 1
    np.testing.assert_allclose(np.sort(trials.to_arrays("trial_start_s")), np.sort(starts))
