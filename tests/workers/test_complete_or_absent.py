"""Killed between object and row, a process leaves nothing that is read as data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POINTS = ("half an object", "one object", "before the row", "before the commit")
KILLED = """
import json, os, signal, sys
import schemas
from schemas import _stores, training, windows

prefix, name, point, key = *sys.argv[1:4], json.loads(sys.argv[4])
schemas.activate(prefix=prefix, create=False)
table = {"Windows": windows.Windows, "Training": training.Training}[name]
connection = table.connection

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def halve(handle):
    os.ftruncate(handle, max(1, os.fstat(handle).st_size // 2))
    die()

if point == "half an object":
    fit_ended = []
    put = _stores.Store._room_for
    def armed(self, n_bytes):
        _stores.os = type("os", (), {**vars(os), "fsync": staticmethod(halve)})
        return put(self, n_bytes)
    _stores.Store._room_for = armed
elif point == "one object":
    for method in ("put_buffer", "put_folder"):
        def put(self, *args, before=getattr(_stores.Store, method)):
            before(self, *args)
            die()
        setattr(_stores.Store, method, put)
elif point == "before the row":
    query = connection.query
    def asked(text, *args, **options):
        if "INSERT" in text and table.full_table_name in text:
            die()
        return query(text, *args, **options)
    connection.query = asked
elif point == "before the commit":
    connection.commit_transaction = die
table.populate(key)
"""


def windows_asked(length_s):
    """A windows task of the first mouse that nobody has asked for yet."""
    from pipeline.preprocessing import WindowParams
    from schemas import dataset, recording, windows
    from workers.study.plan import ask_windows

    wanted = {"study": "locate_small", "member_table": "windows_task"}
    asked = [{"windows": name} for name in (dataset.StudyMember & wanted).to_arrays("member")]
    one = (windows.WindowsTask & asked).to_dicts(limit=1)[0]
    series = (recording.LfpSeries * windows.WindowsLfp & one).to_dicts()[0]
    params = {"lfp_params": one["lfp_params"]}
    params |= windows.WindowParamSet.register(None, WindowParams(length_s=length_s))
    return {"windows": ask_windows(params, {"session": one["session"], "lfp": series})}


def training_asked(seed):
    from schemas import dataset, training

    wanted = {"study": "locate_small", "member_table": "training_task"}
    asked = [{"training": name} for name in (dataset.StudyMember & wanted).to_arrays("member")]
    tasks = training.TrainingTask * training.ModelParamSet & asked
    row = (tasks & {"family": "band_power"}).to_dicts()[0]
    names = ("split", "fold", "model", "fit_params")
    content = {name: row[name] for name in names}
    return training.TrainingTask.ensure(parents={}, seed=seed, **content)


def kill(name, point, key):
    import schemas

    return subprocess.run(
        [sys.executable, "-c", KILLED, schemas._active, name, point, json.dumps(key)],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def damage(name, key):
    from workers.verify import verify

    return [found for found in verify(table=name).damage if found.key == key]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("name", ["Windows", "Training"])
def test_after_a_kill_there_is_no_row_and_making_it_again_works(mice, name, point):
    from schemas import training, windows
    from workers.collect import find_garbage, remove_garbage

    number = POINTS.index(point)
    table = {"Windows": windows.Windows, "Training": training.Training}[name]
    key = windows_asked(1.0 + number / 8) if name == "Windows" else training_asked(900 + number)
    killed = kill(name, point, key)
    assert killed.returncode == -9, killed.stderr
    assert not table & key
    assert not damage(name, key)
    mark = next(iter(key.values()))
    left = [o for o in find_garbage(0).orphans if o.store and mark in o.path]
    assert left, "the test killed before anything was stored"
    assert sum(orphan.n_bytes for orphan in left) > 0

    table.populate(key)
    assert len(table & key) == 1
    removed = {o.path for o in remove_garbage(find_garbage(0)) if o.store}
    assert {orphan.path for orphan in left} <= removed
    assert not damage(name, key)
    assert not [o for o in find_garbage(0).orphans if o.store]


def test_what_is_younger_than_the_grace_time_is_let_alone(mice):
    from schemas import windows
    from workers.collect import find_garbage, remove_garbage

    key = windows_asked(1.75)
    assert kill("Windows", "one object", key).returncode == -9
    found = find_garbage(3600)
    assert not [o for o in found.orphans if o.store]
    assert found.young >= 1
    windows.Windows.populate(key)
    assert remove_garbage(find_garbage(0))


HOLDER = """
import sys, schemas
from schemas import _lease
schemas.activate(prefix=sys.argv[1], create=False)
_lease.take(lane="cpu")
print("held", flush=True)
sys.stdin.read()
"""


def test_nothing_is_removed_while_another_process_holds_a_lease(mice):
    import schemas
    from workers.collect import CollectRefused, Garbage, find_garbage, remove_garbage

    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, schemas._active], cwd=ROOT, env=os.environ, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        assert holder.stdout.readline() == "held\n"
        find_garbage(0)
        with pytest.raises(CollectRefused, match=f"pid {holder.pid}"):
            remove_garbage(Garbage())
    assert remove_garbage(Garbage()) == []


def test_a_store_of_which_no_row_names_anything_is_not_emptied(mice):
    from workers.collect import CollectRefused, Garbage, Orphan, remove_garbage

    found = Garbage([Orphan("arrays", "_schema/x/y.npy", 5, 1e6, "")], named={"arrays": 0})
    with pytest.raises(CollectRefused, match="another database"):
        remove_garbage(found)


def test_a_row_committed_while_the_store_is_listed_keeps_its_object(mice, monkeypatch):
    """The objects are listed before the rows are read: what a row names by then is kept."""
    from schemas import windows
    from workers import collect

    key = windows_asked(1.5)
    assert not windows.Windows & key
    true = collect.named_objects

    def commit_first():
        windows.Windows.populate(key)
        return true()

    monkeypatch.setattr(collect, "named_objects", commit_first)
    found = collect.find_garbage(0)
    mark = key["windows"]
    assert not [orphan for orphan in found.orphans if mark in orphan.path]
    assert len(windows.Windows & key) == 1


def test_the_state_of_a_finished_training_is_garbage_that_of_a_waiting_one_is_not(mice, home):
    from schemas import training
    from workers.collect import find_garbage, remove_garbage

    done, waiting = training.Training().keys(limit=1)[0], training_asked(77)
    unfinished = home / "stores" / "checkpoints" / "unfinished"
    done, waiting = (unfinished / key["training"] for key in (done, waiting))
    partial = home / "cache" / "objects" / "arrays" / "x.npy.00aa.partial"
    for path in (done / "1" / "state", waiting / "1" / "state", partial):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    found = {orphan.path: orphan.n_bytes for orphan in find_garbage(0).orphans}
    assert found[f"unfinished/{done.name}"] == 4
    assert found[str(partial)] == 4
    assert f"unfinished/{waiting.name}" not in found
    remove_garbage(find_garbage(0))
    assert (waiting / "1" / "state").exists()
    assert not done.exists()
    assert not partial.exists()
