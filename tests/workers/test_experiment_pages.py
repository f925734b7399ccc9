"""Every experiment, cut short: its twin is run by both protocols and its page shows what came out.

Simulated laboratories are shared by all files, three subjects of a few channels each; of the models
one that is fitted in a moment is kept. Nothing is said here of how good a model is. Each study's
own report, which draws for seconds, is left to test_experiment.py.
"""

import re
from pathlib import Path

import pytest

from workers.study.experiment import read_experiment, simulate

STUDIES = Path(__file__).parents[2] / "studies"
FILES = [*sorted(STUDIES.glob("lfp2vec_*.toml")), STUDIES / "locate_ibl.toml"]
SMALL = {"channels": 6, "span_um": 1400.0, "duration_s": 15.0, "units": 1, "artifacts": 0,
         "bad_channels": 0}  # fmt: skip
SUBJECTS = {"disease": {"subjects": 4, "diseased": 2}, "monkey": {"subjects": 1}}
KEPT = (
    "band power",
    "audio, 0 unlabelled, 36 labelled",
    "ours (3 windows of other mice), 36 labelled",
)
CONTROLS = {"abnormality"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("twins")


def cut(file):
    """The first variant of each protocol and arm of its own kind, small; all that `ours` needs."""
    whole = read_experiment(file, twin=True)
    first, members = set(), []
    for member in whole.members:
        kind = (member.protocol, member.spec.split.pretrain)
        if kind not in first:
            first.add(kind)
            members.append(shortened(member))
    heard = {name for member in members for name in member.spec.data.recordings}
    labs = {
        name: lab.model_copy(update=SMALL | {"subjects": 3, "seed": 77} | SUBJECTS.get(name, {}))
        for name, lab in whole.labs.items()
        if name in heard
    }
    return whole.model_copy(update={"members": tuple(members), "labs": labs})


def shortened(member):
    spec = member.spec
    models = [model for model in spec.model if model.name in KEPT]
    probes = () if spec.analyses.evaluate else ("region",)
    few = {"linear_probes": probes, "silhouettes": ()}
    few["evaluation"] = spec.analyses.evaluation.model_copy(update={"draws": 50})
    few["controls"] = tuple(kind for kind in spec.analyses.controls if kind in CONTROLS)
    change = {
        "model": tuple(models[-1:]),
        "study": spec.study.model_copy(
            update={"registered": None, "name": f"page-{spec.study.name}"}  # others run it, too
        ),
        "analyses": spec.analyses.model_copy(update=few),
        "windows": spec.windows.model_copy(update={"max_windows": 3}),
    }
    return member.model_copy(update={"spec": spec.model_copy(update=change)})


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_page_of_every_experiment_shows_a_value_of_ours(file, folder, tables, monkeypatch):
    from pipeline.analyses.markup import number
    from workers.study.compare import compare, write_experiment
    from workers.study.run import run_study

    monkeypatch.setattr("workers.study.compare.write_report", lambda spec, target, scores: target)
    twin = cut(file)
    simulate(twin, folder, lambda text: None)
    for spec in twin.specs:
        done = run_study(spec, base=folder)
        assert not done.failed, done.failed
    rows = compare(list(twin.members), twin.published)
    (model,) = {model.name for model in twin.specs[0].model}
    told = re.findall(r"<td[^>]*>(.*?)</td>", page_of(write_experiment, twin, folder), re.S)
    for protocol in {member.protocol for member in twin.members}:
        by_chance = rows[f"{protocol}_value"].notna() & rows[f"{protocol}_chance"].notna()
        mine = rows[by_chance & rows["model"].str.startswith(model)]
        assert len(mine), protocol
        assert mine[f"{protocol}_n"].notna().all()
        for row in mine.to_dict("records"):
            value, chance = (number(row[f"{protocol}_{what}"]) for what in ("value", "chance"))
            said = "in controls" if row["metric"] == "abnormality" else "chance"
            assert any(value in cell and f"{said} {chance}" in cell for cell in told)
    assert rows["paper"].notna().sum() >= len(twin.published)


def page_of(write_experiment, twin, folder):
    page, *_ = write_experiment(twin, folder / f"{twin.name}.html")
    text = page.read_text(encoding="utf-8")
    assert "SYNTHETIC" in text
    return text


def test_weights_of_our_own_are_pretrained_on_a_mouse_that_is_tested_nowhere(folder, tables):
    """After its page was made; alone it makes what it needs."""
    from workers.study.plan import wanted
    from workers.study.run import run_study

    twin = cut(STUDIES / "lfp2vec_scaling.toml")
    simulate(twin, folder, lambda text: None)
    (ours,) = [spec for spec in twin.specs if spec.split.pretrain == "disjoint"]
    assert not run_study(ours, base=folder).failed
    (split,) = [row["member"] for row in wanted(ours.study.name, "split_task")]
    parts = (tables.dataset.SplitAssignment & {"split": split}).to_dicts()
    heard = {row["windows"] for row in parts if row["role"] == "pretrain"}
    others = {row["windows"] for row in parts if row["role"] != "pretrain"}
    assert heard
    assert heard.isdisjoint(others)
    assert len({row["fold"] for row in parts}) == 2
    names = [row["member_name"] for row in wanted(ours.study.name, "training_task")]
    # one first stage for the folds of both, each with a last one of its own
    assert [sum(name.endswith(end) for name in names) for end in ("|stage", "|final")] == [1, 2]
