"""What `fieldbase demo` does, with a smaller laboratory and without a network to train."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

import workers.choose
import workers.demo
from pipeline.synthetic import LabParams
from workers.cli.use import tell_demo
from workers.demo import LAB, run_demo
from workers.locate import RECORDING_WATERMARK, locate
from workers.study.progress import count_epochs
from workers.study.spec import StudySpec

SMALL = LabParams(layout="allen", subjects=4, channels=12, duration_s=15.0, seed=3)
STUDY = """
[study]
name = "demo_small"
register = "demo_small"
[data]
recordings = ["recordings/*.nwb"]
labels = "lfp2vec5"
[windows]
max_windows = 4
[split]
by = "subject"
folds = "leave-one-out"
validation = 0
[[model]]
name = "band power"
family = "band_power"
params = { balanced = true }
[analyses]
evaluation = { draws = 20 }
"""


@pytest.fixture(scope="module")
def made(tables, tmp_path_factory):
    """A small demo, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("demo")
    (folder / "demo.toml").write_text(STUDY)
    told = []
    return run_demo(folder, device="cpu", say=told.append, lab=SMALL), told


@pytest.fixture
def only_its_model(monkeypatch):
    """Models that other tests registered are not there."""
    seen = workers.choose.registered_models
    mine = lambda: [row for row in seen() if row["registered_model"] == "demo_small"]  # noqa: E731
    monkeypatch.setattr(workers.choose, "registered_models", mine)


def test_the_mouse_that_is_located_was_never_in_the_study(made, tables):
    demo, _ = made
    assert len(list((demo.study.parent / "recordings").glob("*_ecephys.nwb"))) == 3
    assert not (demo.study.parent / "recordings.part").exists()
    heard = tables.windows.WindowsTask & {"session": demo.located.session}
    members = tables.dataset.DatasetMember * tables.dataset.Dataset & heard.proj()
    assert len(members & {"dataset_name": "demo_small"}) == 0
    assert demo.located.model.card["study"] == "demo_small"
    assert RECORDING_WATERMARK in demo.located.watermark


def test_the_agreement_counts_named_channels_with_a_simulated_region(made):
    demo, _ = made
    table = demo.located.channels
    known = [isinstance(region, str) for region in table["region_file"]]
    named = [k and p != "unknown" for k, p in zip(known, table["region_pred"], strict=True)]
    same = np.array(named) & (table["region_pred"] == table["region_file"]).to_numpy(bool)
    assert demo.agreement == (same.sum(), sum(named), sum(known))


def test_a_second_run_makes_nothing_again(made, tables):
    demo, told = made
    files = {path: path.stat().st_mtime_ns for path in demo.study.parent.rglob("*.nwb")}
    counted = [tables.training.Training, tables.prediction.Prediction, tables.windows.Windows]
    before = [len(table()) for table in counted]
    again = []
    second = run_demo(demo.study.parent, device="cpu", say=again.append, lab=SMALL)
    assert [len(table()) for table in counted] == before
    assert {path: path.stat().st_mtime_ns for path in demo.study.parent.rglob("*.nwb")} == files
    assert any("to make" in text for text in told)
    assert not any("to make" in text or "simulating" in text for text in again)
    assert second.agreement == demo.agreement


def test_after_the_demo_locate_finds_its_model_by_itself(made, only_its_model, tmp_path):
    demo, _ = made
    told = []
    found = locate(str(demo.recording), out=tmp_path, say=told.append)
    assert found.model.name == "demo_small"
    assert any("model demo_small fits" in text for text in told)
    assert found.channels["region_pred"].tolist() == demo.located.channels["region_pred"].tolist()


def test_what_is_printed_names_files_that_are_there_and_says_synthetic(made):
    demo, _ = made
    lines = tell_demo(demo)
    for line in lines:
        for word in line.split():
            assert Path(word).exists() or not word.startswith("/")
    assert any("synthetic" in line for line in lines)
    assert any(line.strip().startswith("fieldbase locate /") for line in lines)


def test_the_shipped_study_holds_its_subjects_out_and_names_its_model():
    spec = StudySpec.model_validate(
        tomllib.loads((Path(workers.demo.__file__).parent / "demo.toml").read_text())
    )
    assert (spec.split.by, spec.split.folds) == ("subject", "leave-one-out")
    assert spec.study.registered == spec.study.name == "demo"
    families = {model.family for model in spec.model}
    assert families == {"lfp2vec", "band_power", "position_only", "amplitude_only"}
    assert LAB.subjects == 5


def test_the_time_left_is_told_over_all_trainings():
    class Record:
        seconds = 2.0

    steps = []
    on_epoch = count_epochs(5, steps.append)
    for _ in range(6):  # one more than was counted, as a training that started over
        on_epoch(Record())
    assert [step.seconds_left for step in steps] == [8.0, 6.0, 4.0, 2.0, 0.0, 0.0]
    assert (steps[-1].done, steps[-1].total) == (6, 6)
