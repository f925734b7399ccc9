"""The file that says where data roots lie on this machine loses none of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from schemas._roots import add_root, data_roots

ADD = """
import sys
from pathlib import Path
from schemas._roots import add_root

for number in range(40):
    add_root(f"{sys.argv[1]}-{number}", Path(sys.argv[2]))
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FIELDBASE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FIELDBASE_ROOTS", raising=False)
    return tmp_path / "home"


def test_processes_that_add_roots_at_once_lose_none(home, tmp_path):
    command = [sys.executable, "-c", ADD]
    jobs = [subprocess.Popen([*command, name, str(tmp_path)]) for name in ("a", "b", "c")]
    assert [job.wait(120) for job in jobs] == [0, 0, 0]
    assert set(data_roots()) == {f"{name}-{n}" for name in "abc" for n in range(40)}


def test_a_process_killed_while_it_writes_leaves_the_roots_there_were(home, tmp_path, monkeypatch):
    add_root("first", tmp_path)

    def die(self, text, **options):
        with self.open("w") as file:
            file.write(text[:12])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", die)
    with pytest.raises(KeyboardInterrupt):
        add_root("second", tmp_path)
    assert data_roots() == {"first": tmp_path}


def test_what_the_environment_says_is_not_written_down(home, tmp_path, monkeypatch):
    monkeypatch.setenv("FIELDBASE_ROOTS", json.dumps({"there": str(tmp_path / "there")}))
    add_root("here", tmp_path)
    assert set(data_roots()) == {"here", "there"}
    monkeypatch.delenv("FIELDBASE_ROOTS")
    assert data_roots() == {"here": tmp_path}
