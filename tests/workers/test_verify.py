"""What a changed, cut or missing object is told as, and that nothing else is."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def embedded(mice, asked_by_mice):
    """The study of the mice, with an embedding too."""
    from pipeline.models import EmbedParams
    from schemas import embedding, training, windows

    mine = asked_by_mice(training.TrainingTask, "training_task", "training")
    trained = mine.proj("model") * training.Training.proj()
    name = (trained & {"model": _band_power()}).keys(limit=1)[0]["training"]
    cut = asked_by_mice(windows.WindowsTask, "windows_task", "windows").keys(limit=1)[0]
    asked = embedding.EmbeddingTask.ensure(
        training=name, **cut,
        **embedding.EmbedParamSet.register(None, EmbedParams()),
    )  # fmt: skip
    embedding.Embedding.populate(asked)
    return mice


@pytest.fixture(autouse=True)
def mice_files(mice, tables, monkeypatch):
    """Files that other tests registered are theirs to judge: some were damaged or are gone."""
    from workers import verify

    mine = tables.dataset.StudyMember & {"study": "locate_small", "member_table": "nwb_file"}
    others = set(tables.session.NwbFile.to_arrays("nwb_file")) - set(mine.to_arrays("member"))

    def check(row, whole=verify._file):
        yield from () if row["nwb_file"] in others else whole(row)

    monkeypatch.setattr(verify, "_file", check)
    return [{"nwb_file": name} for name in mine.to_arrays("member")]


def _band_power():
    from schemas import training

    return (training.ModelParamSet & {"family": "band_power"}).fetch1("model")


@pytest.fixture
def stored(embedded):
    """The path of one row's object on the disk, put back as it was after the test."""
    kept = {}

    def at(table, column):
        reference = (table & table().keys(limit=1)[0]).fetch1(column)
        path = Path(reference._backend._full_path(reference.path))
        path = path / "model.safetensors" if path.is_dir() else path
        kept[path] = path.read_bytes()
        return path

    yield at
    for path, content in kept.items():
        path.write_bytes(content)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def remove(path):
    path.unlink()


OBJECTS = [
    ("windows", "Windows", "lfp"),
    ("windows", "Windows", "reasons"),
    ("training", "Training", "checkpoint"),
    ("embedding", "Embedding", "vectors"),
    ("embedding", "Embedding", "window_index"),
    ("prediction", "Prediction", "outputs"),
    ("prediction", "Prediction", "site_index"),
]


def test_nothing_is_told_of_a_database_as_it_was_made(embedded):
    from workers.verify import verify

    verdict = verify()
    assert not verdict.damage
    assert not verdict.untold
    assert set(verdict.checked) == {
        "session.NwbFile", "windows.Windows", "dataset.Split", "training.Training",
        "embedding.Embedding", "prediction.Prediction",
    }  # fmt: skip
    assert min(verdict.checked.values()) >= 1


@pytest.mark.parametrize(("module", "name", "column"), OBJECTS)
@pytest.mark.parametrize("hurt", [flip, cut, remove])
def test_a_hurt_object_is_told_with_its_row_and_nothing_else_is(stored, module, name, column, hurt):
    import schemas
    from workers.verify import verify

    table = getattr(getattr(schemas, module), name)
    hurt(stored(table, column))
    found = verify(table=name).damage
    assert {finding.table for finding in found} == {f"{module}.{name}"}
    assert [finding.key for finding in found] == [table().keys(limit=1)[0]] * len(found)


def test_a_file_that_changed_or_went_is_told(embedded):
    from schemas import session
    from workers.verify import tell, verify

    file = sorted((embedded / "lab").rglob("*.nwb"))[0]
    content = file.read_bytes()
    try:
        file.write_bytes(content + b"\0")
        (found,) = verify(table="NwbFile").damage
        assert "bytes" in found.what
        file.unlink()
        (found,) = verify(table="session.nwbfile").damage
        row = (session.NwbFile & found.key).fetch1()
        assert file.name in row["path"]
        assert tell(found).count("--root NAME=FOLDER") == 1
    finally:
        file.write_bytes(content)
    assert not verify(table="NwbFile").damage


def test_what_cannot_be_told_of_a_file_is_said_and_is_no_damage(embedded, mice_files):
    from schemas import session
    from workers.verify import verify

    row = (session.NwbFile & mice_files).to_dicts(limit=1)[0]
    added = [
        row | {"nwb_file": "0" * 64, "root": None, "path": "http://x/y.nwb", "bytes": None,
               "etag": None},
        row | {"nwb_file": "1" * 64, "bytes": row["bytes"] + 1},
        row | {"nwb_file": "2" * 64, "revision": row["revision"] + 1},
    ]  # fmt: skip
    session.NwbFile.insert(added)
    try:
        verdict = verify(table="NwbFile")
        assert not verdict.damage
        told = {finding.key["nwb_file"][:1]: finding.what for finding in verdict.untold}
        assert set(told) == {"0", "1"}
        assert "without size or mark" in told["0"]
        assert f"revision {row['revision'] + 1} stands" in told["1"]
    finally:
        (session.NwbFile & [{"nwb_file": one["nwb_file"]} for one in added]).delete_quick()


def test_a_training_that_saw_another_split_is_told(embedded):
    from schemas import dataset, training
    from workers.verify import verify

    key = training.Training().keys(limit=1)[0]
    true = (training.Training & key).fetch1("seen_digest")
    training.Training.update1({**key, "seen_digest": "0" * 64})
    try:
        assert [(f.key, "another split" in f.what) for f in verify(table="Training").damage] == [
            (key, True)
        ]
    finally:
        training.Training.update1({**key, "seen_digest": true})
    part = dataset.SplitAssignment().to_dicts(limit=1)[0]
    dataset.SplitAssignment.update1({**part, "max_windows": 3})
    try:
        (found,) = verify(table="Split").damage
        assert found.key == {"split": part["split"]}
    finally:
        dataset.SplitAssignment.update1(part)
    assert not verify(table="Split").damage


def test_a_row_from_before_a_digest_was_kept_is_untold_not_damaged(embedded):
    from schemas import prediction
    from workers.verify import verify

    key = prediction.Prediction().keys(limit=1)[0]
    true = (prediction.Prediction & key).fetch1("prediction_digest")
    prediction.Prediction.update1({**key, "prediction_digest": None})
    try:
        verdict = verify(table="Prediction")
        assert not verdict.damage
        assert [finding.key for finding in verdict.untold] == [key]
    finally:
        prediction.Prediction.update1({**key, "prediction_digest": true})


def test_a_sample_reads_so_many_rows(embedded):
    from workers.verify import verify

    assert set(verify(sample=1).checked.values()) == {1}


def test_the_verb_says_damage_and_leaves_with_1(stored, monkeypatch):
    from typer.testing import CliRunner

    import schemas
    from workers.cli import app

    monkeypatch.setattr(schemas, "activate", lambda **_: None)
    clean = CliRunner().invoke(app, ["verify", "--table", "Windows"])
    assert (clean.exit_code, "0 damaged" in clean.stdout) == (0, True)
    flip(stored(schemas.windows.Windows, "lfp"))
    hurt = CliRunner().invoke(app, ["verify", "--json"])
    assert hurt.exit_code == 1
    assert [one["table"] for one in json.loads(hurt.stdout)["damage"]] == ["windows.Windows"]
    with pytest.raises(LookupError, match="there are session.NwbFile"):
        CliRunner().invoke(app, ["verify", "--table", "Nothing"], catch_exceptions=False)
