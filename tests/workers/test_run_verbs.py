"""`fieldbase worker`, `status`, `errors` and `retry` as they are typed."""

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import schemas
from workers.cli import app
from workers.cli.run import parse_time
from workers.lanes import LANES, LaneError, jobs_of_study, parse_lanes


@pytest.fixture
def type_in(tables, monkeypatch):
    """Type a command; exit code and what it printed on standard output."""
    monkeypatch.setattr(schemas, "activate", lambda **_: None)  # the run has a prefix of its own
    monkeypatch.setattr("schemas._definitions.refuse_other", lambda: None)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        done = CliRunner().invoke(app, [str(word) for word in words])
        return done.exit_code, done.stdout

    return run


def test_every_computed_table_is_in_one_lane(tables):
    from schemas._tables import computed_tables

    listed = [name for names in LANES.values() for name in names]
    assert sorted(listed) == sorted(table.__name__ for _, table in computed_tables())


def test_a_lane_that_is_none_is_refused_with_those_there_are():
    assert parse_lanes(["gpu,io", "cpu"]) == ("io", "cpu", "gpu")
    assert parse_lanes(["all"]) == tuple(LANES)
    with pytest.raises(LaneError, match="no lane disk; there are io, cpu, gpu"):
        parse_lanes(["disk"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90m", 5400), ("2h30m", 9000), ("1d", 86400), ("01:00:05", 3605)],
)
def test_a_time_is_written_as_people_and_slurm_write_it(text, seconds):
    assert parse_time(text) == seconds


def test_a_worker_of_one_study_takes_no_other_jobs(crew, mice):
    crew.files("0_other")
    out, _ = crew.start(until_idle=True, study="locate_small").communicate(timeout=60)
    assert json.loads(out)["made"] == {}
    assert crew.states() == ["pending"]


def test_a_study_names_its_jobs_in_every_table(mice, tables):
    from schemas._tables import computed_tables

    found = {t.__name__: jobs_of_study("locate_small", t) for _, t in computed_tables()}
    for name in ("Ingestion", "ChannelLabel", "Windows", "Split", "Training", "Evaluation"):
        table = next(t for _, t in computed_tables() if t.__name__ == name)
        assert found[name], name
        assert len(table & found[name]) == len(found[name])
    with pytest.raises(LaneError, match="no study 'nobody'"):
        jobs_of_study("nobody", tables.training.Training)


def test_status_counts_what_a_study_made_and_names_who_is_at_work(type_in, mice, crew):
    crew.files("20_long")
    crew.start()
    crew.wait_for(lambda: crew.said() == ["begin 20_long.nwb"])
    code, text = type_in("status", "--json")
    shown = json.loads(text)
    rows = {row["table"]: row for row in shown["tables"]}
    assert code == 0
    assert rows["recording.Ingestion"]["running"] == 1
    (at_work,) = [row for row in shown["workers"] if row["job"]]
    assert at_work["job"] == "recording.Ingestion"
    assert at_work["heartbeat_s"] < 10
    code, text = type_in("status", "--study", "locate_small", "--json")
    rows = {row["table"]: row for row in json.loads(text)["tables"]}
    assert rows["recording.Ingestion"]["asked"] == rows["recording.Ingestion"]["done"] == 3
    assert rows["training.Training"]["done"] == 6


def test_the_job_of_a_killed_worker_shows_as_pending_at_once(type_in, crew):
    crew.files("20_long")
    worker = crew.start()
    crew.wait_for(lambda: crew.said() == ["begin 20_long.nwb"])
    worker.kill()
    worker.wait()
    rows = {row["table"]: row for row in json.loads(type_in("status", "--json")[1])["tables"]}
    assert rows["recording.Ingestion"]["running"] == 0
    assert rows["recording.Ingestion"]["pending"] >= 1


def test_status_is_watched_with_rate_and_time_left_until_stopped(
    type_in, crew, tables, monkeypatch
):
    crew.files("0_first", "1_second")
    crew.start(until_idle=True).communicate(timeout=60)
    crew.files("0_third", "0_fourth")
    ended = (crew.jobs & "status = 'success'").to_dicts()
    seconds = max(r["completed_time"] for r in ended) - min(r["reserved_time"] for r in ended)
    rate = 60 * len(ended) / seconds.total_seconds()
    looks = []

    def pause(every):
        looks.append(every)
        if len(looks) >= 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("workers.cli.run.time", SimpleNamespace(sleep=pause))
    code, text = type_in("status", "--watch", "--every", "0.5", "--json")
    assert (code, looks) == (130, [0.5, 0.5])
    first, end = json.JSONDecoder().raw_decode(text)
    assert json.loads(text[end:])["tables"] == first["tables"]
    (row,) = [row for row in first["tables"] if row["table"] == "recording.Ingestion"]
    assert row["pending"] >= 2
    assert row["rate"] == pytest.approx(rate)
    assert row["seconds_left"] == pytest.approx(60 * row["pending"] / rate)
    looks.clear()
    shown = type_in("status", "--watch")[1]
    assert "recording.Ingestion" in shown


def test_errors_names_the_file_and_the_way_out_and_retry_reads_it_again(type_in, crew, tables):
    (key,) = crew.files("0_bad")
    (crew.folder / "0_bad.nwb").unlink()
    out, _ = crew.start(until_idle=True).communicate(timeout=60)
    assert json.loads(out)["failed"] == {"recording.Ingestion": 1}
    code, text = type_in("errors", "--table", "Ingestion", "--like", "0_bad")
    assert code == 0
    assert "0_bad.nwb is not in" in text
    assert "Bring the file back" in text
    assert type_in("errors", "--like", "no such words")[1] == "no job has failed\n"
    (crew.folder / "0_bad.nwb").write_bytes(b"0_bad")
    assert json.loads(type_in("retry", "--like", "0_bad", "--json")[1]) == {"pending": 1}
    crew.start(until_idle=True).communicate(timeout=60)
    assert tables.recording.Ingestion & {"nwb_file": key}
    assert json.loads(type_in("errors", "--like", "0_bad", "--json")[1]) == []


@pytest.mark.parametrize("verb", ["errors", "retry"])
def test_a_table_that_is_none_is_refused_with_those_there_are(tables, monkeypatch, verb):
    monkeypatch.setattr(schemas, "activate", lambda **_: None)
    with pytest.raises(LookupError, match="no table 'Trainings' has jobs; .*training.Training"):
        CliRunner().invoke(app, [verb, "--table", "Trainings"], catch_exceptions=False)
