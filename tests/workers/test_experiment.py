"""Experiments: variants of one study file, their twins, and one table beside the paper."""

import re
from pathlib import Path

import pytest

from pipeline.analyses.postprocess import PUBLISHED_WEIGHTS
from workers.study.experiment import merge, read_experiment, simulate
from workers.study.spec import StudyError

STUDIES = Path(__file__).parents[2] / "studies"
FILES = sorted(STUDIES.glob("lfp2vec_*.toml"))
CHEAP = ("spectrogram MLP", "band power")
PAPERS_SPLIT = {  # of the paper's sessions in IBL two share a mouse, of SiNAPS's some may
    "lfp2vec_within_allen": {},
    "lfp2vec_within_ibl": {"by": "insertion", "allow_shared_subject": True},
    "lfp2vec_within_sinaps": {"by": "session", "validation": 2, "allow_shared_subject": True},
}


def test_tables_merge_by_name_then_by_place_and_anything_else_is_replaced():
    base = {"a": {"x": 1, "y": [1, 2]}, "model": [{"name": "m", "stages": [{"e": 1}, {"e": 2}]}]}
    over = {
        "a": {"y": [3]},
        "model": [{"name": "m", "stages": [{}, {"e": 5, "s": 1}]}, {"name": "n"}],
    }
    assert merge(base, over) == {
        "a": {"x": 1, "y": [3]},
        "model": [{"name": "m", "stages": [{"e": 1}, {"e": 5, "s": 1}]}, {"name": "n"}],
    }
    assert base["a"] == {"x": 1, "y": [1, 2]}


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_experiment_can_be_read_and_has_a_twin_on_simulated_recordings(file):
    real, twin = read_experiment(file), read_experiment(file, twin=True)
    assert len(real.members) == len(twin.members) > 0
    for one, other in zip(real.specs, twin.specs, strict=True):
        assert other.study.name == f"twin-{one.study.name}"
        public = all(name.startswith(("allen:", "ibl:")) for name in one.data.recordings)
        assert public or "private" in one.data.obtain  # then the file says so
        assert set(other.data.recordings) <= set(twin.labs)
        assert [m.name for m in one.model] == [m.name for m in other.model]
        assert all(m.values.size == "tiny" for m in other.model if hasattr(m.values, "size"))
    names = {(m.arm, model.name) for m in real.members for model in m.spec.model}
    assert {(one.arm, one.model) for one in real.published} <= names


def test_the_published_protocol_differs_from_the_strict_one_only_in_training_and_last_steps():
    for file in STUDIES.glob("lfp2vec_within_*.toml"):
        specs = {member.protocol: member.spec for member in read_experiment(file).members}
        assert set(specs) == {"published", "strict"}
        for name in ("data", "lfp", "windows"):
            assert len({getattr(spec, name).digest for spec in specs.values()}) == 1, name
        split = specs["strict"].split
        assert (split.by, split.allow_shared_subject) == ("subject", False)
        assert specs["published"].split == split.model_copy(update=PAPERS_SPLIT[file.stem])
        assert specs["published"].model != specs["strict"].model
        last = {name: spec.analyses.postprocess for name, spec in specs.items()}
        assert last["published"].class_weights == PUBLISHED_WEIGHTS
        assert (last["published"].spatial, last["strict"].spatial) == ("mode", "decoder")
        assert not last["strict"].class_weights
        rest = {str(s.analyses.model_copy(update={"postprocess": 0})) for s in specs.values()}
        assert len(rest) == 1


def test_no_paper_value_is_read_as_another_measure():
    for file in FILES:
        for one in read_experiment(file).published:
            said = one.origin.lower()
            assert one.metric != "balanced_accuracy" or "raw" not in said


def test_every_experiment_has_both_protocols_says_what_was_tuned_and_repeats_its_networks():
    for file in FILES:
        members = read_experiment(file).members
        assert {member.protocol for member in members} == {"published", "strict"}, file.stem
        for spec in [member.spec for member in members]:
            told = " ".join(spec.study.not_to_conclude)
            assert "Nothing was tuned on these recordings" in told, spec.study.name
            networks = [model for model in spec.model if model.stages[0].epochs]
            assert networks
            assert all(model.seeds == (0, 1, 2) for model in networks), spec.study.name


def test_a_paper_value_names_its_statistic_where_the_paper_gives_two():
    for file in FILES:
        seen = set()
        for one in read_experiment(file).published:
            what = (one.arm, one.model, one.metric, one.level, one.detail, one.statistic)
            assert what not in seen
            seen.add(what)
        bare = {what[:-1] for what in seen if not what[-1]}
        assert not bare & {what[:-1] for what in seen if what[-1]}
    (row,) = [
        one
        for one in read_experiment(STUDIES / "lfp2vec_within_ibl.toml").published
        if (one.model, one.metric, one.statistic) == ("lfp2vec", "balanced_accuracy", "pooled")
    ]
    assert (row.value, row.n, row.level) == (0.577, 7, "window")


def test_every_pair_of_laboratories_is_there_with_0_1_2_and_4_sessions():
    names = set()
    for file in STUDIES.glob("lfp2vec_cross_lab*.toml"):
        for twin in (False, True):
            for member in read_experiment(file, twin=twin).members:
                _, _, variant = member.spec.study.name.partition(".")
                k = member.spec.split.support_sessions
                assert member.spec.data.lab is None  # it would be that of every file, Allen's too
                if re.search(r"\.k\d", variant):
                    assert f".k{k}" in variant  # in the twin, too
                    names.add((variant.partition(".")[0], k))
                    assert member.arm.endswith(f", {k} session" + "s" * (k != 1))
    labs = ("allen", "ibl", "sinaps")
    pairs = {f"{a}-{b}" for a in labs for b in labs if a != b}
    assert names == {(pair, k) for pair in pairs for k in (0, 1, 2, 4)}


def test_a_variant_may_take_some_of_the_models_and_names_those_that_are_there(tmp_path):
    file = tmp_path / "some.toml"
    body = """
[study]
name = "a"
[data]
recordings = ["x"]
[[model]]
name = "one"
family = "band_power"
[[model]]
name = "two"
family = "band_power"
[[variant]]
name = "v"
only_models = ["two"]
"""
    file.write_text(body)
    assert [model.name for model in read_experiment(file).specs[0].model] == ["two"]
    file.write_text(body.replace('["two"]', '["three"]'))
    with pytest.raises(StudyError, match=r"no model \['three'\]; there are \['one', 'two'\]"):
        read_experiment(file)


def test_a_row_says_which_protocol_alone_heard_who_is_tested(monkeypatch):
    from workers.study import heard

    members = read_experiment(STUDIES / "lfp2vec_within_ibl.toml").members
    by_insertion = {"lfp2vec", "SimCLR"}
    monkeypatch.setattr(
        heard,
        "transductive_models",
        lambda spec: by_insertion if spec.split.by == "insertion" else set(),
    )
    names = heard.shown_beside(members)
    assert names["IBL", "lfp2vec"] == "lfp2vec (transductive in the published protocol)"
    assert names["IBL", "band power"] == "band power"
    alone = [one for one in members if one.protocol == "published"]
    assert heard.shown_beside(alone)["IBL", "SimCLR"] == "SimCLR (transductive)"


def test_an_unknown_variant_and_a_file_without_a_twin_are_refused(tmp_path):
    with pytest.raises(StudyError, match=r"no variant \['nobody'\]; it has"):
        read_experiment(FILES[0], only=["nobody"])
    alone = tmp_path / "alone.toml"
    alone.write_text('[study]\nname = "a"\n[data]\nrecordings = ["x"]\n')
    assert read_experiment(alone).specs[0].study.name == "a"
    with pytest.raises(StudyError, match="has no \\[twin\\]"):
        read_experiment(alone, twin=True)


@pytest.fixture(scope="module")
def page(tables, tmp_path_factory):
    """The page of a twin, of models that train in seconds."""
    from workers.study.compare import write_experiment
    from workers.study.run import run_study

    folder = tmp_path_factory.mktemp("twin")
    whole = read_experiment(STUDIES / "lfp2vec_within_allen.toml", twin=True)
    small = whole.labs["allen"].model_copy(update={"subjects": 3, "channels": 12, "seed": 2177})
    members = [_cheap(member) for member in whole.members]
    twin = whole.model_copy(update={"members": tuple(members), "labs": {"allen": small}})
    simulate(twin, folder, lambda text: None)
    for spec in twin.specs:
        assert not run_study(spec, base=folder).failed
    return write_experiment(twin, folder / "page.html")


def _cheap(member):
    spec = member.spec
    models = tuple(one for one in spec.model if one.name in CHEAP)
    few = {"linear_probes": (), "silhouettes": (), "controls": ()}
    analyses = spec.analyses.model_copy(update=few)
    spec = spec.model_copy(update={"model": models, "analyses": analyses})
    return member.model_copy(update={"spec": spec})


def test_one_table_has_the_paper_and_both_protocols_side_by_side(page, tables):
    first, *others = page
    assert len(others) == 2
    text = first.read_text()
    assert "SYNTHETIC" in text
    assert all(f'href="{one.name}"' in text for one in others)
    from workers.study.compare import compare

    whole = read_experiment(STUDIES / "lfp2vec_within_allen.toml", twin=True)
    rows = compare(list(whole.members), whole.published)
    row = rows[(rows["model"] == "spectrogram MLP") & (rows["metric"] == "balanced_accuracy")]
    row = row[row["level"] == "window"].set_index("statistic")
    assert row["paper"].to_dict() == {"mean": 0.38, "pooled": 0.342}
    mean, row = row.loc["mean"], row.loc["pooled"]
    for side in ("published", "strict"):
        study = f"twin-lfp2vec_within_allen.{side}"
        scores = tables.scores(study)
        mine = scores[
            (scores["table"] == "Evaluation") & (scores["model"] == "spectrogram MLP")
            & (scores["metric"] == "balanced_accuracy") & (scores["level"] == "window")
            & scores["fold"].isna()
        ]  # fmt: skip
        assert row[f"{side}_value"] == mine["value"].iloc[0]
        assert row[f"{side}_low"] <= row[f"{side}_value"] <= row[f"{side}_high"]
        single = scores[
            (scores["metric"] == "subject_balanced_accuracy") & (scores["level"] == "window")
            & (scores["model"] == "spectrogram MLP") & scores["fold"].isna()
        ]  # fmt: skip
        assert len(single) == mean[f"{side}_n_groups"] == 3
        assert mean[f"{side}_value"] == pytest.approx(single["value"].mean())
    told = rows[rows["paper"].notna()]
    assert set(told["metric"]) == {"balanced_accuracy", "macro_f1", "accuracy"}
