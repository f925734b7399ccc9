"""`locate` answers at the risk that the study of its model asked, and says what became of it."""

import pytest

TARGET = 0.6
SMALL = {"layout": "generic", "channels": 10, "duration_s": 12.0}


@pytest.fixture(scope="module")
def shy(tables, tmp_path_factory):
    """A registered model of a study that asked for a risk; five mice, one checks in each fold."""
    from pipeline.synthetic import write_lab
    from workers.register import register_study_model
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    folder = tmp_path_factory.mktemp("shy_mice")
    write_lab(folder / "lab", subjects=5, seed=33, **SMALL)
    spec = StudySpec.model_validate({
        "study": {"name": "shy_mice", "register": "shy"},
        "data": {"recordings": ["lab/**/*.nwb"], "labels": "lfp2vec5"},
        "lfp": {"lowpass_hz": 100.0, "target_rate_hz": 250.0},
        "windows": {"length_s": 2.0},
        "split": {"by": "subject", "folds": "leave-one-out", "validation": 1},
        "model": [{"name": "band power", "family": "band_power", "params": {"balanced": True}}],
        "analyses": {"evaluation": {"draws": 50}, "postprocess": {"risk": {"target": TARGET}}},
    })  # fmt: skip
    assert not run_study(spec, base=folder).failed
    register_study_model("shy_mice")
    return spec


@pytest.fixture(scope="module")
def found(shy, tmp_path_factory):
    from pipeline.synthetic import write_lab
    from workers.locate import locate

    folder = tmp_path_factory.mktemp("new_mouse")
    fresh = write_lab(folder, subjects=1, seed=34, **SMALL)[-1]
    return locate(str(fresh), model="shy", out=folder)


def test_channels_below_the_learned_confidence_are_unknown(found, tables):
    from schemas import prediction

    (name,) = found.predictions.values()
    row = (prediction.Prediction & {"prediction": name}).fetch1()
    chosen = row["learned"]["abstain"]
    assert (chosen["asked"]["target"], chosen["n_subjects"]) == (TARGET, 1)
    said = (prediction.Prediction.ChannelPrediction & {"prediction": name}).to_dicts()
    least = float("inf") if chosen["least"] is None else chosen["least"]
    assert sum(one["confidence"] is not None for one in said) > 5
    for one in said:
        if one["confidence"] is None:  # a bad channel
            continue
        assert (one["predicted"] != "unknown") == (one["confidence"] >= least)


def test_locate_says_what_was_asked_chosen_and_found_on_held_out_mice(found, tables):
    assert {"unknown"} < set(found.channels["region_pred"])
    (text,) = [note for note in found.notes if note.startswith("At most 60.0% wrong was asked")]
    assert "of 1 validation subject" in text
    scores = tables.scores("shy_mice")
    pooled = scores[scores["fold"].isna() & (scores["detail"] == f"asked {TARGET:g}")]
    pooled = pooled.set_index("metric")
    assert f"on 5 held-out subjects {pooled.loc['coverage', 'value']:.1%}" in text
    low, high = pooled.loc["coverage", ["low", "high"]]
    assert f"(95 % {low:.1%} to {high:.1%})" in text
