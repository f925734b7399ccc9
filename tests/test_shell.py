"""What holds the repository together: dependencies, imports, file sizes, the source of MySQL."""

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "isal": "python-isal"}
IN_ENVIRONMENT = ("torch", "ibl", "notebook")  # the extras an environment.yml is for


def tracked(*patterns):
    listed = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout: which files belong to the repository is not known")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def declared():
    """Name and version range of every dependency an analyst's environment needs."""
    extras = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + [line for extra in IN_ENVIRONMENT for line in extras[extra]]
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(r.name): str(r.specifier) for r in requirements}


def test_environment_yml_and_pyproject_name_the_same_dependencies():
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    from_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    assert from_pip[-1] == "-e ."
    lines = [line for line in listed if isinstance(line, str)] + from_pip[:-1]
    environment = {}
    for line in lines:
        name, version = re.fullmatch(r"([\w-]+)(.*)", line).groups()
        environment[name] = str(Requirement(f"x{version}").specifier)
    assert environment.pop("python") == PROJECT["requires-python"]
    environment.pop("pip")
    assert environment == {CONDA_NAMES.get(name, name): v for name, v in declared().items()}


def test_constraints_give_every_direct_dependency_a_version_in_its_range():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    extras = PROJECT["optional-dependencies"]
    for line in PROJECT["dependencies"] + [line for lines in extras.values() for line in lines]:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if name == PROJECT["name"]:
            continue
        assert requirement.specifier.contains(versions[name]), (
            f"{line}: tested with {versions[name]}"
        )
    assert versions["torch"] == "2.13.0"


def test_the_core_needs_neither_torch_nor_dandi_nor_s3():
    core = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert not core & {"torch", "transformers", "dandi", "s3fs", "boto3", "ibl-neuropixel"}


def test_importing_schemas_is_quick_and_without_torch():
    """Processor time, so that it is about us and not about what else the machine is doing."""
    code = (
        "import json, sys, time; began = time.process_time(); import schemas;"
        "took = time.process_time() - began; print(json.dumps([took, sorted(sys.modules)]))"
    )
    took = []
    while len(took) < 8 and min(took, default=9) > 2:
        time.sleep(len(took))  # the other test process slows the processor for both
        run = subprocess.run(
            [sys.executable, "-W", "error::UserWarning", "-c", code],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds, modules = json.loads(run.stdout)
        took.append(seconds)
        assert not {"torch", "transformers", "dandi", "s3fs"} & set(modules)
    assert min(took) <= 2


def test_importing_schemas_connects_to_nothing(tmp_path):
    environment = os.environ | {"FIELDBASE_HOME": str(tmp_path / "home")}
    code = "import schemas, datajoint.instance as i; assert i._singleton_connection is None"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert not (tmp_path / "home").exists()


def test_pipeline_never_needs_datajoint():
    code = (
        "import importlib, pkgutil, sys; sys.modules['datajoint'] = None; import pipeline\n"
        "for module in pkgutil.iter_modules(pipeline.__path__, 'pipeline.'):\n"
        "    importlib.import_module(module.name)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_distribution_owns_the_three_packages():
    owners = importlib.metadata.packages_distributions()
    if "fieldbase" not in {name for names in owners.values() for name in names}:
        pytest.skip("fieldbase is not installed here: `make env` or `pip install -e .`")
    for package in ("pipeline", "schemas", "workers"):
        assert set(owners[package]) == {"fieldbase"}


def test_every_tracked_file_of_the_packages_is_in_the_distribution():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["packages"]["find"]["include"] == ["pipeline*", "schemas*", "workers*"]
    for package in ("pipeline", "schemas", "workers"):
        files = tracked(package)
        data = {
            path for glob in setuptools["package-data"].get(package, ())
            for path in (ROOT / package).glob(glob)
        }  # fmt: skip
        for path in files:
            assert (path.parent / "__init__.py").is_file() or path in data, path
            assert path.suffix == ".py" or path in data, f"{path} would not be installed"


def test_imports_go_one_way():
    tool = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_files_stay_small_enough_to_read():
    lines = {path: path.read_text().count("\n") for path in tracked("*.py")}
    assert {path.name: n for path, n in lines.items() if n > 400} == {}
    assert sorted(lines.values())[len(lines) // 2] <= 150


def test_nothing_large_or_generated_or_secret_is_committed():
    for path in tracked():
        assert path.stat().st_size <= 1_000_000, path
        assert path.suffix not in {".nwb", ".safetensors", ".npy", ".pt", ".pkl", ".log"}, path
    assert "password" not in (ROOT / "datajoint.json").read_text()
    assert "host" not in (ROOT / "datajoint.json").read_text(), "no host: the default is embedded"


def load_script():
    """The module that `make test-mysql` runs."""
    spec = importlib.util.spec_from_file_location("run_on_mysql", ROOT / "tests/run_on_mysql.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("docker", "host", "debian", "source"),
    [
        (True, "db", True, "docker"),
        (False, "db", True, "named"),
        (False, None, True, "debian"),
    ],
)
def test_mysql_comes_from_docker_then_the_named_server_then_debian(docker, host, debian, source):
    assert load_script().choose(docker, host, debian) == source


def test_without_any_mysql_the_tests_fail_and_say_what_to_do():
    with pytest.raises(SystemExit, match="start Docker, or set DJ_HOST"):
        load_script().choose(False, None, False)


def test_table_tests_never_fall_back_to_another_server(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name[:3] != "DJ_"}
    environment |= {"FIELDBASE_TEST_BACKEND": "mysql", "FIELDBASE_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "tables", "tests/schemas/test_connect.py"],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode != 0
    assert "needs DJ_HOST" in run.stdout + run.stderr
