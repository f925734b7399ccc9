"""Vectors made elsewhere as a user brings them: their model, licence and origin are said again."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import schemas
from workers.cli import app

FACTS = {
    "theirs": ("NDT-mini", "MIT", "https://example.org/ndt-mini"),
    "others": ("brant-tiny", "CC-BY-NC-4.0", "doi:10.0000/example"),
}
MAPPING = 'subject = "mouse"\nchannel = "site"\nregion = "region"\nwindow = "window"\n'
STUDY = """
[study]
name = "{name}"
question = "Do they tell the region?"
not_to_conclude = ["They are random numbers around two centres."]
[data]
recordings = ["{file}"]
modalities = ["features"]
labels = "as_given"
[split]
folds = "leave-one-out"
validation = 0
[[model]]
name = "{name}"
family = "external"
"""
PLACE = '[[model]]\nname = "place"\nfamily = "position_only"\n'


@pytest.fixture(scope="module")
def type_in(tables):
    """Type a command; what it printed."""

    def run(*words):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(schemas, "activate", lambda **_: None)  # the run has its own prefix
            done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    return run


@pytest.fixture(scope="module")
def pages(type_in, tmp_path_factory):
    """Both kinds of file ingested and scored: folder, and the report of each study."""
    place = tmp_path_factory.mktemp("vectors")
    rng, rows = np.random.default_rng(3), []
    for mouse in ("a", "b", "c"):
        for site in range(6):
            for window in range(4):
                vector = rng.normal(size=2) + 3 * (site // 3)
                who = {"mouse": mouse, "site": f"s{site}", "window": window}
                rows.append({**who, "region": ("CA1", "DG")[site // 3], "x": vector})
    frame = pd.DataFrame(rows)
    split = pd.DataFrame(np.stack(frame["x"]), columns=["x0", "x1"])
    pd.concat([frame.drop(columns="x"), split], axis=1).to_parquet(place / "theirs.parquet")
    arrays = {name: frame[name].to_numpy() for name in ("window",)}
    arrays |= {name: frame[name].to_numpy(str) for name in ("mouse", "site", "region")}
    np.savez(place / "others.npz", vector=np.stack(frame["x"]), **arrays)
    model, licence, origin = FACTS["theirs"]
    (place / "theirs.toml").write_text('features = ["x0", "x1"]\n' + MAPPING)
    type_in(
        "ingest",
        "embeddings",
        place / "theirs.parquet",
        "--mapping",
        place / "theirs.toml",
        "--lab",
        "here",
        "--model",
        model,
        "--licence",
        licence,
        "--origin",
        origin,
    )
    named = zip(("model", "licence", "origin"), FACTS["others"], strict=True)
    said = "".join(f'{name} = "{text}"\n' for name, text in named)
    (place / "others.toml").write_text('features = ["vector"]\n' + MAPPING + said)
    type_in(
        "ingest",
        "embeddings",
        place / "others.npz",
        "--mapping",
        place / "others.toml",
        "--lab",
        "there",
    )
    found = {}
    for name, file in (("theirs", "theirs.parquet"), ("others", "others.npz")):
        study = place / f"{name}_study.toml"
        study.write_text(STUDY.format(name=name, file=file) + PLACE * (name == "theirs"))
        type_in("study", "run", study)
        type_in("study", "report", study, "--to", place / f"{name}.html")
        found[name] = (place / f"{name}.html").read_text()
    return place, found


@pytest.mark.parametrize("name", FACTS)
def test_card_notes_and_provenance_say_model_licence_and_origin(pages, name):
    model, licence, origin = FACTS[name]
    page = pages[1][name]
    cards = re.search(r'id="cards".*?</section>', page, re.DOTALL)[0]
    mine, _, place = cards.partition("<summary>place</summary>")
    told = f"vectors made elsewhere, model: {model}, origin: {origin}"
    assert told in mine
    assert f"<dt>licence</dt><dd>{licence}</dd>" in mine
    assert "random weights" not in mine
    assert told not in place  # it reads no vector
    assert re.search(rf"{re.escape(told)}, licence: {licence} \({name}\.\w+ sha256:", page)
    assert "schemas.session.NwbFile" in page


def test_the_command_that_a_card_prints_writes_the_model_with_its_card(pages, type_in):
    place, found = pages
    command = re.search(r"fieldbase (export model \w+ --to) FOLDER", found["theirs"])[1]
    type_in(*command.split(), place / "out")
    one = command.split()[2]
    type_in("export", "--model", one, "--to", place / "same")
    files = sorted(path.name for path in (place / "out").iterdir())
    assert files == ["README.md", "card.json", "meta.json", "model.safetensors"]
    for file in files:
        assert (place / "out" / file).read_bytes() == (place / "same" / file).read_bytes()
    card = json.loads((place / "out" / "card.json").read_text())
    vectors = {k: card["vectors"][0][k] for k in ("model", "licence", "origin")}
    assert tuple(vectors.values()) == FACTS["theirs"]
    text = (place / "out" / "README.md").read_text()
    for said in (*FACTS["theirs"], card["vectors"][0]["etag"], "leave-one-out by subject"):
        assert said in text
    shown = {row["metric"] for row in card["scores"]}
    assert "balanced_accuracy" in shown
    assert "accuracy" not in shown


def test_an_exported_model_of_vectors_is_loaded_by_its_folder(pages, type_in):
    import torch

    from pipeline.models import load_model
    from pipeline.training.checkpoint import read_meta

    place = pages[0]
    digest = re.search(r"export model (\w+)", pages[1]["others"])[1]
    type_in("export", "model", digest, "--to", place / "loaded")
    model = load_model(place / "loaded")
    assert model.context.classes == ("CA1", "DG")
    assert read_meta(place / "loaded")["sha256"]
    assert not torch.equal(model.classify.weight, torch.zeros_like(model.classify.weight))


def test_a_file_is_taken_as_registered_and_another_licence_is_another_registration(pages, type_in):
    from schemas import session

    place = pages[0]
    again = ("ingest", "embeddings", place / "theirs.parquet", "--mapping", place / "theirs.toml")
    rows = session.NwbFile & "path like '%theirs.parquet'"
    type_in(*again)  # says nothing of the model: the one that was said stays
    assert [row["mapping"]["licence"] for row in rows.to_dicts()] == ["MIT"]
    type_in(*again, "--licence", "CC0", "--lab", "elsewhere")
    assert sorted(row["mapping"]["licence"] for row in rows.to_dicts()) == ["CC0", "MIT"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("embeddings", "x.npz", "--licence", "MIT"), "--mapping FILE.toml"),
        (("x.nwb", "--model", "NDT"), "about vectors made elsewhere"),
    ],
)
def test_facts_without_a_mapping_or_of_a_recording_say_how_they_are_given(
    tables, monkeypatch, tmp_path, words, told
):
    monkeypatch.setattr(schemas, "activate", lambda **_: None)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    for name in ("x.npz", "x.nwb"):
        (tmp_path / name).touch()
    done = CliRunner().invoke(app, ["ingest", *words])
    assert done.exit_code != 0
    assert told in " ".join(f"{done.output} {done.exception}".split())
