"""`fieldbase ingest` as it is typed: outcomes, exit codes, and one message for each mistake."""

import json
import shutil

import pytest
from typer.testing import CliRunner

import schemas
from workers.cli import app
from workers.ingest import SourceError, find_sources


@pytest.fixture
def type_in(tables, monkeypatch):
    """Type a command; exit code, what it printed, what it raised."""
    monkeypatch.setattr(schemas, "activate", lambda **_: None)  # the run has a prefix of its own
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        done = CliRunner().invoke(app, [str(word) for word in words])
        return done.exit_code, done.stdout + done.stderr, done.exception

    return run


@pytest.fixture
def folder(fresh, tmp_path):
    """One good file between two bad ones."""
    (tmp_path / "a.nwb").write_bytes(fresh.read_bytes()[:20_000])
    shutil.copyfile(fresh, tmp_path / "b.nwb")
    (tmp_path / "c.nwb").write_text("no HDF5 at all")
    return tmp_path


def test_bad_files_are_told_with_a_way_out_and_the_good_one_is_read(type_in, folder):
    code, text, _ = type_in("ingest", folder, "--json")
    rows = {row["path"]: row for row in json.loads(text)}
    assert code == 1
    assert {name: row["status"] for name, row in rows.items()} == {
        "a.nwb": "error", "b.nwb": "ok", "c.nwb": "error",
    }  # fmt: skip
    assert rows["a.nwb"]["messages"][0].endswith("; fetch the file again")
    assert "; check or refetch it" in rows["c.nwb"]["messages"][0]
    assert len(rows["b.nwb"]["sessions"]) == 1


def test_a_file_that_was_mended_is_read_when_it_is_asked_for_again(type_in, folder, fresh):
    assert type_in("ingest", folder / "c.nwb")[0] == 1
    shutil.copyfile(fresh, folder / "c.nwb")
    code, text, _ = type_in("ingest", folder / "c.nwb", "--json")
    assert code == 0
    assert json.loads(text)[0]["status"] == "ok"


def test_a_dry_run_says_the_same_and_inserts_nothing(type_in, folder, tables):
    before = len(tables.session.NwbFile())
    code, text, _ = type_in("ingest", folder, "--dry-run")
    assert code == 1
    assert "a.nwb: " in text
    assert "is cut short" in text
    assert len(tables.session.NwbFile()) == before
    assert type_in("ingest", folder / "b.nwb", "--dry-run")[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["labels"], "labels FILE --for SESSION"),
        (["labels", "x.csv"], "labels FILE --for SESSION"),
        (["embeddings"], "embeddings FILE --mapping FILE.toml"),
    ],
)
def test_what_else_can_be_ingested_says_how_it_is_asked_for(type_in, words, told):
    code, text, _ = type_in("ingest", *words)
    assert code == 2
    assert told in text


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nothing.nwb", "nothing is at"),
        ("*.nwb", "nothing is at"),
        ("s3://bucket/file.nwb", "only http:// and https:// are read"),
    ],
)
def test_a_source_that_is_not_there_is_one_sentence(tmp_path, source, told):
    with pytest.raises(SourceError, match=told):
        find_sources([source], base=tmp_path)


def test_a_folder_of_another_format_is_answered_with_the_lines_that_convert_it(tmp_path):
    probe = tmp_path / "run_g0" / "run_g0_imec0"
    probe.mkdir(parents=True)
    for kind in ("bin", "meta"):
        (probe / f"run_g0_t0.imec0.lf.{kind}").touch()
    with pytest.raises(SourceError, match="this is SpikeGLX") as caught:
        find_sources(["run_g0"], base=tmp_path)
    assert f"SpikeGLXConverterPipe(folder_path={str(tmp_path / 'run_g0')!r})" in str(caught.value)
