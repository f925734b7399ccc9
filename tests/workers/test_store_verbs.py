"""What the verbs of storage print, and where they leave what they write."""

import json

import pytest
from typer.testing import CliRunner


@pytest.fixture
def command(mice, monkeypatch):
    """The command, on the tables of this run."""
    import schemas
    from workers.cli import app

    monkeypatch.setattr(schemas, "activate", lambda **_: None)

    def run(*arguments):
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False)

    return run


def test_gc_lists_an_object_of_no_row_and_removes_it_only_when_told(command, home):
    import schemas
    from workers.collect import find_garbage, remove_garbage

    remove_garbage(find_garbage(0))
    place = home / "stores/arrays/_schema" / schemas.windows.schema.database / "__windows"
    orphan = place / "windows=none" / "lfp_none.npy"
    orphan.parent.mkdir()
    orphan.write_bytes(b"12345")
    let_alone = command("gc", "--json")
    assert json.loads(let_alone.stdout)["young"] == 1
    listed = command("gc", "--grace", "0")
    assert f"windows=none/{orphan.name}, 5 bytes" in listed.stdout
    assert "nothing was removed" in listed.stdout
    assert orphan.exists()
    told = json.loads(command("gc", "--grace", "0", "--apply", "--json").stdout)
    assert told["bytes"] == 5
    assert [path.rsplit("/", 1)[1] for path in told["removed"]] == [orphan.name]
    assert not orphan.parent.exists()


def test_a_study_and_a_model_are_written_where_asked(command, model, tmp_path):
    assert (
        "study: " in command("export", "study", "locate_small", "--to", str(tmp_path / "s")).stdout
    )
    assert (tmp_path / "s" / "provenance.json").exists()
    assert "model: " in command("export", "model", "small", "--to", str(tmp_path / "m")).stdout
    assert (tmp_path / "m" / "card.json").exists()
    with pytest.raises(LookupError, match="is there already"):
        command("export", "model", "small", "--to", str(tmp_path / "m"))


def test_grants_prints_a_script_and_runs_nothing(command, database):
    import schemas

    text = command("grants", "--role", "worker", "--user", "ann").stdout
    lines = text.strip().splitlines()
    assert len(lines) > 30
    assert all(line.endswith(";") for line in lines)
    assert "~~windows" in text
    assert "DROP" not in text
    role = f"{schemas._active}_worker"
    question = (
        f"SELECT count(*) FROM mysql.user WHERE user = '{role}'"
        if database.adapter.backend == "mysql"
        else f"SELECT count(*) FROM pg_roles WHERE rolname = '{role}'"
    )
    assert database.query(question).fetchone()[0] == 0
    assert command("grants", "--role", "worker", "--user", "a b").exit_code == 2
