"""A small laboratory goes through every table, and only through what was asked for."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from table_list import computed_of, parts_of, tables_of  # noqa: E402

MADE_BY_OTHER_VERBS = {"JobError", "RegisteredModel", "LabelScoreTask", "LabelScore"}
MADE_BY_CLEAN_DATA = {"Rejected"}


def test_nothing_of_the_study_failed(lab):
    for name, outcome in lab.outcomes.items():
        assert outcome.failed == {}, name


def test_every_table_has_rows(lab, tables):
    empty = {
        table.__name__
        for master in tables_of(tables)
        for table in (master, *parts_of(master))
        if not len(table()) and not table.__qualname__.startswith("LabelScore")
    }
    assert empty <= MADE_BY_OTHER_VERBS


def test_a_study_run_twice_makes_nothing(lab, tables):
    from workers.study.run import run_study

    before = {table.__qualname__: len(table()) for table in tables_of(tables)}
    for spec in lab.specs.values():
        again = run_study(spec, base=lab.folder)
        assert set(again.made.values()) <= {0}
        assert again.failed == {}
    assert before == {table.__qualname__: len(table()) for table in tables_of(tables)}


def test_populate_makes_nothing_that_nobody_asked_for(lab, tables):
    """Recordings, trainings and parameter sets are there; their cross product is not."""
    for table in computed_of(tables):
        if table.__name__ != "Ingestion":
            assert table.populate()["success_count"] == 0, table.__name__


def test_a_task_alone_is_enough_to_populate_by_hand(lab, tables):
    from schemas import embedding, training, windows

    done = embedding.EmbeddingTask & (training.Training & "n_epochs = 0") & windows.WindowsLfp
    inputs = done.proj("training", "windows").to_dicts(limit=1)[0]
    params = embedding.EmbedParamSet.register(None, _embed_params(layer=0))
    asked = embedding.EmbeddingTask.ensure(
        training=inputs["training"], windows=inputs["windows"], **params
    )
    made = embedding.Embedding.populate(asked)
    assert made["success_count"] == 1
    assert (embedding.Embedding & asked).fetch1("vectors").load().dtype == np.float32


def _embed_params(**values):
    from pipeline.models import EmbedParams

    return EmbedParams(**values)


def test_a_chain_of_stages_is_joined_by_parents(lab, tables):
    from schemas import training

    chain = training.TrainingParent * training.TrainingTask * training.FitParamSet
    assert set(chain.to_arrays("objective")) == {"finetune"}
    parents = training.TrainingTask.proj("fit_params") * training.FitParamSet
    first = parents & [{"training": name} for name in chain.to_arrays("parent")]
    assert set(first.to_arrays("objective")) == {"ssl"}


def test_a_child_waits_for_its_parent(lab, tables):
    from schemas import training

    row = (training.TrainingTask * training.TrainingParent).to_dicts(limit=1)[0]
    content = {k: row[k] for k in ("split", "fold", "model", "fit_params")}
    parent = training.TrainingTask.ensure(**content, seed=900)
    child = training.TrainingTask.ensure(**content, seed=901, parents={"init": parent["training"]})
    try:
        assert not len(training.Training().key_source & child)
        assert len(training.Training().key_source & parent)
    finally:
        (training.TrainingTask & [child]).delete()
        (training.TrainingTask & [parent]).delete()


def test_a_child_starts_from_its_parents_weights(lab, tables):
    """Two chains that differ in the seed of pretraining alone end with different weights."""
    from schemas import training

    row = (training.TrainingTask * training.TrainingParent).to_dicts(limit=1)[0]
    child = {k: row[k] for k in ("split", "fold", "model", "fit_params", "seed")}
    start = (training.TrainingTask & {"training": row["parent"]}).fetch1()
    first = {k: start[k] for k in ("split", "fold", "model", "fit_params")}
    other = training.TrainingTask.ensure(**first, seed=77)
    last = training.TrainingTask.ensure(**child, parents={"init": other["training"]})
    training.Training.populate([other, last])
    training.Training.populate(last)
    digests = (training.Training & [last, {"training": row["training"]}]).to_arrays(
        "weights_digest"
    )
    assert len(set(digests)) == 2


def test_the_evaluated_fold_joins_with_the_trained_one_without_losing_rows(lab, tables):
    from schemas import analysis, dataset, embedding, training

    probes = analysis.LinearProbe * analysis.LinearProbeTask & "eval_fold is not null"
    joined = probes * training.TrainingTask
    assert len(joined) == len(probes) > 0
    assert {"split", "fold", "eval_split", "eval_fold"} <= set(joined.heading.names)
    folds = dataset.SplitFold.proj(eval_split="split", eval_fold="fold", held_out="fold_name")
    assert len(joined * folds) == len(probes)
    vectors = analysis.LinearProbeInput * embedding.EmbeddingTask * training.TrainingTask
    assert len(vectors * analysis.LinearProbeTask.proj(of="training")) == len(
        analysis.LinearProbeInput()
    )


def test_one_model_may_be_evaluated_on_a_fold_it_was_not_trained_on(lab, tables):
    """What a cross-lab study asks; with the fold's own name the join would drop the row."""
    from schemas import analysis, dataset, training

    task = (analysis.LinearProbeTask & "eval_fold = 0" & "training is not null").to_dicts(limit=1)[
        0
    ]
    other = dict(task, eval_fold=1)
    other.pop("linear_probe")
    asked = analysis.LinearProbeTask.ensure(inputs=[], **other)
    try:
        joined = analysis.LinearProbeTask * training.TrainingTask & asked
        assert joined.fetch1("fold", "eval_fold") == (0, 1)
        assert len(joined * dataset.SplitFold.proj(eval_split="split", eval_fold="fold")) == 1
    finally:
        (analysis.LinearProbeTask & asked).delete()


def test_a_fold_is_transductive_only_if_pretraining_heard_the_test_subject(lab, tables):
    from schemas import dataset

    marks = dataset.SplitFold * dataset.SplitTask * dataset.Dataset
    named = {row["dataset_name"]: row["transductive"] for row in marks.to_dicts()}
    assert named["transductive"]
    assert not named["subjects"]


def test_no_subject_is_both_trained_on_and_tested(lab, tables):
    from schemas import dataset, session, windows

    split = _split_of("subjects")
    parts = dataset.SplitAssignment * windows.WindowsTask.proj("session") * session.Session
    for fold in range(2):
        rows = (parts & {"split": split, "fold": fold}).to_pandas().reset_index()
        told = rows.groupby("role")["subject"].agg(set)
        assert told["test"].isdisjoint(told["train"])
        assert told["test"].isdisjoint(told["pretrain"])


def test_a_training_holds_the_digest_of_the_split_it_saw(lab, tables):
    from schemas import dataset, training
    from schemas._split import assignment_digest

    for row in (dataset.Split()).to_dicts():
        key = {"split": row["split"]}
        parts = (dataset.SplitAssignment & key).to_dicts()
        assert assignment_digest(parts) == row["assignment_digest"]
        seen = (training.Training * training.TrainingTask & key).to_arrays("seen_digest")
        assert set(seen) <= {row["assignment_digest"]}


def test_synthetic_recordings_make_synthetic_trainings(lab, tables):
    from schemas import session, training

    joined = training.Training * training.TrainingTask & {"split": _split_of("subjects")}
    assert all(joined.to_arrays("synthetic_training"))
    assert all((session.Session & {"source": "toy"}).to_arrays("synthetic"))
    assert not any((session.Session & "source LIKE 'lab%'").to_arrays("synthetic"))


def test_stored_windows_come_back_as_they_were_cut(lab, tables):
    from schemas import windows
    from schemas._load import load_windows

    row = (windows.Windows & windows.WindowsLfp & windows.Windows.Rejected).to_dicts(limit=1)[0]
    loaded = load_windows(row["windows"])
    assert loaded.lfp.shape[:1] + loaded.lfp.shape[2:] == loaded.valid.shape
    assert len(loaded.channels) == loaded.valid.shape[1]
    assert loaded.valid.sum() == row["n_kept"]
    assert loaded.rate == pytest.approx(row["lfp_rate_out"])
    rejected = (windows.Windows.Rejected & {"windows": row["windows"]}).to_arrays("n_rejected")
    assert loaded.valid.size - loaded.valid.sum() == sum(rejected) > 0


def test_members_of_a_dataset_come_together_as_they_come_alone(lab, tables, monkeypatch):
    import datajoint as dj
    from pandas.testing import assert_frame_equal

    from schemas import dataset
    from schemas._roles import member_windows, members_windows

    said = []
    query = dj.Connection.query

    def heard(self, text, *args, **options):
        said.append(text)
        return query(self, text, *args, **options)

    monkeypatch.setattr(dj.Connection, "query", heard)
    split = _split_of("subjects")
    joined = dataset.DatasetMember * dataset.SplitTask.proj("dataset") & {"split": split}
    names = list(joined.to_arrays("windows"))
    members_windows(split, names)  # headings are read once
    said.clear()
    alone = {name: member_windows(split, name) for name in names}
    each, _ = len(said), said.clear()
    together = members_windows(split, names)
    assert len(names) > 2
    assert len(said) == each / len(names)
    for name, one in alone.items():
        other = together[name]
        assert_frame_equal(one.channels, other.channels)
        assert one.channels["region"].notna().any()
        assert (one.windows, one.session, one.subject) == (name, other.session, other.subject)
        np.testing.assert_array_equal(one.lfp, other.lfp)


def test_labels_made_again_are_read_again(lab, tables):
    """Nothing of a label is kept from one reading to the next."""
    from schemas import anatomy, dataset
    from schemas._roles import member_windows

    split = _split_of("subjects")
    joined = dataset.DatasetMember * dataset.SplitTask.proj("dataset") & {"split": split}
    member = joined.to_dicts(limit=1)[0]
    regions = anatomy.ChannelLabel.Region & {"label_set": member["label_set"]}
    row = (regions & "region is not null").to_dicts(limit=1)[0]
    at = {name: row[name] for name in regions.primary_key}

    def read():
        channels = member_windows(split, member["windows"]).channels
        site = (channels["probe"] == row["probe"]) & (channels["channel"] == row["channel"])
        return channels.loc[site, "region"].tolist()

    assert read() == [row["region"]]
    other = next(name for name in ("CA1", "DG") if name != row["region"])
    anatomy.ChannelLabel.Region.update1({**at, "region": other})
    try:
        assert read() == [other]
    finally:
        anatomy.ChannelLabel.Region.update1({**at, "region": row["region"]})


def test_every_windows_task_has_a_digest_of_session_sources_and_parameters(lab, tables):
    from pipeline.preprocessing import WindowParams
    from schemas import windows
    from workers.study import plan

    spec = lab.specs["subjects"]
    changed = spec.model_copy(update={"windows": WindowParams(length_s=2.0)})
    files = _files(lab, spec)
    first = plan.request_windows(spec, files)
    second = plan.request_windows(changed, files)
    try:
        assert len(first.windows) == len(second.windows) == 3
        assert set(first.windows).isdisjoint(second.windows)
        assert plan.request_windows(changed, files).windows == second.windows
    finally:
        _forget("subjects", second.windows)
        (windows.WindowsTask & [{"windows": name} for name in second.windows]).delete()


def test_a_recording_added_to_a_study_makes_a_new_split_and_no_pooling_with_the_old(lab, tables):
    """Folds of two splits must not meet: one may have trained on what the other holds out."""
    from schemas import dataset
    from workers.study import models, plan

    spec = lab.specs["subjects"].model_copy(update={"model": lab.specs["subjects"].model[:1]})
    spec = spec.model_copy(update={"study": spec.study.model_copy(update={"name": "growing"})})
    plan.enter_study(spec)
    members = plan.request_windows(spec, _files(lab, spec))
    few = plan.Members(dict(list(members.windows.items())[:2]))
    seen = []
    for chosen in (few, members):
        split = plan.request_dataset(spec, chosen)
        dataset.Split.populate({"split": split})
        models.request_trainings(spec, split)
        finals = models.final_trainings(spec)
        assert [final["fold"] for final in finals] == [0, 1]
        kept = plan.wanted("growing", "training_task")
        assert {row["member"] for row in kept} == {final["training"] for final in finals}
        seen += [final["training"] for final in finals]
    assert len(set(seen)) == 4
    (
        dataset.SplitTask & (dataset.SplitTask * dataset.Dataset & {"dataset_name": "growing"})
    ).delete()
    (dataset.Study & {"study": "growing"}).delete()
    (dataset.Dataset & {"dataset_name": "growing"}).delete()


def test_two_models_may_share_a_stage(lab, tables):
    """Probing after pretraining alone, beside the fine-tuned model: one pretraining for two."""
    from workers.study import models, plan

    tiny = lab.specs["transductive"].model[0]
    alone = tiny.model_copy(update={"name": "pretrained only", "stages": tiny.stages[:1]})
    for order in ((tiny, alone), (alone, tiny)):
        spec = lab.specs["transductive"].model_copy(update={"model": order})
        models.request_trainings(spec, plan.wanted("transductive", "split_task")[0]["member"])
        finals = {final["name"]: final["training"] for final in models.final_trainings(spec)}
        assert set(finals) == {"tiny", "pretrained only"}
        assert len(set(finals.values())) == 2


def test_the_same_seed_gives_the_same_weights_when_trained_again(lab, tables):
    from schemas import training

    task = training.TrainingTask & (training.Training & "n_epochs > 0")
    row = (task - training.TrainingParent.proj()).to_dicts(limit=1)[0]
    content = {k: row[k] for k in ("split", "fold", "model", "fit_params")}
    digests = []
    for seed in (11, 11, 12):
        asked = training.TrainingTask.ensure(**content, seed=seed)
        training.Training.populate(asked)
        digests.append((training.Training & asked).fetch1("weights_digest"))
        (training.Training & asked).delete()
    assert digests[0] == digests[1] != digests[2]


def _split_of(study):
    from workers.study import plan

    return plan.wanted(study, "split_task")[0]["member"]


def _files(lab, spec):
    from workers.ingest import register

    return register(spec.data.recordings, base=lab.folder, lab=spec.data.lab)


def _forget(study, names):
    from schemas import dataset

    rows = [{"study": study, "member_table": "windows_task", "member": name} for name in names]
    (dataset.StudyMember & rows).delete()
