"""One file, located: model chosen, rows made, table, picture, CSV and copy."""

import csv
import io
import shutil

import h5py
import numpy as np
import pytest
from rich.console import Console

import workers.choose
from pipeline.synthetic import write_lab
from schemas._registered import name_probe
from workers.choose import LocateError, Recorded, choose_model, find_model, why_not
from workers.locate import MODEL_WATERMARK, RECORDING_WATERMARK, locate
from workers.register import register_study_model
from workers.study.spec import StudyError

CARD = {
    "family": "band_power", "classes": ["CA1", "DG"], "scheme": "lfp2vec5", "synthetic": False,
    "lfp_params": "some", "band_hz": [0.5, 100.0], "rates_hz": [250.0], "n_subjects": 3,
    "species": ["Mus musculus"], "probes": ["Neuropixels"],
}  # fmt: skip
MOUSE = Recorded("s", "Mus musculus", False, ("Neuropixels",), 1250.0)


@pytest.fixture(autouse=True)
def _no_other_models(monkeypatch):
    """Models that other tests registered are not there."""
    seen = workers.choose.registered_models
    mine = lambda: [row for row in seen() if row["registered_model"] == "small"]  # noqa: E731
    monkeypatch.setattr(workers.choose, "registered_models", mine)


@pytest.fixture(scope="module")
def real(fresh, tmp_path_factory):
    """The same signal in a file that does not say it is synthetic."""
    path = tmp_path_factory.mktemp("real") / "rec.nwb"
    shutil.copyfile(fresh, path)
    with h5py.File(path, "r+") as file:
        for place in ("session_description", "general/notes", "general/experimenter"):
            if place in file:
                del file[place]
        file["session_description"] = "a mouse"
        del file["general/subject/subject_id"]
        file["general/subject/subject_id"] = "m1"
    return path


@pytest.fixture(scope="module")
def located(model, fresh, tmp_path_factory):
    """The fresh recording, located with everything written; what was said meanwhile."""
    told = []
    out = tmp_path_factory.mktemp("out")
    return locate(str(fresh), out=out, write_nwb=True, say=told.append), told


def test_without_a_registered_model_what_needs_none_is_drawn(tables, fresh, tmp_path, monkeypatch):
    monkeypatch.setattr(workers.choose, "registered_models", list)
    found = locate(str(fresh), out=tmp_path)
    assert found.model is None
    assert found.units is None
    assert "region_pred" not in found.channels
    assert np.isfinite(found.channels["theta_uv2"]).any()
    assert found.channels["ripple_uv2"].notna().any()
    assert found.channels["bad"].any()
    assert found.command.startswith("fieldbase study run ")
    assert any(found.command in note for note in found.notes)
    assert [path.suffix for path in tmp_path.iterdir()] == [".png"]


def test_a_name_nobody_registered_is_an_error_that_lists_what_there_is(mice, fresh, tmp_path):
    with pytest.raises(LocateError, match="no model 'nobody'; .*register = "):
        locate(str(fresh), model="nobody", out=tmp_path)


def test_the_model_that_hears_and_does_best_is_registered_once(mice, model, tables):
    assert model["study_model"] == "band power"  # position only stands there to compare with
    assert model["score"]["metric"] == "balanced_accuracy"
    assert model["n_subjects"] == 2  # the third was held out
    assert model["species"] == ["Mus musculus"]
    assert register_study_model("locate_small") == model
    assert len(tables.training.RegisteredModel() & {"registered_model": "small"}) == 1


def test_a_name_that_is_taken_is_refused(mice, model, tables):
    from schemas._registered import register_model

    other = tables.training.Training & f"training != '{find_model('small').training}'"
    other = other.to_arrays("training")[0]
    assert register_study_model("locate_small", "second")["registered"] == "second"
    with pytest.raises(ValueError, match="'second' is training"):
        register_model("second", other)
    (tables.training.RegisteredModel & {"registered_model": "second"}).delete()


def test_a_training_can_be_named_by_its_digest(model):
    trained = find_model("small").training
    assert find_model(trained[:10]).training == trained


def test_a_study_that_is_not_there_registers_nothing(tables):
    with pytest.raises(StudyError, match="no study 'gone'"):
        register_study_model("gone")


def test_the_label_set_is_said_before_anything_is_computed(located):
    found, told = located
    label = next(i for i, text in enumerate(told) if "tells apart" in text)
    assert all(name in told[label] for name in found.model.classes)
    assert label < told.index("cutting windows")
    assert any("model small fits: species Mus musculus" in text for text in told)


def test_every_answer_is_a_row(located, tables):
    found, _ = located
    (name,) = found.predictions.values()
    stored = tables.prediction.Prediction.ChannelPrediction & {"prediction": name}
    by_channel = {row["channel"]: row["predicted"] for row in stored.to_dicts()}
    shown = dict(zip(found.channels["channel"], found.channels["region_pred"], strict=True))
    assert shown == by_channel
    windows = (tables.windows.WindowsTask & {"windows": found.windows[0]}).fetch1()
    trained_on = tables.windows.WindowsTask & tables.dataset.DatasetMember
    assert windows["lfp_params"] in trained_on.to_arrays("lfp_params")
    assert windows["window_params"] in trained_on.to_arrays("window_params")


def test_units_get_the_region_of_their_peak_channel(located):
    found, _ = located
    answers = dict(zip(found.channels["channel"], found.channels["region_pred"], strict=True))
    assert len(found.units) > 3
    assert all(answers[row.channel] == row.region for row in found.units.itertuples())


def test_the_csv_has_the_channels_in_file_order(located, fresh):
    found, _ = located
    with found.csv.open() as handle:
        rows = list(csv.DictReader(handle))
    with h5py.File(fresh) as file:
        (series,) = {row["series"] for row in rows}
        table = file["general/extracellular_ephys/electrodes/id"][()]
        electrodes = table[file[series]["electrodes"][()]]
    assert [int(row["electrode"]) for row in rows] == electrodes.tolist()
    answers = dict(zip(found.channels["channel"], found.channels["region_pred"], strict=True))
    assert [row["region"] for row in rows] == [answers[e] for e in electrodes]
    assert {row["watermark"] for row in rows} == {RECORDING_WATERMARK}


def test_the_copy_has_the_regions_and_says_they_are_synthetic(located, fresh):
    found, _ = located
    with h5py.File(found.nwb) as copy, h5py.File(fresh) as original:
        table = copy["general/extracellular_ephys/electrodes"]
        assert RECORDING_WATERMARK in table["predicted_region"].attrs["description"]
        regions = table["predicted_region"].asstr()[()]
        assert len(regions) == len(original["general/extracellular_ephys/electrodes/id"])
    assert set(regions) <= {*found.model.classes, "unknown"}


def test_the_printed_table_carries_the_watermark(located):
    found, _ = located
    console = Console(file=io.StringIO(), width=200)
    found.print(console)
    text = console.file.getvalue()
    assert text.startswith(f"*** {RECORDING_WATERMARK} ***")
    assert str(found.csv) in text
    assert all(
        f"{run.region} ({run.n_channels} channel" in text for run in found.runs[0].itertuples()
    )
    assert found.to_json()["watermark"] == RECORDING_WATERMARK


def test_a_second_call_makes_no_row(located, fresh, tables, tmp_path):
    tasks = [tables.windows.Windows, tables.prediction.Prediction, tables.anatomy.ChannelLabel]
    before = [len(table()) for table in tasks]
    again = locate(str(fresh), model="small", out=tmp_path)
    assert [len(table()) for table in tasks] == before
    assert again.predictions == located[0].predictions


def test_a_copy_that_is_there_stops_it_before_it_starts(located, fresh):
    found, told = located[0], []
    with pytest.raises(LocateError, match="is there already"):
        locate(str(fresh), out=found.nwb.parent, write_nwb=True, say=told.append)
    assert told == []


def test_a_model_of_synthetic_data_is_refused_on_a_real_recording(model, real, tmp_path):
    with pytest.raises(LocateError, match="trained on synthetic data .* --allow-synthetic"):
        locate(str(real), model="small", out=tmp_path)
    found = locate(str(real), out=tmp_path)
    assert found.model is None
    assert any("synthetic" in note for note in found.notes)


def test_allowed_it_watermarks_every_output(model, real, tmp_path):
    found = locate(str(real), out=tmp_path, allow_synthetic=True, write_nwb=True)
    assert found.model.name == "small"
    assert found.watermark == MODEL_WATERMARK
    assert MODEL_WATERMARK in found.csv.read_text()
    with h5py.File(found.nwb) as copy:
        column = copy["general/extracellular_ephys/electrodes/predicted_region"]
        assert MODEL_WATERMARK in column.attrs["description"]
    plain = locate(str(real), out=tmp_path / "plain")
    assert found.pictures[0].read_bytes() != plain.pictures[0].read_bytes()


def test_a_recording_the_model_was_trained_on_is_warned_about(mice, model, tables, tmp_path):
    task = tables.training.TrainingTask & {"training": find_model("small").training}
    trained_on = tables.dataset.SplitAssignment & task & {"role": "train"}
    member = (trained_on * tables.windows.WindowsLfp * tables.session.NwbFile).to_dicts()[0]
    path = next((mice / "lab").rglob(member["path"].split("/")[-1]))
    found = locate(str(path), model="small", out=tmp_path)
    assert any("trained on this session" in text for text in found.warnings)


def test_a_file_without_field_potential_says_what_it_holds(mice, tables, tmp_path):
    made = write_lab(tmp_path / "a", layout="allen", subjects=1, channels=4, duration_s=4.0)
    session_file = next(path for path in made if "probe" not in path.name)
    with pytest.raises(LocateError, match="no field potential .* units"):
        locate(str(session_file), out=tmp_path)


def test_a_file_that_cannot_be_read_says_what_to_do(tables, tmp_path):
    path = tmp_path / "broken.nwb"
    path.write_bytes(b"no HDF5 at all")
    with pytest.raises(LocateError, match="cannot be opened as HDF5"):
        locate(str(path), out=tmp_path)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"species": ["Homo sapiens"]}, "species"),
        ({"probes": ["subdural electrodes"]}, "probe"),
        ({"synthetic": True}, "synthetic"),
        ({"band_hz": [0.5, 800.0], "rates_hz": [2500.0]}, "reads up to 800 Hz"),
        ({"family": "mtm"}, "needs spikes"),
        ({"lfp_params": None}, "features"),
    ],
)
def test_what_speaks_against_a_model_is_named(change, word):
    assert why_not(CARD, MOUSE, allow_synthetic=False) == []
    (reason,) = why_not({**CARD, **change}, MOUSE, allow_synthetic=False)
    assert word in reason


@pytest.mark.parametrize(
    ("text", "heights", "kind"),
    [
        ("Neuropixels 1.0", [0.0, 20.0], "Neuropixels"),
        ("probeA imec 3a", [], "Neuropixels"),
        ("", [20.0 * i for i in range(384)], "Neuropixels"),
        ("sEEG lead", [], "depth electrodes"),
        ("64-contact ECoG grid", [], "subdural electrodes"),
        ("", [0.0, 100.0, 200.0, 300.0], "linear probe"),
        ("", [None, None, None, None], None),
        ("as described", [0.0, 0.0], None),
    ],
)
def test_the_kind_of_probe_is_read_from_text_or_sites(text, heights, kind):
    assert name_probe(text, heights) == kind


def test_the_kind_of_probe_is_part_of_the_training_domain(mice, model, tables):
    trained = tables.training.Training & {"training": find_model("small").training}
    kinds = {recording["probe"] for recording in trained.fetch1("domain")["recordings"]}
    assert kinds == set(model["probes"])
    assert len(kinds) == 1


def test_of_several_models_the_best_fitting_is_taken(monkeypatch):
    rows = [
        {"registered_model": name, "training": name, "model_added": 0, "card": {**CARD, **change}}
        for name, change in (
            ("any_probe", {"probes": []}),
            ("good", {"score": {"metric": "balanced_accuracy", "value": 0.6, "chance": 0.25}}),
            ("poor", {"score": {"metric": "balanced_accuracy", "value": 0.3, "chance": 0.25}}),
            ("rats", {"species": ["Rattus norvegicus"]}),
        )
    ]
    monkeypatch.setattr(workers.choose, "registered_models", lambda: rows)
    chosen, passed = choose_model(MOUSE, allow_synthetic=False)
    assert chosen.name == "good"
    assert "balanced accuracy 0.60 held out (chance 0.25)" in chosen.reason
    assert any("rats: species Rattus norvegicus, here Mus musculus" in text for text in passed)
