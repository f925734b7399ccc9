"""Databases made by a package of other definitions, each by a process of its own."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import drop_schemas  # noqa: E402

ROOT = Path(__file__).parents[2]
OLDER = """
D.package_version = lambda: "0.0.9"
without(session.Subject, "genotype")
without(windows.Windows, "features")
without(dataset.DatasetMember, "-> [nullable] recording.LabelSet")
without(training.ModelParamSet, "unique index")
unknown(analysis.LabelScore, analysis.LabelScoreTask)
"""
ROWS = """
session.Source.insert1({"source": "lab"})
subject = {"source": "lab", "subject_id": "m", "synthetic_subject": False}
session.Subject.insert1({**subject, "subject": "m1", "species": "Mus"})
"""


@pytest.fixture
def prefix(database):
    """A prefix of this test; its schemas are dropped after it."""
    name = f"fbt_{uuid.uuid4().hex[:8]}"
    yield name
    drop_schemas(database, name)


@pytest.fixture(scope="module")
def packages(database):
    """A process that makes processes, see `packages.py`."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", Path(__file__).with_name("packages.py")],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "PGOPTIONS": "-c synchronous_commit=off"},
    ) as process:  # fmt: skip
        yield process
        process.stdin.close()


@pytest.fixture
def run(packages, prefix):
    """Runs code as a process that uses the prefix; what it told."""

    def in_process(code):
        packages.stdin.write(json.dumps({"code": code, "prefix": prefix}) + "\n")
        packages.stdin.flush()
        answer = json.loads(packages.stdout.readline())
        assert not answer["failed"], answer["stderr"]
        return answer["told"] | {"stderr": answer["stderr"]}

    return in_process


def columns(database, prefix, module, table):
    rows = database.query(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s "
        "AND table_name = %s",
        (f"{prefix}_{module}", table),
    ).fetchall()
    return {row[0] for row in rows}


def tables_there(database, prefix):
    rows = database.query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s",
        (f"{prefix}_analysis",),
    ).fetchall()
    return {row[0] for row in rows}


def test_every_table_reads_the_same_from_its_class_and_from_the_server(tables, database):
    from schemas import _definitions

    server = _definitions.actual_definitions(database, tables._active)
    package = _definitions.package_lines()
    assert len(package) > 75
    assert dict(server) == dict(package)


def test_lines_hold_what_a_definition_says_and_no_comment(tables):
    from schemas import _definitions

    lines = _definitions.package_lines()["recording.Unit"]
    assert lines[0] == "key: nwb_file, unit"
    assert "column quality: varchar(64), may be null" in lines
    assert "foreign key channel, probe, session: recording.Channel (channel, probe, session)" in (
        lines
    )
    site = _definitions.package_lines()["analysis.EvaluationTask"]
    assert "foreign key eval_fold, eval_split: dataset.SplitFold (fold, split)" in site
    assert not any("where its waveform peaks" in line for line in lines)


def test_a_new_database_holds_the_definitions_it_was_made_by(tables):
    from schemas import _definitions

    rows = tables.operation.Definition.to_dicts()
    assert {row["defined_table"] for row in rows} == set(_definitions.package_lines())
    assert {row["defined_by"] for row in rows} == {_definitions.package_version()}
    _definitions.refuse_other()


def test_an_older_database_is_queried_but_neither_computed_in_nor_half_declared(
    run, prefix, database
):
    run(OLDER + "schemas.activate(prefix)" + ROWS)
    before = tables_there(database, prefix)
    told = run(
        """
refused = sentence(schemas.activate, prefix)
schemas.activate(prefix, create=False)
from workers.doctor import examine
schemas.activate = lambda **_: None  # the prefix is this test's
tell(refused=refused, rows=session.Subject.to_dicts(), worker=sentence(D.refuse_other),
     doctor=[row for row in examine() if row["what"] == "definitions"])
"""
    )
    assert tables_there(database, prefix) == before
    assert told["refused"].startswith("OtherDefinitions: ")
    assert "fieldbase upgrade --dry-run" in told["refused"]
    assert "create=False" in told["refused"]
    assert told["rows"][0]["species"] == "Mus"
    assert "made by 0.0.9, definitions " in told["worker"]
    assert "new" in told["worker"]
    assert "\n" not in told["worker"]
    (row,) = told["doctor"]
    assert (row["found"], row["needed"]) == ("8 differ", True)
    assert "0.0.9" in row["mend"]
    assert told["stderr"] == "", "what is only missing is no matter for who queries"


def test_an_upgrade_adds_columns_keys_indexes_and_tables_and_loses_no_row(run, prefix, database):
    run(OLDER + "schemas.activate(prefix)" + ROWS)
    dry = run(
        """
from workers.upgrade import plan_upgrade
plan = plan_upgrade(prefix)
tell(steps=[step.to_json() for step in plan.steps], refused=plan.refused)
"""
    )
    steps = {step["table"]: step for step in dry["steps"]}
    assert set(steps) == {
        "session.Subject", "windows.Windows", "dataset.DatasetMember", "training.ModelParamSet",
        "analysis.LabelScoreTask", "analysis.LabelScore", "analysis.LabelScore.Score",
    }  # fmt: skip
    assert dry["refused"] == []
    assert "ADD COLUMN" in steps["session.Subject"]["sql"][0]
    assert "genotype" not in columns(database, prefix, "session", "subject"), "a dry run adds none"
    done = run(
        """
from workers.upgrade import upgrade, plan_upgrade
upgrade(prefix)
D.refuse_other()
subject = {"source": "lab", "subject_id": "m", "synthetic_subject": False}
session.Subject.insert1({**subject, "subject": "m2", "genotype": "wt"})
link = [p for p in dataset.DatasetMember().parents() if "label_set" in p]
joined = (dataset.DatasetMember * recording.LabelSet).heading.names
tell(rows=session.Subject.to_dicts(), again=plan_upgrade(prefix).needed, link=link, joined=joined,
     npy=str(windows.Windows().heading["features"].codec), score=len(analysis.LabelScore()))
"""
    )
    assert [(row["subject"], row["species"], row["genotype"]) for row in done["rows"]] == [
        ("m1", "Mus", None),
        ("m2", None, "wt"),
    ]
    assert not done["again"]
    assert len(done["link"]) == 1
    assert "label_set" in done["joined"]
    assert "npy" in done["npy"].lower()
    assert "genotype" in columns(database, prefix, "session", "subject")
    told = run(
        """
schemas.activate(prefix)
D.refuse_other()
lines = D.actual_definitions(schemas.connect(), prefix)
tell(differing=[name for name in lines if lines[name] != D.package_lines()[name]], n=len(lines))
"""
    )
    assert told["differing"] == [], "an upgraded table is as one made new"
    assert told["n"] > 75


def test_what_adding_cannot_do_is_refused_by_name_and_nothing_is_added(run, prefix, database):
    run(
        """
D.package_version = lambda: "0.0.9"
session.Subject.definition = session.Subject.definition.replace("varchar(128)", "varchar(32)")
without(session.Subject, "genotype")
without(recording.ProbeInsertion, "device")
schemas.activate(prefix)
"""
    )
    told = run(
        """
from workers.upgrade import upgrade
tell(upgrade=sentence(upgrade, prefix), worker=sentence(D.refuse_other))
"""
    )
    asked = "session.Subject: column species is varchar(32), may be null, not varchar(128)"
    assert asked in told["upgrade"]
    assert "use fieldbase 0.0.9" in told["upgrade"]
    assert asked in told["worker"]
    assert "genotype" not in columns(database, prefix, "session", "subject")
    assert "device" not in columns(database, prefix, "recording", "probe_insertion")
    assert asked in told["stderr"], "who only queries is warned"


def test_an_older_package_leaves_a_newer_database_alone(run, prefix):
    run("D.package_version = lambda: '0.9.0'\nschemas.activate(prefix)" + ROWS)
    told = run(
        OLDER
        + """
from workers.upgrade import upgrade
made = sentence(schemas.activate, prefix)
tell(made=made, upgrade=sentence(upgrade, prefix), worker=sentence(D.refuse_other),
     rows=len(session.Subject()))
"""
    )
    for sentence in (told["made"], told["upgrade"], told["worker"]):
        assert "unknown to this package" in sentence
        assert "use fieldbase 0.9.0" in sentence
    assert told["rows"] == 1
    run("D.package_version = lambda: '0.9.0'\nschemas.activate(prefix); D.refuse_other()")


def test_a_database_from_before_definitions_were_kept_is_read_off_the_server(run, prefix, database):
    run("schemas.activate(prefix)" + ROWS)
    drop_schemas(database, f"{prefix}_operation")
    told = run("schemas.activate(prefix, create=False); tell(rows=len(session.Subject()))")
    assert told["rows"] == 1
    told = run(
        """
schemas.activate(prefix)
D.refuse_other()
tell(recorded=len(schemas.operation.Definition()), rows=len(session.Subject()))
"""
    )
    assert told["recorded"] > 75
    assert told["rows"] == 1


def test_a_column_dropped_by_hand_before_definitions_were_kept_is_noticed(run, prefix, database):
    run("schemas.activate(prefix)" + ROWS)
    drop_schemas(database, f"{prefix}_operation")
    table = database.adapter.make_full_table_name(f"{prefix}_session", "subject")
    database.query(f"ALTER TABLE {table} DROP COLUMN genotype")
    told = run("tell(refused=sentence(schemas.activate, prefix))")
    assert "session.Subject: column genotype" in told["refused"]
    assert "(made before this was recorded, " in told["refused"]
    run("from workers.upgrade import upgrade; upgrade(prefix); D.refuse_other()")
    assert "genotype" in columns(database, prefix, "session", "subject")


def test_an_index_that_stored_rows_forbid_stops_the_upgrade_in_one_sentence(run, prefix):
    run(
        """
without(training.ModelParamSet, "unique index")
schemas.activate(prefix)
row = {"model_digest": "0" * 64, "family": "f", "model_json": {}}
training.ModelParamSet.insert([{**row, "model": "a"}, {**row, "model": "b"}])
"""
    )
    told = run(
        """
from workers.upgrade import upgrade
tell(upgrade=sentence(upgrade, prefix), rows=len(training.ModelParamSet()))
"""
    )
    assert told["upgrade"].startswith("ServerError: the upgrade stopped at training.ModelParamSet")
    assert told["rows"] == 2


def test_nothing_is_upgraded_while_a_worker_computes(run, prefix, database):
    run('without(session.Subject, "genotype"); schemas.activate(prefix)')
    told = run(
        """
from schemas import _lease
from workers.upgrade import upgrade
schemas.activate(prefix, create=False)
lease = _lease.take(lane="cpu")
refused = sentence(upgrade, prefix)
lease.end()
tell(refused=refused, after=sentence(upgrade, prefix))
"""
    )
    assert "not upgraded while 1 worker(s) compute" in told["refused"]
    assert told["after"] is None


def test_two_upgrades_at_once_are_one(run, prefix, database):
    run('without(session.Subject, "genotype"); schemas.activate(prefix)')
    told = run(
        """
from schemas._connect import connect_again
from schemas._locks import let_go, take_lock
from workers.upgrade import upgrade
schemas.activate(prefix, create=False)
other = connect_again()
assert take_lock(other, f"upgrade {prefix}")
refused = sentence(upgrade, prefix)
let_go(other, f"upgrade {prefix}")
tell(refused=refused, after=sentence(upgrade, prefix))
"""
    )
    assert "another `fieldbase upgrade`" in told["refused"]
    assert told["after"] is None
