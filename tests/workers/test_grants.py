"""What each role may do, asked of the server by a process that is logged in as one who has it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASK = """
import json, sys
import schemas
from schemas import dataset, operation, recording, training, windows

prefix, asked = sys.argv[1], json.loads(sys.argv[2])
schemas.activate(prefix=prefix, create=False)
connection = windows.Windows.connection
name = connection.adapter.quote_identifier
other = f"{name(prefix + '_dataset')}.{name('forbidden')}"
row = dataset.Study().to_dicts(limit=1)[0]
study = row | {"study": "of " + connection.get_user()[:8]}
one = (windows.Windows & "lfp is not null").keys(limit=1)[0]
file = recording.session.NwbFile().to_dicts(limit=1)[0] | {"nwb_file": connection.get_user()[:20]}
failed = recording.Ingestion().to_dicts(limit=1)[0] | {
    "nwb_file": file["nwb_file"], "ingestion_status": "error"
}
def read_again():
    recording.session.NwbFile.insert1(file)
    recording.Ingestion.insert1(failed, allow_direct_insert=True)
    (recording.Ingestion & {"nwb_file": file["nwb_file"]}).delete_quick()
    assert not recording.Ingestion & {"nwb_file": file["nwb_file"]}

TRIES = {
    "read": lambda: (len(recording.Channel()), (windows.Windows & one).fetch1("lfp").load()),
    "queue": lambda: len(windows.Windows.jobs.pending),
    "insert": lambda: dataset.Study.insert1(study),
    "update": lambda: windows.Windows.update1({**one, "n_kept": 1}),
    "delete": lambda: (windows.Windows & one).delete_quick(),
    "delete study": lambda: (dataset.Study & {"study": study["study"]}).delete_quick(),
    "read again": read_again,
    "create": lambda: [
        connection.query(f"{what} TABLE {other}{of}")
        for what, of in (("CREATE", " (a int)"), ("DROP", ""))
    ],
    "redefine": lambda: connection.query(
        f"UPDATE {operation.Definition.full_table_name} SET defined_by = defined_by"
    ),
    "retry": lambda: (operation.JobError & {"failed_table": "none"}).delete_quick(),
    "drop": lambda: connection.query(f"DROP TABLE {windows.Windows.Site.full_table_name}"),
    "alter": lambda: connection.query(f"ALTER TABLE {training.Training.full_table_name} ADD b int"),
    "truncate": lambda: connection.query(f"TRUNCATE {operation.JobError.full_table_name}"),
    "populate": lambda: windows.Windows.populate(asked, reserve_jobs=True, suppress_errors=False),
}
told = {}
for what in json.loads(sys.argv[3]) or TRIES:
    try:
        TRIES[what]()
        told[what] = "done"
    except Exception as error:
        text = str(error).lower()
        told[what] = "refused" if "denied" in text or "permission" in text or "owner" in text else (
            f"{type(error).__name__}: {error}"
        )
print(json.dumps(told))
"""


@pytest.fixture
def as_user(mice, database):
    """Run the attempts as a new user who has a role; the user is dropped afterwards."""
    import schemas
    from workers.grants import apply_grants

    mysql = database.adapter.backend == "mysql"
    made = []

    def attempt(role, asked, only=()):
        user = f"fbt_{role}_{os.getpid()}"
        if mysql:
            database.query(f"CREATE USER '{user}'@'%%' IDENTIFIED BY 'fieldbase-1'")
        else:
            database.query(f"CREATE ROLE {user} LOGIN PASSWORD 'fieldbase-1'")
        made.append(user)
        apply_grants(role, user=user)
        apply_grants(role, user=user)  # twice is once
        info = database.conn_info
        server = {
            "DJ_BACKEND": "mysql" if mysql else "postgresql", "DJ_HOST": info["host"],
            "DJ_PORT": str(info["port"]), "DJ_USER": user, "DJ_PASS": "fieldbase-1",
            "DJ_DATABASE_NAME": "fieldbase",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", ASK, schemas._active, json.dumps(asked), json.dumps(only)],
            cwd=ROOT, env=os.environ | server, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    yield attempt
    for user in made:
        if mysql:
            database.query(f"DROP USER '{user}'@'%%'")
        else:
            database.query(f"DROP ROLE {user}")
    for role in ("analyst", "worker", "admin"):
        name = f"{schemas._active}_{role}"
        if mysql:
            database.query(f"DROP ROLE IF EXISTS `{name}`")
        elif database.query(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'").fetchone():
            database.query(f'DROP OWNED BY "{name}"')
            database.query(f'DROP ROLE "{name}"')


@pytest.fixture
def windows_asked(asked_by_mice):
    """Windows of another length, of a session of the mice, that nobody has cut."""
    from pipeline.preprocessing import WindowParams
    from schemas import recording, windows
    from workers.study.plan import ask_windows

    one = asked_by_mice(windows.WindowsTask, "windows_task", "windows").to_dicts()[0]
    series = (recording.LfpSeries * windows.WindowsLfp & one).to_dicts()[0]

    def ask(length_s):
        params = {"lfp_params": one["lfp_params"]}
        params |= windows.WindowParamSet.register(None, WindowParams(length_s=length_s))
        return {"windows": ask_windows(params, {"session": one["session"], "lfp": series})}

    return ask


REFUSED = {
    "update", "delete", "delete study", "create", "redefine", "drop", "alter",
    "truncate",
}  # fmt: skip


def test_an_analyst_reads_everything_and_changes_nothing(as_user, windows_asked):
    from schemas import windows

    asked = windows_asked(1.2)
    told = as_user("analyst", asked)
    assert {what for what, came in told.items() if came == "done"} == {"read", "queue"}, told
    assert {what for what, came in told.items() if came == "refused"} == REFUSED | {
        "insert", "populate", "read again", "retry",
    }, told  # fmt: skip
    assert not windows.Windows & asked


def test_a_worker_populates_and_can_neither_delete_results_nor_drop_tables(as_user, windows_asked):
    from schemas import dataset, session, windows

    asked = windows_asked(1.3)
    told = as_user("worker", asked)
    assert {what for what, came in told.items() if came == "refused"} == REFUSED, told
    assert {what for what, came in told.items() if came == "done"} == {
        "read", "queue", "insert", "populate", "read again", "retry",
    }, told  # fmt: skip
    assert len(windows.Windows & asked) == 1
    (dataset.Study & "study like 'of %'").delete_quick()
    (session.NwbFile & "nwb_file like 'fbt_worker%'").delete_quick()


def test_an_admin_makes_and_drops_tables_and_deletes_rows(as_user, windows_asked):
    tries = ["read", "insert", "delete study", "create", "redefine", "populate"]
    told = as_user("admin", windows_asked(1.4), tries)
    assert told == dict.fromkeys(tries, "done")


def test_a_name_that_is_no_user_is_refused(mice):
    from workers.grants import grant_lines

    with pytest.raises(ValueError, match="no name of a user"):
        grant_lines("worker", user="ann'; DROP TABLE x; --")
    with pytest.raises(LookupError, match="worker, analyst, admin"):
        grant_lines("owner")
