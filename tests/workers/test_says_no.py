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
from workers.choose import find_model
from workers.locate import KNOWN_KEPT, locate
from workers.study.models import final_trainings
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
def trained(tables, tmp_path_factory):
    """A training on four of five mice, whose dentate gyrus and CA3 carry no label."""
    folder = tmp_path_factory.mktemp("without_dg")
    write_lab(folder / "lab", layout="generic", subjects=5, seed=21, **SMALL)
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
