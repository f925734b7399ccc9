"""What is removed leaves no trace, takes nothing else along, and can come again as it was."""

import json
import os
import signal
from pathlib import Path

import pytest
from removal_steps import (
    after_one_object,
    after_the_commit,
    among_the_rows,
    before_the_commit,
    before_the_list,
    before_the_list_goes,
    before_the_rows,
    changed,
    content,
    everything,
    failed,
    leave_a_failed_try,
    removing,
    subjects_of,
    training_of,
)

NAME = "removed_small"
STUDY = {
    "study": {"name": NAME, "register": "removed"},
    "lfp": {"lowpass_hz": 90.0, "target_rate_hz": 250.0},
    "windows": {"length_s": 3.0},
    "data": {"recordings": ["lab/**/*.nwb"], "labels": "lfp2vec5"},
    "split": {"by": "subject", "folds": "leave-one-out", "validation": 0},
    "model": [{"name": "band power", "family": "band_power"}],
    "analyses": {"evaluation": {"draws": 20}, "linear_probes": ["region"]},
}


@pytest.fixture(autouse=True)
def read_here(monkeypatch):
    """These files are our own: no child process has to read them."""
    from pipeline.nwb import read_summary
    from schemas import _ingest

    monkeypatch.setattr(_ingest, "read_summary_isolated", lambda source, **_: read_summary(source))


@pytest.fixture(scope="module")
def small_lab(tables, tmp_path_factory):
    """Folder with recordings of two mice that no other test knows."""
    from pipeline.synthetic import write_lab

    folder = tmp_path_factory.mktemp("removed")
    write_lab(folder / "lab", subjects=2, seed=51, layout="generic", channels=8, duration_s=9.0)
    return folder


@pytest.fixture
def recorded(small_lab):
    """Make one recording known, with windows cut from it; its file's path."""
    file = sorted((small_lab / "lab").rglob("*.nwb"))[0]

    def make():
        from schemas import recording, windows
        from workers.ingest import ingest, register
        from workers.study.plan import ask_windows

        (key,) = register([str(file)], base=file.parent)
        assert ingest([key])[0]["status"] == "ok"
        series = (recording.LfpSeries & {"nwb_file": key}).to_dicts()[0]
        params = windows.WindowParamSet.register(None, _window_params())
        params |= windows.LfpParamSet.register(None, _lfp_params())
        asked = {"windows": ask_windows(params, {"session": series["session"], "lfp": series})}
        windows.Windows.populate(asked)
        return str(file)

    yield make
    _remove_all("file", str(file))


def _window_params():
    from pipeline.preprocessing import WindowParams

    return WindowParams(length_s=1.125)


def _lfp_params():
    from pipeline.preprocessing import LfpParams

    return LfpParams(lowpass_hz=80.0, target_rate_hz=250.0)


def _remove_all(kind, *names):
    from workers.remove import NoSuchName, remove

    for name in names:
        try:
            remove(kind, name)
        except NoSuchName:
            continue


def test_a_study_and_its_mice_leave_no_trace(small_lab, home):
    from schemas import _lease, operation, recording, training
    from schemas._stores import store_named
    from workers.remove import RemovalRefused, plan_removal, remove
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    recording.Ingestion.jobs.refresh()  # what other tests registered
    before = everything(home)
    done = run_study(StudySpec.model_validate(STUDY), base=small_lab)
    assert not done.failed
    whole = everything(home)
    assert len(changed(before, whole)) > 40
    registered = (training.RegisteredModel & {"registered_model": "removed"}).fetch1("training")
    other = next(t for t in training_of(NAME) if t != registered)

    plan = plan_removal("training", other[:8])
    assert plan.trainings == [other]
    assert plan.studies[0]["study"] == NAME
    assert not plan.models
    assert plan_removal("training", f"{NAME}/band power").models == ["removed"]
    plan = plan_removal("study", NAME)
    assert not plan.models
    assert registered not in plan.trainings
    assert any("registered model 'removed'" in note for note in plan.notes)
    assert everything(home) == whole

    leave_a_failed_try(other)
    store_named("checkpoints").put_buffer(b"state", f"unfinished/{other}/7/state.json")
    taken = plan_removal("training", "removed")
    assert (taken.trainings, taken.models) == ([registered], ["removed"])
    remove("training", "removed")
    _lease.take(lane="cpu", study=NAME)
    with pytest.raises(RemovalRefused, match=f"works for study {NAME}"):
        remove("study", NAME)
    _lease.end()
    remove("study", NAME)
    assert not training_of(NAME)
    assert not len(operation.JobError & {"failed_table": "training.Training"} & failed(other))
    assert not [path for path in everything(home)["files"] if other in path]
    subjects = subjects_of(small_lab)
    assert len(subjects) == 2
    for subject in subjects:
        told = remove("subject", subject)
        assert told.rows["recording.Channel"] == 8
    after = everything(home)
    assert {name: after[name] for name in changed(before, after)} == {}


def test_a_file_that_was_removed_comes_again_with_the_same_rows(recorded, home):
    from schemas import session
    from workers.remove import plan_removal, remove

    before = everything(home)
    path = recorded()
    key = (session.NwbFile & {"path": Path(path).name}).fetch1("nwb_file")
    first, whole = content(key), everything(home)
    assert len(first["windows"]) == 1
    plan = plan_removal("file", path)
    assert everything(home) == whole
    stored = set(whole["files"]) - set(before["files"])
    assert len(plan.objects) == len(stored) > 1
    assert plan.n_bytes == sum(os.path.getsize(file) for file in stored)
    assert remove("file", Path(path).name).rows == plan.rows
    assert changed(before, everything(home)) == set()
    recorded()
    assert content(key) == first


@pytest.mark.parametrize(
    "arms",
    [
        [before_the_list, before_the_rows, among_the_rows, before_the_commit, after_the_commit],
        [after_one_object],
        [before_the_list_goes],
    ],
    ids=["around the commit", "among the objects", "at the end"],
)
def test_a_removal_that_was_killed_is_whole_or_finished_by_the_next(recorded, home, arms):
    from workers.remove import NoSuchName, remove

    before = everything(home)
    path = recorded()
    whole = everything(home)
    for arm in arms[:-1]:
        assert removing(path, arm) == -signal.SIGKILL, arm.__name__
        assert changed(whole, everything(home)) == set(), arm.__name__
    assert removing(path, arms[-1]) == -signal.SIGKILL
    left = everything(home)
    left["files"] = before["files"]
    assert changed(before, left) == set()
    told = []
    remove("file", path, say=told.append)
    assert changed(before, everything(home)) == set()
    assert len(told) == 1
    assert not list((home / "removals").glob("*.json"))
    with pytest.raises(NoSuchName):
        remove("file", path)


def hold_a_job(path, told):
    """Reserve the job of the windows of a file, in a process of its own, and keep it."""
    import schemas
    from schemas import _lease, windows
    from workers.remove import plan_removal

    try:
        schemas.connect(create=False)
        keys = [{"windows": key} for key in plan_removal("file", path).fallen["windows"]]
        (windows.Windows & keys).delete()
        _lease.take(lane="cpu")
        windows.Windows.jobs.refresh(keys)
        assert windows.Windows.jobs.reserve(keys[0])
        os.write(told, b"1")
        signal.pause()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    os._exit(1)


def test_what_a_living_worker_has_in_hand_stays_until_it_is_gone(recorded, home):
    from workers.remove import RemovalRefused, plan_removal, remove

    path = recorded()
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        hold_a_job(path, told)
    os.close(told)
    try:
        assert os.read(ready, 1) == b"1"
        whole = everything(home)
        assert f"pid {pid}: windows.Windows" in plan_removal("file", path).in_use[0]
        with pytest.raises(RemovalRefused, match=f"pid {pid}: windows.Windows"):
            remove("file", path)
        assert changed(whole, everything(home)) == set()
    finally:
        os.close(ready)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert not plan_removal("file", path).in_use
    assert remove("file", path).rows["windows.WindowsTask"] == 1


def test_a_worker_goes_on_with_other_files_while_one_is_removed(crew, tables):
    from workers.remove import remove

    crew.files("0.8_a", "0.8_b", "0.1_c")
    crew.start(until_idle=True)
    crew.wait_for(lambda: any(line.startswith("begin 0.8_") for line in crew.said()))
    waiting = [n for n in ("0.8_a", "0.8_b") if f"begin {n}.nwb" not in crew.said()]
    pending = f"{(waiting or ['0.1_c'])[-1]}.nwb"
    remove("file", str(crew.folder / pending))
    crew.wait_for(lambda: crew.running[0].poll() is not None)
    assert json.loads(crew.running[0].stdout.read())["failed"] == {}
    assert f"begin {pending}" not in crew.said()
    assert crew.rows() == 2
    assert not [row for row in (crew.jobs & crew.keys).to_dicts() if row["status"] == "error"]


@pytest.fixture
def command(recorded, monkeypatch):
    """The command, on the tables of this run, with one recording there."""
    from typer.testing import CliRunner

    import schemas
    from workers.cli import app

    monkeypatch.setattr(schemas, "activate", lambda **_: None)
    path = recorded()

    def run(*arguments):
        return CliRunner().invoke(app, ["remove", *arguments], catch_exceptions=False)

    return path, run


def test_the_verb_shows_first_and_removes_only_when_told(command, tables, home):
    path, run = command
    whole = everything(home)
    shown = run("file", path)
    assert shown.exit_code == 0
    assert "recording.Channel" in shown.stdout
    assert "nothing was removed" in shown.stdout
    told = json.loads(run("file", Path(path).name, "--json").stdout)
    assert (told["removed"], told["rows"]["recording.Channel"]) == (False, 8)
    assert everything(home) == whole
    done = json.loads(run("file", Path(path).name, "--yes", "--json").stdout)
    assert done == told | {"removed": True}
    assert not len(tables.session.NwbFile & {"path": Path(path).name})


def test_a_name_of_nothing_or_of_several_things_lists_what_there_is(command, tables):
    from workers.remove import NoSuchName

    path, run = command
    name = Path(path).name
    with pytest.raises(NoSuchName, match=f"no file is called 'x{name}'; there are .*{name}"):
        run("file", f"x{name}")
    row = (tables.session.NwbFile & {"path": name}).fetch1()
    second = row | {"nwb_file": "e" * 64, "revision": 1}
    tables.session.NwbFile.insert1(second)
    try:
        with pytest.raises(NoSuchName, match=r"fits 2 files: .*revision 0.*revision 1, eeeeee"):
            run("file", name)
        assert "revision 1" in run("file", "eeeeeeee").stdout
    finally:
        (tables.session.NwbFile & {"nwb_file": second["nwb_file"]}).delete_quick()
    for kind in ("session", "subject", "training", "study"):
        with pytest.raises(NoSuchName, match=f"no {kind} is called 'nobody'; there"):
            run(kind, "nobody")


TRY = """
import sys, schemas
from workers.remove import RemovalRefused, plan_removal, remove

schemas.activate(prefix=sys.argv[1], create=False)
print(len(plan_removal("file", sys.argv[2]).rows))
try:
    remove("file", sys.argv[2])
except RemovalRefused as error:
    print(error)
"""


def test_an_analyst_and_a_worker_see_what_would_go_and_may_not_remove_it(recorded, as_user, home):
    path = recorded()
    whole = everything(home)
    for told in as_user(("analyst", "worker"), TRY, path):
        count, sentence = told.splitlines()[-2:]
        assert int(count) > 10
        assert "may not delete rows" in sentence
        assert "--role admin" in sentence
    assert changed(whole, everything(home)) == set()
    assert not list((home / "removals").glob("*.json"))


@pytest.fixture
def as_user(database):
    """Run a script as new users, one of each role; what each printed. They are dropped after."""
    import subprocess
    import sys

    import schemas
    from workers.grants import apply_grants

    mysql = database.adapter.backend == "mysql"
    users = []

    def run(roles, script, *arguments):
        running = []
        for role in roles:
            user = f"fbr_{role}_{os.getpid()}"
            made = f"USER '{user}'@'%%' IDENTIFIED BY" if mysql else f"ROLE {user} LOGIN PASSWORD"
            database.query(f"CREATE {made} 'fieldbase-1'")
            users.append((role, user))
            apply_grants(role, user=user)
            info = database.conn_info
            server = {
                "DJ_BACKEND": database.adapter.backend, "DJ_HOST": info["host"],
                "DJ_PORT": str(info["port"]), "DJ_USER": user, "DJ_PASS": "fieldbase-1",
                "DJ_DATABASE_NAME": "fieldbase",
            }  # fmt: skip
            line = [sys.executable, "-c", script, schemas._active, *arguments]
            root = Path(__file__).parents[2]
            running.append(
                subprocess.Popen(
                    line,
                    cwd=root,
                    env=os.environ | server,
                    text=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )  # fmt: skip
            )
        told = [process.communicate(timeout=300) for process in running]
        assert not any(process.returncode for process in running), told
        return [out for out, _ in told]

    yield run
    for role, user in users:
        name = f"{schemas._active}_{role}"
        if mysql:
            database.query(f"DROP USER '{user}'@'%%'")
            database.query(f"DROP ROLE IF EXISTS `{name}`")
        else:
            database.query(f"DROP ROLE {user}")
            database.query(f'DROP OWNED BY "{name}"')
            database.query(f'DROP ROLE "{name}"')
