"""Where the archive is away every question ends, and a plan says what it can without it."""

import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workers.archive.asked import Asked
from workers.archive.dandi import list_assets
from workers.archive.found import ArchiveAway, SourceError
from workers.study.cost import plan_study
from workers.study.experiment import read_experiment

STUDIES = Path(__file__).parents[3] / "studies"
SAID: list[str] = []


@pytest.fixture
def nowhere(monkeypatch):
    """No archive at all, and nobody told how long to wait."""
    monkeypatch.setenv("DANDI_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.delenv("FIELDBASE_PATIENCE", raising=False)
    monkeypatch.setattr("workers.archive.asked.HURRY_S", 1.0)


@pytest.mark.parametrize("fault", ["slow", "busy", "stalls", 503])
def test_a_server_that_fails_is_asked_no_longer_than_patience_lasts(archive, monkeypatch, fault):
    archive.patience_s = 20.0
    archive.faults["/dandisets/"] = [fault, ...]
    began = time.monotonic()
    with pytest.raises(ArchiveAway, match=r"dandi:000022: .* does not answer .*FIELDBASE_PATIENCE"):
        list_assets("dandi:000022", SAID.append)
    assert time.monotonic() - began < 12  # patience is 2 s, and the machine may be busy


def test_a_server_that_fails_for_a_moment_is_asked_again(archive, tables):
    archive.faults["/dandisets/"] = [503, 502]
    assert list_assets("dandi:000022", SAID.append)


def test_a_name_is_asked_once_in_a_command(archive, tables):
    asked = Asked()
    first = list_assets("dandi:000022", SAID.append, asked)
    archive.asked.clear()
    assert list_assets("dandi:000022", SAID.append, asked) == first
    archive.faults["/dandisets/"] = [503, ...]
    with pytest.raises(ArchiveAway, match="dandi:000021: .* does not answer"):
        list_assets("dandi:000021", SAID.append, asked)
    archive.asked.clear()
    with pytest.raises(ArchiveAway, match="allen:1: not asked, .* did not answer before"):
        list_assets("allen:1", SAID.append, asked)
    assert archive.asked == []


def test_what_the_archive_lacks_is_no_silence(archive):
    with pytest.raises(SourceError) as told:
        list_assets("allen:123", SAID.append)
    assert not isinstance(told.value, ArchiveAway)


def test_a_plan_without_an_archive_counts_what_the_catalogue_lists(nowhere, tables):
    (strict,) = read_experiment(STUDIES / "lfp2vec_within_allen.toml", only=["strict"]).specs
    plan = plan_study(strict, base=STUDIES)
    rows = plan["recordings"]
    assert len(rows) == 42
    assert plan["bytes"] is None
    assert all(row["bytes"] is None and row["etag"] is None for row in rows)
    zeros = {row["probe"] for row in rows if "holds only zeros" in row["state"]}
    assert zeros == {"729445654", "729445656"}
    assert plan["jobs"]["Windows"] == (40, 0)
    assert "7 folds" in plan["notes"][0]
    said = "\n".join(plan["notes"])
    assert "42 files more by the catalogue, of unknown size" in said
    assert "40 probes are not read yet: each is taken for 96 channels" in said
    assert "GPU hours for each of 7 folds" in said
    assert said.count("does not answer") == 1  # once, not seven times


def test_the_command_plans_every_variant_in_one_wait(nowhere, tables, monkeypatch):
    import schemas
    from workers.cli import app

    monkeypatch.setattr(schemas, "activate", lambda **_: None)
    monkeypatch.setenv("COLUMNS", "200")
    began = time.monotonic()
    file = STUDIES / "lfp2vec_cross_lab.toml"
    done = CliRunner().invoke(app, ["study", "plan", str(file)])
    assert time.monotonic() - began < 20  # as one name, not as many variants of thirteen names
    assert "FIELDBASE_PATIENCE" not in os.environ
    assert done.exit_code == 0
    told = " ".join(done.stdout.split())  # however wide the terminal
    for name in ("719161530", "773549856", "54238fd6-d2d0-4408-b1a9-d19d24fd29ce", "null"):
        assert name in told
    assert told.count("does not answer") == 1
    assert told.count("Ingestion ") == len(read_experiment(file).specs) > 9


def test_a_variant_whose_recordings_are_missing_costs_the_others_nothing(
    nowhere, tables, monkeypatch
):
    import schemas
    from workers.cli import app

    monkeypatch.setattr(schemas, "activate", lambda **_: None)
    monkeypatch.setenv("COLUMNS", "300")
    done = CliRunner().invoke(app, ["study", "plan", str(STUDIES / "lfp2vec_species.toml")])
    assert done.exit_code == 0
    told = " ".join(done.stdout.split())
    assert "put a folder macaque/ with NWB files of one animal" in told
    assert "no catalogue lists dandi:000121, dandi:000070" in done.stdout
    alone = CliRunner().invoke(app, ["study", "plan", str(STUDIES / "lfp2vec_disease.toml")])
    assert isinstance(alone.exception, SourceError)
    assert "put a folder sinaps/" in str(alone.exception)
