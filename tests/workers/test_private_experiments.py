"""The twins of the experiments whose recordings are private, and of species: small, but whole."""

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from workers.study.conditions import condition_of
from workers.study.effort import GPU_FLOPS, GPU_STEP_S, Counted, spell_effort
from workers.study.experiment import read_experiment, simulate
from workers.study.spec import Conditions, StudyError, StudySpec

STUDIES = Path(__file__).parents[2] / "studies"
SMALL = {"channels": 8, "duration_s": 15.0, "units": 2, "artifacts": 0}


def small_twin(name, only, folder, labs, models=("band power",)):
    """One variant of a twin with small laboratories, run; its member."""
    from workers.study.run import run_study

    whole = read_experiment(STUDIES / f"lfp2vec_{name}.toml", twin=True, only=[only])
    labs = {lab: whole.labs[lab].model_copy(update=SMALL | change) for lab, change in labs.items()}
    (member,) = whole.members
    few = {"linear_probes": (), "silhouettes": ()}
    few["controls"] = tuple(c for c in member.spec.analyses.controls if c == "abnormality")
    change = {
        "study": member.spec.study.model_copy(update={"name": f"small-{member.spec.study.name}"}),
        "model": tuple(model for model in member.spec.model if model.name in models),
        "analyses": member.spec.analyses.model_copy(update=few),
        "windows": member.spec.windows.model_copy(update={"max_windows": 3}),
    }
    spec = member.spec.model_copy(update=change)
    simulate(whole.model_copy(update={"labs": labs}), folder, lambda text: None)
    done = run_study(spec, base=folder)
    assert not done.failed, done.failed
    return member.model_copy(update={"spec": spec})


@pytest.fixture(scope="module")
def disease(tables, tmp_path_factory):
    labs = {"disease": {"subjects": 4, "diseased": 2}}
    return small_twin("disease", "strict", tmp_path_factory.mktemp("ill"), labs).spec


@pytest.fixture(scope="module")
def comb(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comb")
    labs = {"sinaps": {"subjects": 4, "sessions": 1, "shanks": 3, "channels": 6}}
    return small_twin("within_sinaps", "published", folder, labs).spec, folder


def test_a_session_has_one_condition_on_the_channels_whose_region_is_known(disease, tables):
    rows = tables.recording.LabelSet & {"evidence": "subject"}
    assert len(rows) == 4
    conditions = []
    for row in rows.to_dicts():
        entries = (tables.recording.LabelEntry & {"label_set": row["label_set"]}).to_dicts()
        (condition,) = {entry["cleaned"] for entry in entries}
        whose = tables.session.Session * tables.session.Subject & {"session": row["session"]}
        genotype = whose.fetch1("genotype")
        assert condition == ("diseased" if genotype.startswith("App") else "control")
        conditions.append(condition)
        there = {(entry["probe"], entry["channel"]) for entry in entries}
        places = tables.recording.LabelSet & {"session": row["session"]} & "evidence <> 'subject'"
        texts = (tables.recording.LabelEntry & places.proj()).to_dicts()
        named = {(t["probe"], t["channel"]) for t in texts
                 if t["cleaned"] in ("VISp", "CA1", "CA3", "DG")}  # fmt: skip
        assert there == named != set()
    assert sorted(conditions) == ["control", "control", "diseased", "diseased"]


def test_disease_is_scored_by_session_and_by_region_with_the_animals_permuted(disease, tables):
    scores = tables.scores(disease.study.name)
    pooled = scores[scores["fold"].isna()]
    row = pooled[(pooled["level"] == "session") & (pooled["metric"] == "balanced_accuracy")
                 & (pooled["table"] == "Evaluation")].iloc[0]  # fmt: skip
    assert (row["n"], row["chance"], row["n_groups"]) == (4, 0.5, 4)
    found = pooled[pooled["target"].fillna("").str.startswith("abnormality")]
    p = found[(found["metric"] == "abnormality_p") & (found["detail"] == "all regions")].iloc[0]
    assert p["chance"] == pytest.approx(1 / 6)
    assert 6 * p["value"] == pytest.approx(round(6 * p["value"]))
    single = found[found["metric"] == "abnormality_session"]
    share = single[single["detail"].str.startswith("all regions; diseased")]["value"].mean()
    rows = found[(found["metric"] == "abnormality") & (found["detail"] == "all regions")]
    assert rows["value"].iloc[0] == pytest.approx(share)
    assert {d.split(";")[0] for d in single["detail"]} >= {"all regions", "cortex"}
    window = pooled[(pooled["metric"] == "subject_accuracy") & (pooled["level"] == "window")]
    whole = pooled[(pooled["metric"] == "accuracy") & (pooled["level"] == "window")]
    assert np.average(window["value"], weights=window["n"]) == pytest.approx(
        whole[whole["table"] == "Evaluation"]["value"].iloc[0]
    )


def test_the_report_of_disease_draws_sessions_regions_and_cards(disease, tmp_path, monkeypatch):
    from workers.study.report import write_report

    monkeypatch.setattr("workers.study.report.insertion_reports", lambda spec: [])
    text = write_report(disease, tmp_path / "ill.html").read_text()
    for said in ("Abnormality by region", "smallest p", "6 of 6 ways", "Model cards",
                 "Trained on simulated recordings", "session level", ">Subjects<"):  # fmt: skip
        assert said in text, said


def test_a_probe_of_several_shanks_is_cut_answered_and_told_apart_by_shank(comb, tables):
    from schemas._analyse import where
    from schemas._roles import member_windows
    from workers.study.plan import wanted

    spec, _ = comb
    (split,) = [row["member"] for row in wanted(spec.study.name, "split_task")]
    names = [row["member"] for row in wanted(spec.study.name, "windows_task")]
    assert len(names) == 4
    windowset = member_windows(split, names[0])
    assert sorted(windowset.channels["shank"].unique()) == [0, 1, 2]
    assert windowset.lfp.shape[2] == 18
    at = where(windowset, np.zeros(18, int), np.arange(18))
    assert at["shank"].nunique() == 3
    assert at["insertion"].nunique() == 1


@pytest.fixture(scope="module")
def pretrained(comb, tables):
    """The comb's study again, self-supervised once on a mouse that no fold has."""
    from workers.study.run import run_study

    spec, folder = comb
    values = spec.to_json()
    values["study"]["name"] = "twin-set-aside"
    values["split"] |= {"pretrain": "disjoint", "pretrain_subjects": 1}
    values["model"] = [{
        "name": "SimCLR", "family": "simclr", "params": {"size": "tiny"},
        "stages": [{"objective": "ssl", "epochs": 1, "select": "loss"},
                   {"objective": "finetune", "epochs": 1}],
    }]  # fmt: skip
    made = StudySpec.model_validate(values)
    done = run_study(made, base=folder)
    assert not done.failed, done.failed
    return made


def test_pretraining_on_a_subject_set_aside_is_done_once_and_heard_by_every_fold(
    pretrained, comb, tables
):
    from schemas._registered import training_members, what_was_heard
    from workers.study.cost import plan_study
    from workers.study.heard import shown_names
    from workers.study.models import final_trainings
    from workers.study.plan import wanted

    (split,) = [row["member"] for row in wanted(pretrained.study.name, "split_task")]
    tasks = tables.training.TrainingTask * tables.training.FitParamSet & {"split": split}
    (once,) = (tasks & {"objective": "ssl"}).to_arrays("training")
    finals = final_trainings(pretrained)
    assert len(finals) == 3
    parts = tables.dataset.SplitAssignment & {"split": split}
    aside = set((parts & {"role": "pretrain"}).to_arrays("windows"))
    assert len(aside) == 1
    assert {row["windows"] for row in training_members(once)} == aside
    for final in finals:
        parents = (tables.training.TrainingParent & {"training": final["training"]}).to_arrays(
            "parent"
        )
        assert list(parents) == [once]
        tested = (parts & {"fold": final["fold"], "role": "test"}).to_arrays("windows")
        name = (tables.windows.WindowsTask & {"windows": tested[0]}).fetch1("session")
        assert what_was_heard(final["training"], name) == "nothing"
    assert shown_names(pretrained) == {"SimCLR": "SimCLR"}
    plan = plan_study(pretrained, base=comb[1])
    assert plan["jobs"]["Training"] == (0, 4)


def test_a_row_is_named_transductive_where_self_supervision_heard_the_test_subject(comb, tables):
    from workers.study.compare import compare
    from workers.study.experiment import Member
    from workers.study.heard import shown_names
    from workers.study.run import run_study

    spec, folder = comb
    values = spec.to_json()
    values["study"]["name"] = "twin-heard"
    values["split"]["pretrain"] = "all"
    asked = StudySpec.model_validate(values)
    assert not run_study(asked, base=folder).failed
    whole = read_experiment(STUDIES / "lfp2vec_within_sinaps.toml", only=["published"])
    known = asked.model_copy(update={"model": whole.specs[0].model})
    names = shown_names(known)
    assert names["lfp2vec"] == "lfp2vec (transductive)"
    assert names["band power"] == "band power"  # it hears nobody without labels
    member = Member(spec=known, protocol="published", arm="SiNAPS")
    said = set(compare([member], whole.published)["model"])
    assert {"lfp2vec (transductive)", "spectrogram MLP", "band power"} <= said
    assert set(shown_names(spec).values()) == {"band power"}


def test_one_species_is_trained_on_and_the_other_tested_in_one_scheme(tables, tmp_path):
    labs = {
        "mouse": {"subjects": 3},
        "macaque": {"subjects": 2, "channels": 4},
        "monkey": {"subjects": 1, "sessions": 1, "channels": 4},
    }
    spec = small_twin("species", "mouse-macaque", tmp_path, labs).spec
    from workers.study.plan import wanted

    (split,) = [row["member"] for row in wanted(spec.study.name, "split_task")]
    parts = tables.dataset.SplitAssignment * tables.windows.WindowsTask.proj("session")
    whose = parts * tables.session.Session * tables.session.Subject & {"split": split}
    species = {}
    for row in whose.to_dicts():
        species.setdefault(row["role"], set()).add(row["species"])
    assert species["test"] == {"Macaca mulatta"}
    assert species["train"] == species["pretrain"] == {"Mus musculus"}
    scores = tables.scores(spec.study.name)
    recall = scores[(scores["metric"] == "recall") & (scores["level"] == "window")]
    assert set(recall["detail"]) == {"primary motor", "premotor", "basal ganglia"}
    assert not (tables.dataset.SplitFold & {"split": split}).fetch1("transductive")


def test_who_is_both_diseased_and_a_control_is_refused_and_who_is_neither_has_no_label():
    about = {"genotype": "App/Psen1", "subject_id": "NN_3", "session_id": "x"}
    asked = Conditions(diseased=("App*",), control=("NN_*",))
    with pytest.raises(StudyError, match="diseased by its genotype App/Psen1 and a control by its"):
        condition_of(about, asked)
    assert condition_of(about | {"subject_id": "M3"}, asked) == ("diseased", "genotype App/Psen1")
    assert condition_of(about | {"subject_id": None, "genotype": "wt"}, asked) is None


def test_a_control_that_could_not_fail_is_refused():
    spec = read_experiment(STUDIES / "lfp2vec_disease.toml").specs[0].to_json()
    spec["analyses"]["controls"] = ["permuted_labels"]
    with pytest.raises(ValidationError, match="permutes animals"):
        StudySpec.model_validate(spec)
    spec["analyses"]["controls"] = ["abnormality"]
    spec["data"]["conditions"] = None
    with pytest.raises(ValidationError, match="go together"):
        StudySpec.model_validate(spec)


def test_plan_tells_gpu_hours_of_both_ways_to_pretrain():
    from pipeline.models.cost import TRAINING, forward_flop

    spec = read_experiment(STUDIES / "lfp2vec_within_allen.toml", only=["strict"]).specs[0]
    model = spec.model[0].model_copy(update={"seeds": (0,)})
    spec = spec.model_copy(update={"model": (model,)})
    signals = [Counted(100, 400.0)] * 7  # 100 windows each, of which 36 per channel are heard
    said = spell_effort(spec, signals, 7, 7)[-1]
    flop = forward_flop(model.values, 3.0) * TRAINING

    def hours(subjects):
        windows = subjects * 100 * 36 * 50
        return windows * (flop / GPU_FLOPS + GPU_STEP_S) / 3600

    assert f"{7 * hours(4):,.3g} GPU hours for each of 7 folds" in said
    assert f"{hours(2):,.3g} once on 2 of 7 subjects" in said
    assert said.endswith("the former is asked for")
    aside = spec.split.model_copy(update={"pretrain": "disjoint", "pretrain_subjects": 3})
    said = spell_effort(spec.model_copy(update={"split": aside}), signals, 4, 7)
    assert f"{hours(3):,.3g} once on 3 of 7 subjects" in said[-1]
    assert said[-1].endswith("the latter is asked for")
