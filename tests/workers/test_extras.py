"""The core alone is enough for what needs no model; what more is needed is one line to copy."""

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from workers import extras
from workers.doctor import examine

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WITHOUT_EXTRAS = f"""
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *where: (
    None if name.split(".")[0] in {set(extras.EXTRAS)} else find(name, *where)
)
"""


def command(*arguments, home, without_extras=False, **environment):
    """Run ``fieldbase`` in a process of its own."""
    code = WITHOUT_EXTRAS if without_extras else ""
    code += "import sys; from workers.cli import main; sys.argv[0] = 'fieldbase'; main()"
    clean = {name: value for name, value in os.environ.items() if name[:3] != "DJ_"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=clean | environment | {"FIELDBASE_HOME": str(home)},
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_each_named_extra_is_one_of_the_distribution():
    assert {extra for extra, _ in extras.EXTRAS.values()} <= set(PROJECT["optional-dependencies"])


def test_an_extra_is_installed_as_the_distribution_asks_for_it():
    try:
        version("fieldbase")
    except PackageNotFoundError:
        pytest.skip("fieldbase is not installed here: `make env` or `pip install -e .`")
    assert extras.requirements("torch") == PROJECT["optional-dependencies"]["torch"]


@pytest.mark.parametrize("arguments", [("demo", "--no-install"), ("study", "run", "{study}")])
def test_without_torch_the_line_that_installs_it_is_all_that_happens(tmp_path, arguments):
    study = tmp_path / "study.toml"
    study.write_text('[study]\nname = "x"\n[data]\nrecordings = ["x.nwb"]\n')
    arguments = [text.format(study=study) for text in arguments]
    ran = command(*arguments, home=tmp_path / "home", without_extras=True)
    assert ran.returncode == 2
    assert ran.stderr.strip().splitlines()[-1].endswith("pip install 'fieldbase[torch]'")
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "home").exists()


def test_the_demo_lets_pip_install_what_is_missing_and_says_when_it_cannot(monkeypatch):
    monkeypatch.setattr(extras, "is_installed", lambda name: name not in ("torch", "transformers"))
    monkeypatch.setattr(extras, "requirements", lambda extra: ["torch>=2.6"])
    asked, said = [], []

    def fails(line, **_):
        asked.append(line)
        return subprocess.CompletedProcess(line, 1)

    monkeypatch.setattr(subprocess, "run", fails)
    with pytest.raises(extras.MissingExtra, match=r"pip install 'fieldbase\[torch\]'"):
        extras.install("torch", said.append)
    assert asked == [[sys.executable, "-m", "pip", "install", "--quiet", "torch>=2.6"]]
    assert "torch and transformers" in said[0]
    extras.install("notebook", said.append)
    assert len(asked) == 1, "what is there is not installed again"


def test_a_doctor_who_finds_nothing_makes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("FIELDBASE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DJ_HOST", raising=False)
    found = {row["what"]: row for row in examine()}
    assert found["database"]["mend"] == "fieldbase init"
    assert not any(row["mend"] for row in found.values() if row["needed"])
    assert not (tmp_path / "home").exists()


def test_the_doctor_looks_without_torch_and_names_the_server_that_does_not_answer(tmp_path):
    server = {"DJ_HOST": "127.0.0.1", "DJ_PORT": "9", "DJ_USER": "ada", "DJ_PASS": "secret"}
    ran = command("doctor", "--json", home=tmp_path, without_extras=True, **server)
    assert ran.returncode == 1
    found = {row["what"]: row["mend"] for row in json.loads(ran.stdout)}
    assert "server 127.0.0.1:9 cannot be reached as 'ada'" in found["database"]
    assert ran.stderr == ""
    assert "secret" not in ran.stdout


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "no database in {home}; `fieldbase init` makes one"),
        ({"DJ_HOST": "db", "DJ_PORT": "abc"}, "DJ_PORT='abc': Input should be a valid integer"),
    ],
)
def test_status_says_in_one_line_why_there_is_none(tmp_path, environment, told):
    ran = command("status", home=tmp_path / "home", without_extras=True, **environment)
    assert ran.returncode == 2
    assert told.format(home=tmp_path / "home") in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "home").exists()
