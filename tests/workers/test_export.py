"""What leaves the database can be read without it, whole and with its origin."""

import hashlib
import json

import h5py
import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="module")
def exported(mice, tmp_path_factory):
    """The study of the mice as a folder, and what its provenance says."""
    from workers.export import export_study

    folder = export_study("locate_small", tmp_path_factory.mktemp("out") / "study")
    return folder, json.loads((folder / "provenance.json").read_text())


def frames(folder):
    return {path.name.removesuffix(".parquet"): pd.read_parquet(path) for path in folder.iterdir()
            if path.suffix == ".parquet"}  # fmt: skip


def test_every_row_that_a_row_names_is_exported_too(exported):
    from workers.export.lineage import all_tables

    tables, found = all_tables(), frames(exported[0])
    names = {table().full_table_name: name for name, table in tables.items()}
    checked = 0
    for name, rows in found.items():
        for parent, link in tables[name]().parents(foreign_key_info=True):
            columns = link["attr_map"]
            named = rows[list(columns)].rename(columns=columns).dropna().drop_duplicates()
            if not len(named):
                continue
            above = found[names[parent]][list(named.columns)].drop_duplicates()
            assert len(named.merge(above)) == len(named), f"{name} -> {names[parent]}"
            checked += 1
    assert checked > 40


def test_each_table_has_the_rows_of_the_study(exported):
    from schemas import analysis, dataset, prediction, recording, training

    found = frames(exported[0])
    assert len(found["dataset.Study"]) == 1
    members = (dataset.StudyMember & {"study": "locate_small"}).to_dicts()

    def asked(key):
        named = [m["member"] for m in members if m["member_table"] == f"{key}_task"]
        return [{key: one} for one in named]

    split = dataset.SplitTask & asked("split")
    expected = {
        "analysis.Evaluation.Score": analysis.Evaluation.Score & asked("evaluation"),
        "training.Training": training.Training & asked("training"),
        "prediction.Prediction.ChannelPrediction": (
            prediction.Prediction.ChannelPrediction & asked("prediction")
        ),
        "dataset.SplitAssignment": dataset.SplitAssignment & asked("split"),
        "recording.LabelEntry": recording.LabelEntry & [
            {"label_set": one} for one in (dataset.DatasetMember & split.fetch1()).to_arrays(
                "label_set")
        ],
    }  # fmt: skip
    for name, table in expected.items():
        rows = table.to_dicts()
        assert len(found[name]) == len(rows) > 0, name
        for column in table.primary_key:
            assert sorted(found[name][column]) == sorted(row[column] for row in rows)
    score = found["analysis.Evaluation.Score"].set_index(["evaluation", "score"])["value"]
    for row in expected["analysis.Evaluation.Score"].to_dicts():
        value = score[(row["evaluation"], row["score"])]
        assert (row["value"] is None and np.isnan(value)) or row["value"] == value


def test_what_another_study_asked_for_is_left_out(asked_by_mice, tmp_path):
    from pipeline.preprocessing import WindowParams
    from schemas import recording, windows
    from workers.export import export_study
    from workers.study.plan import ask_windows

    one = asked_by_mice(windows.WindowsTask, "windows_task", "windows").to_dicts()[0]
    series = (recording.LfpSeries * windows.WindowsLfp & one).to_dicts()[0]
    params = {"lfp_params": one["lfp_params"]}
    params |= windows.WindowParamSet.register(None, WindowParams(length_s=1.9))
    other = ask_windows(params, {"session": one["session"], "lfp": series})
    found = frames(export_study("locate_small", tmp_path / "again"))
    assert other not in set(found["windows.WindowsTask"]["windows"])
    assert one["windows"] in set(found["windows.WindowsTask"]["windows"])
    assert params["window_params"] not in set(found["windows.WindowParamSet"]["window_params"])


def test_provenance_names_files_digests_versions_and_the_study(exported):
    folder, told = exported
    files = {path.name for path in folder.iterdir()}
    assert files == {table["file"] for table in told["tables"].values()} | {"provenance.json"}
    for table in told["tables"].values():
        content = (folder / table["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == table["sha256"]
        assert len(pd.read_parquet(folder / table["file"])) == table["rows"]
    assert told["study"]["toml"]["study"]["name"] == "locate_small"
    assert {"python", "fieldbase", "datajoint", "torch"} <= set(told["versions"])
    assert "s, session clock" in told["tables"]["recording.LfpSeries"]["columns"]["lfp_start_s"]


def test_json_and_arrays_are_text_that_says_what_they_are(exported):
    found = frames(exported[0])
    array = json.loads(found["windows.Windows"]["lfp"].iloc[0])
    assert array["dtype"] == "float32"
    assert len(array["shape"]) == 3
    assert array["store"] == "arrays"
    assert isinstance(json.loads(found["training.Training"]["classes"].dropna().iloc[0]), list)


def test_an_unknown_study_and_a_folder_that_is_there_are_refused(mice, tmp_path):
    from workers.export import export_study

    with pytest.raises(LookupError, match=r"'nobody'.*locate_small"):
        export_study("nobody", tmp_path / "x")
    (tmp_path / "y").mkdir()
    with pytest.raises(LookupError, match="is there already"):
        export_study("locate_small", tmp_path / "y")
    assert not (tmp_path / "x").exists()


def test_an_exported_model_answers_as_the_stored_one(model, asked_by_mice, tmp_path):
    from pipeline.training.checkpoint import load_checkpoint
    from pipeline.training.inference import predict_windows
    from schemas import training, windows
    from schemas._infer import load_model
    from schemas._load import load_windows
    from workers.export import export_model

    trained = (training.RegisteredModel & {"registered_model": "small"}).fetch1("training")
    folder = export_model("small", tmp_path / "small")
    mine = asked_by_mice(windows.WindowsTask, "windows_task", "windows")
    heard = load_windows(mine.keys(limit=1)[0]["windows"])
    ours, theirs = (
        predict_windows(one, heard, batch_size=8, device="cpu").outputs
        for one in (load_checkpoint(folder), load_model(trained, "cpu"))
    )
    assert np.array_equal(ours, theirs)
    card = json.loads((folder / "card.json").read_text())
    weights = (folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == card["weights_digest"]
    assert card["training"] == trained
    assert card["card"]["species"] == model["species"]
    again = export_model(trained[:8], tmp_path / "by digest")
    assert (again / "model.safetensors").read_bytes() == weights
    with pytest.raises(LookupError, match="registered are"):
        export_model("nobody", tmp_path / "nobody")


def test_a_model_card_says_who_was_held_out_and_how_it_did(model, tmp_path):
    from schemas import analysis, prediction, training
    from workers.export import export_model

    trained = (training.RegisteredModel & {"registered_model": "small"}).fetch1("training")
    folder = export_model("small", tmp_path / "card")
    card = json.loads((folder / "card.json").read_text())
    roles = card["roles"]
    assert len(roles["test"]["subjects"]) == 1
    assert not set(roles["test"]["subjects"]) & set(card["subjects_heard"])
    mine = analysis.EvaluationInput & (prediction.PredictionTask & {"training": trained}).proj()
    own = analysis.EvaluationTask & mine & "eval_fold is not null"
    for said in [row for row in card["scores"] if row["which"] == "this fold"]:
        asked = {"level": said["level"], "metric": said["metric"]}
        values = (analysis.Evaluation.Score & own & asked).to_arrays("value")
        assert said["value"] in values
    text = (folder / "README.md").read_text()
    assert "| this fold | channel | balanced accuracy |" in text
    assert "simulated recordings" in text


def test_transformers_loads_an_exported_lfp2vec_with_the_same_hidden_states(tmp_path):
    import torch
    from transformers import Wav2Vec2Model

    from pipeline.models import DataContext, build, parse_params
    from workers.export.model import _write_for_transformers

    tiny = {
        "family": "lfp2vec", "size": "tiny", "conv_dim": (8,) * 7, "hidden": 16, "heads": 2,
        "layers": 2, "feedforward": 16, "position_kernel": 8, "position_groups": 2, "codewords": 8,
        "code_dim": 16, "negatives": 8, "head_dim": 16, "model_rate": 4000.0, "init": "random",
    }  # fmt: skip
    context = DataContext(window_s=1.0, rate=500.0, n_samples=500, classes=("CA1", "DG"))
    model = build(parse_params(tiny), context, seed=4).eval()
    _write_for_transformers(model, tmp_path / "hub")
    loaded = Wav2Vec2Model.from_pretrained(tmp_path / "hub").eval()
    audio = torch.randn(2, 4000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, theirs = model.hidden(audio), loaded(audio).last_hidden_state
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert not list((tmp_path / "hub").glob("*.bin"))


def test_a_copied_recording_has_the_stored_answers(model, asked_by_mice, tmp_path):
    from schemas import prediction, training, windows
    from workers.export import export_recording

    trained = (training.RegisteredModel & {"registered_model": "small"}).fetch1("training")
    mine = asked_by_mice(prediction.PredictionTask, "prediction_task", "prediction")
    asked = (mine * windows.WindowsTask & {"training": trained}).to_dicts()[0]
    copy = export_recording(asked["session"], tmp_path / "copy.nwb", model="small")
    stored = {
        row["channel"]: row["predicted"]
        for row in (prediction.Prediction.ChannelPrediction & asked).to_dicts()
    }
    with h5py.File(copy) as file:
        table = file["general/extracellular_ephys/electrodes"]
        regions = dict(zip(table["id"][()], table["predicted_region"].asstr()[()], strict=True))
        told = table["predicted_region"].attrs["description"]
    assert {int(k): v for k, v in regions.items() if int(k) in stored} == stored
    assert "model small" in told
    assert "SYNTHETIC RECORDING" in told
    with pytest.raises(LookupError, match="is there already"):
        export_recording(asked["session"], copy)
    with pytest.raises(LookupError, match="no registered file"):
        export_recording("nothing.nwb", tmp_path / "x.nwb")
