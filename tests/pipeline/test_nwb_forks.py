"""Children that read files are forked from one process; whatever becomes of it, files are read."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from pipeline.nwb import ReadError, forks
from pipeline.nwb.isolate import call_isolated

pytestmark = pytest.mark.skipif(not forks.AVAILABLE, reason="children are forked on Linux only")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def call(tmp_path, monkeypatch):
    (tmp_path / "odd_readers.py").write_text(
        textwrap.dedent("""
            import os, time
            times_called = []
            def parent(source):
                return os.getppid()
            def child(source):
                return os.getpid()
            def stumble_if_used(source):
                times_called.append(source)
                if len(times_called) > 1:
                    raise RuntimeError("harmed by the file before")
                return os.getpid()
            def crash_if_used(source):
                times_called.append(source)
                if len(times_called) > 1:
                    os.kill(os.getpid(), 11)
                return os.getpid()
            def fail(source):
                raise RuntimeError("B-tree signature not found")
            def limits(source):
                import resource, signal
                left = signal.getitimer(signal.ITIMER_REAL)[0]
                return [resource.getrlimit(resource.RLIMIT_AS)[0], left]
            def hang(source):
                time.sleep(60)
        """)
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda name, deadline_s=30: call_isolated(
        f"odd_readers:{name}", "some.nwb", memory_bytes=2 << 30, deadline_s=deadline_s
    )


def test_one_process_forks_every_child(call):
    first, second = call("parent"), call("parent")
    assert first == second == forks._nursery.process.pid


def test_a_child_that_hangs_does_not_hold_up_the_next(call):
    before = call("parent")
    with pytest.raises(ReadError, match="took more than 1 s"):
        call("hang", deadline_s=1)
    assert call("parent") == before


def test_a_child_reads_a_bounded_number_of_files(call):
    children = [call("child") for _ in range(forks.FILES_EACH + 1)]
    assert len(set(children)) in (2, 3)  # the first had perhaps read some for another test
    assert max(children.count(child) for child in children) <= forks.FILES_EACH


def test_a_child_that_could_not_read_a_file_reads_no_other(call):
    before = call("child")
    assert call("child") == before
    with pytest.raises(ReadError, match="B-tree"):
        call("fail")
    assert call("child") != before


@pytest.mark.parametrize("how", ["stumble_if_used", "crash_if_used"])
def test_what_a_used_child_cannot_read_a_fresh_one_decides(call, how):
    assert call(how) != call(how)


def test_each_file_has_limits_of_its_own(call):
    call("child")
    memory, left = call("limits", deadline_s=7)
    assert memory == 2 << 30
    assert 7 < left <= 8
    memory, left = call("limits", deadline_s=40)
    assert memory == 2 << 30
    assert 40 < left <= 41


def test_a_child_killed_while_it_waits_is_replaced(call):
    before = call("child")
    os.kill(before, signal.SIGKILL)
    assert call("child") != before


def test_files_are_read_where_the_process_that_forks_was_killed(call):
    before, child = call("parent"), call("child")
    killed = forks._nursery.process
    killed.kill()
    call("child")  # at once, by the child that it had or by a new one
    killed.wait()
    assert call("parent") != before
    again = call("child")
    forks._nursery.process.kill()
    os.kill(again, signal.SIGKILL)
    assert call("child") not in (child, again)


def test_the_process_that_forks_leaves_with_the_one_it_forks_for(call):
    script = (
        "import os, time\nfrom pipeline.nwb import forks\n"
        "from pipeline.nwb.isolate import call_isolated\n"
        "call_isolated('odd_readers:parent', 'x', memory_bytes=2 << 30, deadline_s=30)\n"
        "print(forks._nursery.process.pid, flush=True)\ntime.sleep(60)\n"
    )
    paths = os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])
    reader = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    nursery = psutil.Process(int(reader.stdout.readline()))
    reader.send_signal(signal.SIGKILL)
    reader.wait()
    assert psutil.wait_procs([nursery], timeout=10)[1] == []
