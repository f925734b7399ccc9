"""`fieldbase ingest` over every real recording at hand: outcomes, counts and warnings as rows."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline"))
from real_files import EXPECTED, REFUSED  # noqa: E402

import schemas  # noqa: E402
from workers.cli import app  # noqa: E402

pytestmark = pytest.mark.real
FOLDERS = ("nwb", "ieeg_nwb", "rodent_nwb")
OF_ONE_SESSION = ("nwb/aibs_ecephys.nwb", "nwb/aibs_ecephys_fulltable_norootattrs.h5")
"""They say the same session as aibs.nwb, which is read before, and describe it otherwise."""


@pytest.fixture(scope="module")
def ingested(tables, real_data):
    """Exit code and what was said of each file, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schemas, "activate", lambda **_: None)  # the run has a prefix of its own
        folders = [str(real_data / name) for name in FOLDERS]
        run = CliRunner().invoke(app, ["ingest", *folders, "--json"])
    assert run.exception is None or isinstance(run.exception, SystemExit), run.exception
    rows = json.loads(run.stdout)
    return run.exit_code, {row["path"]: row for row in rows}


def test_one_refused_file_is_told_by_the_exit_code_and_costs_no_other(ingested):
    code, told = ingested
    assert code == 1
    assert {name for name, row in told.items() if row["status"] == "error"} == {
        name.split("/")[1] for name in REFUSED
    }
    assert set(told) == {name.split("/")[1] for name in [*EXPECTED, *REFUSED]}


@pytest.mark.parametrize("name", EXPECTED)
def test_outcome_and_rows_of(ingested, tables, name):
    layout, _, channels, _, lfp, units, spikes, trials, behavior, words = EXPECTED[name]
    if name in OF_ONE_SESSION:
        words = [*words, "other than an earlier file says"]
    told = ingested[1][name.split("/")[1]]
    recording = tables.recording
    assert told["status"] == ("warnings" if words else "ok")
    assert (told["layout"], told["channels"], told["units"]) == (layout, channels, units)
    assert (told["lfp"], told["trials"]) == (int(lfp is not None), trials)
    assert len(told["messages"]) == len(words)
    assert all(any(word in text for text in told["messages"]) for word in words)
    file = _file(tables, name)
    counted = [recording.Unit, recording.Trial, recording.BehaviorSeries]
    assert [len(table & file) for table in counted] == [units, trials, behavior]
    assert sum((recording.Unit & file).to_arrays("n_spikes")) == spikes
    assert len(recording.LfpColumn & file) == (lfp[1] if lfp else 0)
    if lfp:
        row = (recording.LfpSeries & file).fetch1()
        assert (row["n_samples"], row["n_lfp_channels"], round(row["lfp_rate_hz"], 4)) == lfp
    sessions = (recording.IngestionSession & file).to_arrays("session")
    assert len(recording.Channel & [{"session": name} for name in sessions]) >= channels


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_file_says_what_to_do_and_leaves_no_other_row(ingested, tables, name):
    (message,) = ingested[1][name.split("/")[1]]["messages"]
    assert REFUSED[name] in message
    file = _file(tables, name)
    row = (tables.recording.Ingestion & file).fetch1()
    assert (row["stage"], row["layout"]) == ("open", None)
    assert not len(tables.recording.IngestionSession & file)


def _file(tables, name):
    return (tables.session.NwbFile & {"path": name.split("/")[1]}).fetch1("KEY")
