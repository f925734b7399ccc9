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
            def parent(source):
                return os.getppid()
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


def test_files_are_read_where_the_process_that_forks_was_killed(call):
    before = call("parent")
    forks._nursery.process.kill()
    assert call("parent") != before  # at once, by a child of its own
    again = call("parent")
    forks._nursery.process.kill()
    forks._nursery.process.wait()
    assert call("parent") not in (before, again)


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
