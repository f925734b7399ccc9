"""Whatever becomes of the child that reads a file, the parent gets one ReadError."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from nwb_files import write_generic  # noqa: E402

from pipeline.nwb import ReadError, read_summary, read_summary_isolated  # noqa: E402
from pipeline.nwb.isolate import call_isolated  # noqa: E402

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits and signals are POSIX")

BAD_READERS = """
    import os, signal, time
    def hang(source):
        time.sleep(60)
    def hang_deaf(source):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
        time.sleep(60)
    def spin(source):
        while True:
            pass
    def crash(source):
        os.kill(os.getpid(), signal.SIGSEGV)
    def leave(source):
        os._exit(3)
    def eat(source):
        return len(bytearray(3 << 30))
    def fail(source):
        raise RuntimeError("B-tree signature not found")
    def stumble(source):
        raise KeyError("a mistake of ours")
    def echo(source):
        print("noise on stdout")
        return {"source": source}
"""


@pytest.fixture
def call(tmp_path, monkeypatch):
    (tmp_path / "bad_readers.py").write_text(textwrap.dedent(BAD_READERS))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda name, **limits: call_isolated(
        f"bad_readers:{name}", "some.nwb", **{"memory_bytes": 2 << 30, "deadline_s": 30, **limits}
    )


def test_a_result_crosses_the_border_whatever_is_printed(call):
    assert call("echo") == {"source": "some.nwb"}


@pytest.mark.parametrize("name", ["hang", "hang_deaf"])
def test_a_hang_ends_at_the_deadline(call, name):
    start = time.monotonic()
    with pytest.raises(ReadError, match=r"took more than 1\.5 s and was stopped") as caught:
        call(name, deadline_s=1.5)
    assert caught.value.stage == "deadline"
    assert time.monotonic() - start < 10


def test_a_crash_names_its_signal(call):
    with pytest.raises(ReadError, match="reader of some.nwb died .SIGSEGV") as caught:
        call("crash")
    assert caught.value.stage == "crash"


def test_an_exit_without_a_result_is_a_crash(call):
    with pytest.raises(ReadError, match="died .exit code 3"):
        call("leave")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not limit address space")
def test_too_much_memory_is_told(call):
    with pytest.raises(ReadError, match="needed more than 2 GiB") as caught:
        call("eat")
    assert caught.value.stage == "memory"


def test_an_exception_becomes_one_sentence(call):
    with pytest.raises(ReadError, match="B-tree signature not found") as caught:
        call("fail")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said", "way_out"),
    [
        ("fail", "some.nwb is damaged", "fetch the file again"),
        ("stumble", "some.nwb cannot be read", "report this with the file's name"),
    ],
)
def test_a_damaged_file_and_a_mistake_of_ours_have_different_ways_out(call, name, said, way_out):
    with pytest.raises(ReadError, match=said) as caught:
        call(name)
    assert caught.value.way_out == way_out


def test_a_good_file_gives_the_same_summary_as_in_process(tmp_path):
    path = write_generic(tmp_path / "g.nwb").path
    assert read_summary_isolated(path) == read_summary(path)


def test_errors_keep_stage_message_and_way_out(tmp_path):
    (tmp_path / "text.nwb").write_text("hello")
    with pytest.raises(ReadError, match="cannot be opened as HDF5") as caught:
        read_summary_isolated(tmp_path / "text.nwb")
    assert (caught.value.stage, caught.value.way_out) == ("open", "check or refetch it")


def test_no_child_outlives_its_deadline_when_the_parent_dies(tmp_path):
    (tmp_path / "bad_readers.py").write_text(textwrap.dedent(BAD_READERS))
    limits = ["--memory", str(2 << 30), "--deadline", "1"]
    command = [sys.executable, "-m", "pipeline.nwb.isolate", "bad_readers:hang", "x", "r.json"]
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    child = subprocess.Popen(
        [*command, *limits], cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}
    )
    assert child.wait(20) != 0


def test_a_reader_that_turns_in_circles_is_stopped_by_what_it_computed(call, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.nwb.isolate.COMPUTING_S", 1.0)
    small = tmp_path / "small.nwb"
    small.write_bytes(b"x")
    from pipeline.nwb import isolate

    child = "import pipeline.nwb.isolate as i; i.COMPUTING_S = 1.0; from pathlib import Path; "
    child += f"i.work('bad_readers:spin', {str(small)!r}, Path('r.json'), 2 << 30, 60.0)"
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    ended = subprocess.run([sys.executable, "-c", child], cwd=tmp_path,
                           env={**os.environ, "PYTHONPATH": paths}, timeout=50)  # fmt: skip
    told = isolate._died(str(small), ended.returncode, "", 2 << 30, 600.0)
    assert (told.stage, "took more than 1 s" in told.message) == ("deadline", True)
