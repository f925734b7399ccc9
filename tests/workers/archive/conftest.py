"""A synthetic Allen laboratory in an archive of the tests' own, and the verb ingest on it."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))


@pytest.fixture(scope="session")
def allen_files(tmp_path_factory):
    """Bytes by path: two subjects, each with a session file and a probe file."""
    from pipeline.synthetic.lab import write_sessions
    from pipeline.synthetic.session import LabParams

    folder = tmp_path_factory.mktemp("allen")
    params = LabParams(layout="allen", subjects=2, channels=6, duration_s=9, units=3, seed=5)
    made = [path for paths in write_sessions(folder, params) for path in paths]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in made}


@pytest.fixture
def archive(allen_files, monkeypatch, tmp_path):
    """The laboratory as a dandiset, and this machine's data roots for this test alone."""
    monkeypatch.setenv("FIELDBASE_PATIENCE", "2")
    monkeypatch.setattr("schemas._failures.RETRY_S", 0.01)  # else six tries take ten minutes
    monkeypatch.setattr("schemas._roots.home_folder", lambda: tmp_path / "home")
    monkeypatch.setattr("workers.archive.download.home_folder", lambda: tmp_path / "home")
    from archive_server import serve

    with serve() as served:
        monkeypatch.setenv("DANDI_API_URL", served.api)
        served.patience_s = 4.0
        served.publish("000022", "0.220126.0855", allen_files)
        yield served


@pytest.fixture
def type_ingest(tables, monkeypatch):
    """Type `fieldbase ingest ... --json`; its exit code, its rows by path, all it said."""
    from typer.testing import CliRunner

    import schemas
    from workers.cli import app

    monkeypatch.setattr(schemas, "activate", lambda **_: None)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        done = CliRunner().invoke(app, ["ingest", *map(str, words), "--json"])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        rows = json.loads(done.stdout)
        return done.exit_code, {row["path"]: row for row in rows}, done.stderr

    return run
