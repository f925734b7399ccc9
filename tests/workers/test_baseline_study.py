"""Published baselines go through the tables like any model, in one frozen or fine-tuned setting."""

import numpy as np
import pytest

STEP = {"epochs": 1, "max_steps_per_epoch": 2, "lr": 1e-3, "batch_size": 16, "select": "last"}
SSL, HEAD = {"objective": "ssl", **STEP}, {"objective": "frozen", **STEP}
SOLVED = {"objective": "none", "epochs": 0}
TINY = {"size": "tiny"}
STUDY = {
    "study": {"name": "baselines_small"},
    "data": {"recordings": ["lab/**/*.nwb"], "labels": "lfp2vec5"},
    "lfp": {"lowpass_hz": 100.0, "target_rate_hz": 250.0},
    "windows": {"length_s": 2.0},
    "split": {"by": "subject", "folds": "leave-one-out", "validation": 0},
    "model": [
        {"name": "mlp", "family": "spectrogram_mlp", "params": TINY,
         "stages": [{"objective": "finetune", **STEP}]},
        {"name": "simclr head", "family": "simclr", "params": TINY, "stages": [SSL, HEAD]},
        {"name": "brainbert", "family": "brainbert", "params": TINY, "stages": [SSL, SOLVED]},
    ],
    "analyses": {"evaluation": {"draws": 50}},
}  # fmt: skip


@pytest.fixture(scope="module")
def done(tables, tmp_path_factory):
    from pipeline.synthetic import write_lab
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    folder = tmp_path_factory.mktemp("baselines")
    write_lab(folder / "lab", subjects=2, seed=4, layout="generic", channels=8, duration_s=12.0)
    return run_study(StudySpec.model_validate(STUDY), base=folder)


def test_every_baseline_is_trained_embeds_and_is_scored(done, tables):
    assert done.failed == {}
    mine = tables.dataset.StudyMember & {"study": "baselines_small"}
    asked = (mine & "member_table = 'evaluation_task'").to_arrays("member")
    rows = tables.analysis.Evaluation.Score & [{"evaluation": name} for name in asked]
    scores = (rows & "metric = 'balanced_accuracy'" & "value is not null").to_dicts()
    assert len({row["evaluation"] for row in scores}) == len(asked) > 0


def test_a_frozen_stage_keeps_the_weights_of_its_parent(done, tables):
    from pipeline.training.checkpoint import load_checkpoint
    from schemas._train import checkpoint_folder

    joined = tables.training.TrainingParent * tables.training.TrainingTask
    joined = joined * tables.training.FitParamSet * tables.training.ModelParamSet.proj("family")
    mine = tables.dataset.StudyMember & {"study": "baselines_small"}
    asked = (mine & "member_table = 'training_task'").to_arrays("member")
    joined, found = joined & [{"training": name} for name in asked], {}
    for row in (joined & "family in ('simclr', 'brainbert')").to_dicts():
        child, parent = (load_checkpoint(checkpoint_folder(row[k])) for k in ("training", "parent"))
        before, after = parent.state_dict(), child.state_dict()
        same = {n for n in before if np.array_equal(before[n], after[n])}
        assert same == set(before)
        found[row["family"], row["objective"]] = set(after) - same
    assert set(found) == {("simclr", "frozen"), ("brainbert", "none")}
    assert all(name.startswith("head.") for added in found.values() for name in added)
