"""A file of many recordings through verbs and studies: subjects apart, damage contained."""

import json
import shutil
from pathlib import Path

import h5py
import lfpack
import numpy as np
import pytest
from typer.testing import CliRunner

import schemas
import workers.choose
from tests.packed_files import FLAGS, N_CHANNELS, RATE, REGIONS, WHO, write_pack
from workers.archive.found import SourceError, total_bytes
from workers.archive.standing import compare
from workers.choose import LocateError
from workers.cli import app
from workers.ingest import find, ingest, register
from workers.locate import locate
from workers.study.cost import plan_study
from workers.study.experiment import read_experiment, simulate
from workers.study.run import run_study
from workers.study.spec import StudySpec

LOCATE_IBL = Path(__file__).parents[2] / "studies" / "locate_ibl.toml"
STUDY = {
    "study": {"name": "packed"},
    "data": {"recordings": ["pack.h5"], "subjects": "who.csv", "labels": "Cosmos"},
    "lfp": {
        "highpass_hz": 2.0,
        "lowpass_hz": 100.0,
        "target_rate_hz": 250.0,
        "bad_channels": "given",
    },
    "windows": {"length_s": 2.0},
    "split": {"by": "subject", "folds": "leave-one-out", "validation": 0},
    "model": [{"name": "band power", "family": "band_power", "params": {"segment": 256}}],
    "analyses": {"evaluation": {"draws": 50}},
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Folder of a packed file and its table of subjects."""
    folder = tmp_path_factory.mktemp("packed")
    write_pack(folder)
    return folder


@pytest.fixture(scope="module")
def studied(tables, packed):
    """A study of the file that was run, and what came of it."""
    spec = StudySpec.model_validate(STUDY)
    done = run_study(spec, base=packed)
    assert not done.failed
    return spec, done


@pytest.fixture
def mine(tables, studied, packed):
    """Rows of a table that came of the file's three recordings, by recording."""
    files = tables.session.NwbFile & {"file_kind": "lfpack"}
    found = {
        row["mapping"]["recording"]: row["nwb_file"]
        for row in files.to_dicts()
        if row["mapping"]["recording"] in set(WHO["pid"]) and row["mapping"].get("lab")
    }

    def rows(table):
        return {pid: (table & {"nwb_file": found[pid]}).to_dicts() for pid in sorted(found)}

    return rows


@pytest.fixture
def type_in(tables, monkeypatch):
    """Type a command; exit code and what it printed, errors too."""
    monkeypatch.setattr(schemas, "activate", lambda **_: None)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        done = CliRunner().invoke(app, [str(word) for word in words])
        return done.exit_code, done.stdout + done.stderr + str(done.exception or "")

    return run


def test_subjects_sessions_probes_and_channels_are_as_table_and_file_say(mine, tables):
    recording, session = tables.recording, tables.session
    for row in WHO.to_dict("records"):
        [where] = mine(recording.IngestionSession)[row["pid"]]
        told = (session.Session & {"session": where["session"]}).fetch1()
        assert (told["subject"], told["source"]) == (row["subject"], row["lab"])
        assert told["session_id"] == row["eid"]
        sites = mine(recording.Channel)[row["pid"]]
        assert {site["probe"] for site in sites} == {row["probe_name"]}
        assert [site["channel"] for site in sites] == list(range(N_CHANNELS))
        assert [bool(site["bad"]) for site in sites] == [bool(flag) for flag in FLAGS]
        [series] = mine(recording.LfpSeries)[row["pid"]]
        assert series["series_path"] == f"{row['pid']}/00"
        assert series["lfp_rate_hz"] == pytest.approx(250.01)
    sessions = {mine(recording.IngestionSession)[pid][0]["session"] for pid in WHO["pid"]}
    assert len(sessions) == 2


def test_regions_are_the_acronyms_of_the_file(mine, tables):
    sets = mine(tables.recording.LabelSet)["aaaa-00"]
    [names] = [one for one in sets if one["origin"].startswith("acronym")]
    entries = tables.recording.LabelEntry & {"label_set": names["label_set"]}
    rows = entries.to_dicts(order_by="channel")
    assert [row["raw"] for row in rows] == REGIONS[:-1]


def test_stored_windows_are_lfpacks_samples_and_leave_out_what_was_saturated(
    studied, packed, tables, mine
):
    params = {"lfp": {"highpass_hz": None, "lowpass_hz": None, "target_rate_hz": None}}
    values = STUDY | params | {"study": {"name": "packed_plain"}, "model": []}
    run_study(StudySpec.model_validate(values), base=packed)
    members = tables.dataset.StudyMember & {"study": "packed_plain", "member_table": "windows_task"}
    asked = [{"windows": name} for name in members.to_arrays("member")]
    links = (tables.windows.WindowsLfp & asked & "series like 'cccc%'").to_dicts()
    [row] = (tables.windows.Windows & {"windows": links[0]["windows"]}).to_dicts()
    reader = lfpack.LFPackReader(packed / "pack.h5", recording="cccc-02")
    lfp, starts = row["lfp"].load(), row["window_start_s"].load()
    for window, start in zip(lfp, starts, strict=True):
        first = int(np.argmin(np.abs(reader.times - start)))
        volts = reader.read(slice(first, first + len(window)), sync=False)
        assert window == pytest.approx(volts * 1e6, rel=1e-5, abs=1e-4)
    saturated = reader.saturation_times().iloc[0]
    touched = (starts < saturated["stop_time"]) & (starts + 2 > saturated["start_time"])
    kept = (row["reasons"].load() == 0).any(axis=1)
    assert touched.any()
    assert (kept == ~touched).all()


def test_probes_of_one_mouse_are_held_out_together(studied, tables):
    members = {"study": "packed", "member_table": "split_task"}
    [split] = (tables.dataset.StudyMember & members).to_arrays("member")
    asked = tables.windows.WindowsTask.proj("session")
    roles = tables.dataset.SplitAssignment * asked * tables.session.Session
    rows = (roles & {"split": split}).to_dicts()
    for fold in {row["fold"] for row in rows}:
        tested = {r["subject"] for r in rows if r["fold"] == fold and r["role"] == "test"}
        trained = {r["subject"] for r in rows if r["fold"] == fold and r["role"] == "train"}
        assert len(tested) == 1
        assert not tested & trained


def test_each_probe_is_labelled_by_its_own_recording(studied, mine, tables):
    members = tables.dataset.DatasetMember * tables.windows.WindowsLfp
    split = {"study": "packed", "member_table": "split_task"}
    [name] = (tables.dataset.StudyMember & split).to_arrays("member")
    task = (tables.dataset.SplitTask & {"split": name}).fetch1()
    rows = (members & {"dataset": task["dataset"]}).to_dicts()
    assert len(rows) == 3
    for row in rows:
        assert (tables.recording.LabelSet & {"label_set": row["label_set"]}).fetch1(
            "nwb_file"
        ) == row["nwb_file"]


def test_a_mouse_that_was_held_out_is_told_apart_by_rhythm(studied, tables):
    scores = tables.scores("packed")
    pooled = scores[scores["fold"].isna() & (scores["metric"] == "balanced_accuracy")]
    assert pooled["value"].min() > 0.9
    assert set(pooled["n_groups"]) == {2}


def test_a_plan_counts_recordings_subjects_and_the_file_once(studied, packed, tables):
    spec = studied[0].model_copy(update={"data": studied[0].data.model_copy(
        update={"recordings": ("other.h5",)}
    )})  # fmt: skip
    shutil.copyfile(packed / "pack.h5", packed / "other.h5")
    planned = plan_study(spec, base=packed)
    assert planned["files"] == 3
    assert planned["bytes"] == (packed / "other.h5").stat().st_size
    assert planned["jobs"]["Ingestion"] == (3, 0)
    assert planned["jobs"]["Windows"][0] + planned["jobs"]["Windows"][1] >= 3
    assert any("2 folds" in note for note in planned["notes"])
    n_windows = N_CHANNELS * (6 + 7 + 8)  # of 2 s in 12, 14 and 16 s
    assert any(f"{n_windows:,} windows of one channel" in note for note in planned["notes"])


def test_recordings_of_nobody_are_refused_unless_each_is_to_count_as_its_own(packed, tables):
    before = len(tables.session.NwbFile())
    with pytest.raises(SourceError, match="does not say whose its 3 recordings are.*--subjects"):
        register(["pack.h5"], base=packed)
    assert len(tables.session.NwbFile()) == before
    keys = register(["pack.h5::c*"], base=packed, subjects="each")
    [row] = ingest(keys)
    assert row["sessions"] == ["cccc-02"]
    assert "its subject is not known; it counts as one of its own" in row["messages"][0]


def test_a_table_must_know_every_recording_that_is_wanted(packed):
    WHO.head(2).to_csv(packed / "two.csv")
    with pytest.raises(SourceError, match="two.csv does not say whose 1 of 3 .* e.g. cccc-02"):
        find(["pack.h5"], base=packed, subjects="two.csv")
    chosen = find(["pack.h5::[ab]*"], base=packed, subjects="two.csv")
    assert [one.mapping["subject"] for one in chosen] == ["M-1", "M-1"]
    with pytest.raises(SourceError, match="no table of insertions at .*nowhere.csv"):
        find(["pack.h5"], base=packed, subjects="nowhere.csv")


@pytest.mark.parametrize("name", ["pack.h5::zzz", "who.csv::aaaa-00", "none.h5::aaaa-00"])
def test_what_is_not_there_is_said(packed, name):
    with pytest.raises(SourceError, match=r"no recording zzz; it has 3|nothing is at"):
        find([name], base=packed, subjects="who.csv")


def test_the_same_file_again_is_the_same_rows_and_a_changed_one_is_noticed(packed, studied):
    files = find(["pack.h5"], base=packed, subjects="who.csv")
    assert [one.state for one in compare(files)] == ["same"] * 3
    assert total_bytes(files) == ((packed / "pack.h5").stat().st_size, 0)
    kept = (packed / "pack.h5").read_bytes()
    try:
        with h5py.File(packed / "pack.h5", "r+") as file:
            file["bbbb-01/00/meta"].attrs["note"] = "changed"
        files = find(["pack.h5"], base=packed, subjects="who.csv")
        assert [one.state for one in compare(files)] == ["changed"] * 3
    finally:
        (packed / "pack.h5").write_bytes(kept)


def test_ingest_tells_each_recording_and_contains_the_damage_of_one(type_in, packed, tmp_path):
    shutil.copyfile(packed / "pack.h5", tmp_path / "hurt.h5")
    with h5py.File(tmp_path / "hurt.h5", "r+") as file:
        del file["bbbb-01/00/codec/basis"]
    words = ("ingest", tmp_path / "hurt.h5", "--subjects", packed / "who.csv")
    code, text = type_in(*words, "--dry-run", "--json")
    assert code == 1
    assert [row["layout"] for row in json.loads(text.rpartition("]")[0] + "]")] == [
        "lfpack", "error", "lfpack",
    ]  # fmt: skip
    code, text = type_in(*words, "--json")
    rows = {
        row["path"].rpartition("::")[2]: row for row in json.loads(text.rpartition("]")[0] + "]")
    }
    assert code == 1
    assert [row["status"] for row in rows.values()] == ["ok", "error", "ok"]
    assert rows["bbbb-01"]["messages"] == [
        "recording bbbb-01 is damaged: it has no basis; fetch the file again"
    ]


def test_without_a_table_the_verb_says_what_is_missing(type_in, packed):
    code, text = type_in("ingest", packed / "pack.h5")
    assert code == 1
    assert "as --subjects TABLE" in text


def test_a_study_without_its_recordings_says_how_to_get_them(tables, tmp_path):
    values = STUDY | {"data": STUDY["data"] | {"obtain": "Fetch it from https://example.org/x"}}
    values |= {"study": {"name": "packed_nowhere"}}
    spec = StudySpec.model_validate(values)
    for step in (plan_study, run_study):
        with pytest.raises(SourceError, match="nothing is at .*Fetch it from https://example.org"):
            step(spec, base=tmp_path)


def test_one_of_many_recordings_is_located_by_its_name(tables, packed, tmp_path, monkeypatch):
    monkeypatch.setattr(workers.choose, "registered_models", list)
    with pytest.raises(LocateError, match="stands for 3 recordings; .*, FILE::RECORDING"):
        locate(str(packed / "pack.h5"), out=tmp_path)
    one = f"{packed / 'pack.h5'}::cccc-02"
    with pytest.raises(LocateError, match="no NWB file to write a copy of"):
        locate(one, out=tmp_path, write_nwb=True)
    found = locate(one, out=tmp_path)
    assert len(found.channels) == N_CHANNELS
    assert [path.name for path in tmp_path.iterdir()] == ["pack_cccc-02_spectra.png"]
    assert found.command == f"fieldbase study run {workers.choose._from_here(LOCATE_IBL)}"


def test_the_study_of_the_brain_wide_map_keeps_to_its_band_and_has_a_twin():
    [real], [twin] = (read_experiment(LOCATE_IBL, twin=on).specs for on in (False, True))
    assert (real.study.registered, real.data.labels, real.split.by) == ("ibl", "Cosmos", "subject")
    assert (real.lfp.lowpass_hz, real.lfp.target_rate_hz) == (100.0, RATE)
    assert [model.name for model in real.model] == [model.name for model in twin.model]
    assert real.lfp == twin.lfp
    assert twin.study.registered == "twin-ibl"
    with pytest.raises(SourceError, match="lf_compressed_all_bwm.h5.*https://.*bwm_insertions.csv"):
        plan_study(real, base=LOCATE_IBL.parent / "nowhere")


def test_its_twin_runs_and_registers_a_model(tables, tmp_path):
    whole = read_experiment(LOCATE_IBL, twin=True)
    lab = whole.labs["ibl"].model_copy(update={"subjects": 3, "channels": 12, "duration_s": 15.0})
    simulate(whole.model_copy(update={"labs": {"ibl": lab}}), tmp_path, lambda text: None)
    cheap = tuple(model for model in whole.specs[0].model if "band" in model.name)
    analyses = whole.specs[0].analyses.model_copy(update={"linear_probes": (), "controls": ()})
    spec = whole.specs[0].model_copy(update={"model": cheap, "analyses": analyses})
    done = run_study(spec, base=tmp_path)
    assert not done.failed
    assert done.made["RegisteredModel"] == 1
    named = tables.training.RegisteredModel & {"registered_model": "twin-ibl"}
    card = named.fetch1("card")
    named.delete_quick()
    assert (card["band_hz"], card["scheme"]) == ([2.0, 100.0], "Cosmos")


def test_fields_for_packed_files_leave_other_studies_as_they_were():
    data = {"recordings": ["a.nwb"]}
    stored = StudySpec.model_validate({"study": {"name": "x"}, "data": data}).to_json()
    assert not {"subjects", "obtain"} & set(stored["data"])
