"""A recording that sounds like nothing the model learned is answered "unknown", and it is said."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeline.analyses.domain import DomainCheck
from pipeline.analyses.one_answer import OneAnswer
from pipeline.analyses.postprocess import PostprocessParams
from pipeline.synthetic import write_lab
from schemas._doubt import Doubts, why_not_new
from schemas._infer import channel_rows
from workers.choose import LocateError, find_model
from workers.locate import KNOWN_KEPT, locate
from workers.study.insertions import insertion_reports, join_doubts
from workers.study.models import final_trainings
from workers.study.plan import enter_study, remember
from workers.study.run import run_study
from workers.study.spec import StudySpec

SMALL = {"channels": 12, "duration_s": 12.0}
STUDY = {
    "study": {"name": "without_dg"},
    "data": {"recordings": ["lab/**/*.nwb"], "labels": "Beryl", "regions": ["CA1", "LP", "VISp"]},
    "windows": {"length_s": 2.0},
    "split": {"by": "subject", "folds": "leave-one-out", "validation": 0},
    "model": [{"name": "band power", "family": "band_power", "params": {"balanced": True}}],
    "analyses": {"evaluate": False},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five mice."""
    made = tmp_path_factory.mktemp("without_dg")
    write_lab(made / "lab", layout="generic", subjects=5, seed=21, **SMALL)
    return made


@pytest.fixture(scope="module")
def trained(tables, folder):
    """A training on four of five mice, whose dentate gyrus and CA3 carry no label."""
    spec = StudySpec.model_validate(STUDY)
    assert not run_study(spec, base=folder).failed
    return final_trainings(spec)[0]["training"]


def test_what_a_region_sounds_like_is_kept_with_the_training(trained, tables):
    learned = (tables.training.Training & {"training": trained}).fetch1("domain")["novelty"]
    assert learned["classes"] == ["CA1", "LP", "VISp"]
    assert learned["n_subjects"] == 4
    assert why_not_new(trained) is None


def test_the_row_of_a_channel_that_is_new_says_unknown_and_why():
    n = 6
    said = SimpleNamespace(
        outputs=np.tile([0.9, 0.1], (n, 1)), window=np.zeros(n, int), channel=np.arange(n)
    )
    table = pd.DataFrame({"probe": "A", "channel": np.arange(n), "depth_um": 40.0 * np.arange(n)})
    recording = SimpleNamespace(channels=table, session="s")
    doubts = Doubts(novelty=np.array([0.1, 0.5, 0.95, 0.97, 1.0, np.nan]))
    for params, refused in (
        (PostprocessParams(known_kept=KNOWN_KEPT), [False, False, False, True, True, False]),
        (PostprocessParams(), [False] * n),
    ):
        rows = channel_rows(said, ["CA1", "LP"], recording, params, doubts)
        assert [row["predicted"] == "unknown" for row in rows] == refused
        assert ["sounds less like" in (row["refused"] or "") for row in rows] == refused
        assert {row["best"] for row in rows} == {"CA1"}


@pytest.fixture(scope="module")
def cut(tables, folder):
    """Reports of a study of the same mice that is cut in time, by the share of channels kept."""
    made = {}
    for kept in (1.0, 0.6):
        values = STUDY | {
            "study": {"name": f"cut_{kept:g}"},
            "split": {"by": "time", "folds": "k-fold", "k": 2, "validation": 0, "gap_s": 0.0},
            "analyses": {"evaluate": False, "postprocess": {"known_kept": kept}},
        }
        spec = StudySpec.model_validate(values)
        assert not run_study(spec, base=folder).failed
        made[kept] = insertion_reports(spec)
    return made


def new_in(reports):
    """How many channels are said to sound like no region of training."""
    reasons = pd.concat([one.channels["reason"] for one in reports]).dropna()
    return int(reasons.str.startswith("sounds less like any region of training").sum())


def test_a_study_that_is_cut_in_time_asks_for_new_regions_in_its_pictures_too(cut):
    assert new_in(cut[0.6]) > 0
    assert not any("not asked" in text for one in cut[0.6] for text in one.notes)


def test_a_picture_says_where_nobody_asked_for_new_regions(cut):
    assert cut[1.0]
    assert new_in(cut[1.0]) == 0
    for one in cut[1.0]:
        assert sum(text.startswith("not asked: whether") for text in one.notes) == 1


def test_folds_that_doubt_one_channel_are_put_together_by_their_mean():
    nan = np.nan
    parts = [Doubts(novelty=np.array([0.2, nan, nan])), Doubts(novelty=np.array([0.6, 0.4, nan]))]
    np.testing.assert_allclose(join_doubts(parts).novelty, [0.4, 0.4, nan])
    assert join_doubts([Doubts(), Doubts()]).novelty is None


def test_a_model_of_two_mice_says_that_it_cannot_say_no(mice, model, fresh, tmp_path):
    assert why_not_new(find_model("small").training).startswith("telling unknown regions needs")
    found = locate(str(fresh), model="small", out=tmp_path)
    assert any("takes a region it never learned for one it knows" in text for text in found.notes)


def one(share, *, warned):
    return OneAnswer("VISp", share, 0.9, 1000, warned)


def test_one_region_for_everything_is_warned_about_even_where_nothing_was_compared():
    (text,) = Doubts(one=one(0.97, warned=True)).to_json()["warnings"]
    assert text.startswith("97% of 1,000 windows of channels are answered VISp")
    assert Doubts(one=one(0.5, warned=False)).to_json() is None


@pytest.mark.parametrize(("n_new", "warned"), [(5, False), (6, True)])
def test_more_than_half_of_the_channels_being_new_is_warned_about(n_new, warned):
    nan = np.full(10, np.nan)
    near = DomainCheck(1.0, 0.5, ["reference: none here, median in training"], nan, nan)
    novelty = np.array([0.99] * n_new + [0.5] * (10 - n_new) + [np.nan])
    row = Doubts(near, novelty, one(0.4, warned=False)).to_json()
    assert (row["n_new"], row["n_asked"]) == (n_new, 10)
    assert len(row["warnings"]) == 1 + warned
    assert near.warnings == ["reference: none here, median in training"]


def test_a_model_card_counts_the_windows_of_its_side_of_the_cut(cut, tables):
    from schemas._model_card import describe_training
    from schemas._roles import member_windows, role_masks

    spec = StudySpec.model_validate((tables.dataset.Study & {"study": "cut_1"}).fetch1("toml"))
    for final in final_trainings(spec):
        where = (tables.training.TrainingTask & {"training": final["training"]}).fetch1()
        members = tables.dataset.SplitAssignment & {"split": where["split"]}
        counted = {}
        for name in set(members.to_arrays("windows")):
            windowset = member_windows(where["split"], name)
            for role, mask in role_masks(where["split"], where["fold"], windowset).items():
                counted[role] = counted.get(role, 0) + int(mask.sum())
        roles = describe_training(final["training"])["roles"]
        assert {role: what["windows"] for role, what in roles.items()} == counted
        assert counted["train"] + counted["test"] <= 30  # six windows of each of five mice


def test_a_training_of_two_studies_answers_as_the_study_that_is_named_does(cut, tables):
    spec = StudySpec.model_validate((tables.dataset.Study & {"study": "cut_1"}).fetch1("toml"))
    trained = final_trainings(spec)[0]["training"]
    asked = tables.prediction.PredictionTask & {"training": trained}
    another = spec.model_copy(update={"study": spec.study.model_copy(update={"name": "another"})})
    enter_study(another)
    params = tables.prediction.PostprocessParamSet
    shy = params.register(None, PostprocessParams(known_kept=0.7))
    content = {"training": trained, "windows": asked.to_arrays("windows")[0], **shy}
    task = tables.prediction.PredictionTask.ensure(**content)["prediction"]
    remember("another", "prediction_task", task, "band power")
    begin = trained[:12]
    with pytest.raises(LocateError, match=f"ask for one, --model {begin}@another, {begin}@cut_1"):
        find_model(begin)
    for study, kept in (("cut_1", 1.0), ("another", 0.7)):
        assert params.get(find_model(f"{begin}@{study}").card).known_kept == kept
    with pytest.raises(LocateError, match="no study 'other' has answers of training"):
        find_model(f"{begin}@other")


def test_what_locate_asks_of_a_training_is_no_studys_way(trained, folder, tmp_path):
    way = find_model(trained).card["postprocess_params"]
    file = next((folder / "lab").rglob("*.nwb"))
    locate(str(file), model=trained, out=tmp_path)
    assert find_model(trained).card["postprocess_params"] == way
