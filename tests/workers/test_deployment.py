"""Compose, Kubernetes and image files by schema, by their linters and by what they must not say.

Nothing is built here: no container engine is needed to run the tests.
"""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import compose_spec
import kubernetes_validate
import pytest
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement

sys.path.insert(0, str(Path(__file__).parent))
from deployment_files import (  # noqa: E402
    ROOT,
    WORKERS,
    deep_change,
    pod_of,
    read_compose,
    read_manifests,
    worker_commands,
)

TOOLS = Path(sys.executable).parent
SECRET = re.compile(r"PASS|SECRET|KEY|TOKEN|CREDENTIAL", re.IGNORECASE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command, **options):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, **options)


def check_compose(tree):
    compose_spec.PyCompose.from_json(json.dumps(tree)).validate()


# The image


@pytest.fixture(scope="module")
def instructions():
    return DockerfileParser(str(WORKERS / "Dockerfile"), env_replace=False).structure


def of_last_stage(instructions):
    begins = [i for i, line in enumerate(instructions) if line["instruction"] == "FROM"]
    return instructions[begins[-1] :]


def test_the_linter_of_dockerfiles_finds_nothing(tmp_path):
    found = run(TOOLS / "hadolint", "--format", "json", WORKERS / "Dockerfile")
    assert json.loads(found.stdout) == []
    (tmp_path / "Dockerfile").write_text("FROM debian:latest\nRUN cd /x && sudo make\n")
    bad = run(TOOLS / "hadolint", "--format", "json", tmp_path / "Dockerfile")
    assert {"DL3003", "DL3004", "DL3007"} <= {line["code"] for line in json.loads(bad.stdout)}


def test_the_image_runs_the_command_as_nobody_in_particular(instructions):
    last = {line["instruction"]: line["value"] for line in of_last_stage(instructions)}
    order = [line["instruction"] for line in of_last_stage(instructions)]
    assert json.loads(last["ENTRYPOINT"]) == ["fieldbase"]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last["USER"]), "a number, so that k8s can tell"
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert "RUN" not in order[order.index("USER") :]


def test_no_secret_has_a_place_in_the_image(instructions):
    for line in instructions:
        if line["instruction"] in ("ARG", "ENV", "LABEL"):
            assert not SECRET.search(line["value"]), line["content"]


def test_all_that_is_copied_is_there_and_let_into_the_build(instructions):
    ignored = (WORKERS / "Dockerfile.dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    kept_out = [line for line in ignored if line.startswith("**/")]
    copied = [line["value"].split() for line in instructions if line["instruction"] == "COPY"]
    sources = [s for words in copied if "--from" not in words[0] for s in words[:-1]]
    assert set(sources) == set(let_in)
    for source in sources:
        assert (ROOT / source).exists(), source
    assert ignored[1] == "*", "what is not named does not reach the builder"
    assert any(fnmatch("workers/.secrets", pattern) for pattern in kept_out)


def test_what_pip_installs_is_pinned_and_torch_is_a_build_argument(instructions):
    commands = [line["value"] for line in instructions if line["instruction"] == "RUN"]
    installs = [part for c in commands for part in c.split("&&") if "pip install" in part]
    assert len(installs) == 3
    assert all("-c constraints.txt" in part or "--no-deps ." in part for part in installs)
    arguments = [line["value"] for line in instructions if line["instruction"] == "ARG"]
    assert "TORCH=cpu" in arguments
    assert any("${TORCH}" in part and part.strip().endswith("torch") for part in installs)


def test_the_image_has_the_dependencies_and_extras_workers_need(instructions):
    """The line that lists them is run as the build runs it."""
    command = next(
        line["value"] for line in instructions if "tomllib" in line["value"]
    )  # fmt: skip
    python, option, code, *rest = shlex.split(command)
    assert (python, option, rest[:2]) == ("python", "-c", [">", "requirements.txt"])
    listed = run(sys.executable, "-c", code, cwd=ROOT, check=True).stdout.splitlines()
    extras = PROJECT["optional-dependencies"]
    assert listed[: len(PROJECT["dependencies"])] == PROJECT["dependencies"]
    names = {Requirement(line).name for line in listed}
    assert {Requirement(line).name for e in ("torch", "dandi", "s3") for line in extras[e]} <= names
    assert not {"pytest", "ruff"} & names


def test_the_apptainer_recipe_installs_the_same_and_runs_the_same():
    recipe = (WORKERS / "slurm" / "fieldbase.def").read_text()
    sections = dict(re.findall(r"^%(\w+)\n(.*?)(?=^%|\Z)", recipe, re.MULTILINE | re.DOTALL))
    assert sections["runscript"].split() == ["exec", "fieldbase", '"$@"']
    for line in sections["files"].strip().splitlines():
        assert (ROOT / line.split()[0]).exists(), line
    assert "'.[torch,ibl,dandi,s3]'" in sections["post"]
    arguments = dict(
        line.strip().split("=", 1) for line in sections["arguments"].strip().splitlines()
    )
    used = set(re.findall(r"\{\{ (\w+) \}\}", recipe))
    assert used == set(arguments)
    docker = (WORKERS / "Dockerfile").read_text()
    assert all(f"ARG {name}={value}\n" in docker for name, value in arguments.items())
    script = re.sub(r"\{\{ (\w+) \}\}", r"\1", sections["post"])
    assert run("sh", "-n", input=script).returncode == 0


# Compose


def test_the_compose_file_keeps_to_the_specification():
    for name in ("TORCH", "DATABASE_HOST", "SECRETS"):
        check_compose(read_compose(**{name: "other"}))
    check_compose(read_compose())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("services.database.imagee", "mysql"),
        ("services.worker-io.stop_grace_period", "a while"),
        ("services.worker-gpu.deploy.replicas", "many"),
        ("services.init.depends_on.database.condition", "healthy"),
        ("services.init.secrets", ["nobody_made_it"]),
        ("services.database.healthcheck.intervall", "5s"),
    ],
)
def test_the_specification_would_be_missed(path, value):
    with pytest.raises(ValueError):
        check_compose(deep_change(read_compose(), path, value))


def test_services_wait_for_services_that_are_there_and_can_be_waited_for():
    services = read_compose()["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, name
            if how["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"]
    assert all(
        "init" in service["depends_on"]
        for name, service in services.items()
        if name.startswith("worker")
    )
    assert services["init"]["command"] == ["init"]


def test_the_database_is_set_as_the_tables_are_tested():
    options = read_compose()["services"]["database"]["command"]
    assert read_compose()["services"]["database"]["image"] == "mysql:8.4"
    tested = (ROOT / "tests" / "run_on_mysql.py").read_text()
    for option in ("--collation-server=utf8mb4_bin", "--default-time-zone=+00:00",
                   "--max-allowed-packet=512M"):  # fmt: skip
        assert option in options
        assert option in tested
    assert "--character-set-server=utf8mb4" in options


def test_compose_holds_no_secret_and_hands_them_over_as_files():
    from datajoint.settings import SYSTEM_SECRETS_DIR

    compose = read_compose()
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            assert not SECRET.search(variable) or str(value).startswith("/run/secrets/"), name
            assert "access_key" not in str(value)
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    stores = json.loads(compose["services"]["init"]["environment"]["DJ_STORES"])
    targets = {Path(s["target"]) for s in compose["services"]["init"]["secrets"]}
    wanted = {f"stores.{store}.{key}" for store in stores for key in ("access_key", "secret_key")}
    assert targets == {SYSTEM_SECRETS_DIR / name for name in {"database.password", *wanted}}


def test_ports_are_open_to_this_machine_alone_unless_an_address_is_given():
    for given, address in (({}, "127.0.0.1"), ({"PUBLISH": "10.0.0.7"}, "10.0.0.7")):
        services = read_compose(**given)["services"].values()
        ports = [port for service in services for port in service.get("ports", ())]
        assert [port.rpartition(":")[0].rpartition(":")[0] for port in ports] == [address] * 2


def test_containers_of_ours_can_do_little():
    ours = [s for s in read_compose()["services"].values() if s["image"].startswith("fieldbase")]
    assert len(ours) > 4
    for service in ours:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert any(str(volume).endswith("/recordings:ro") for volume in service["volumes"])


def test_workers_of_one_machine_know_of_each_others_gpus():
    gpu = read_compose(GPU_WORKERS="4")["services"]["worker-gpu"]
    assert gpu["deploy"]["replicas"] == 4
    assert gpu["uts"] == "host", "the name of the machine says whose GPUs are taken"
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_made_secrets_are_those_compose_asks_for_and_are_kept(tmp_path):
    script = WORKERS / "make_secrets.sh"
    assert run("bash", script, tmp_path / "secrets").returncode == 0
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    asked = read_compose(SECRETS=str(tmp_path / "secrets"))["secrets"].values()
    assert {Path(secret["file"]).name for secret in asked} == set(made)
    (identity,) = json.loads(made["objects.s3.json"])["identities"]
    (keys,) = identity["credentials"]
    assert keys == {
        "accessKey": made["objects.access_key"], "secretKey": made["objects.secret_key"]
    }  # fmt: skip
    assert re.fullmatch(r"[0-9a-f]{32}", made["database.password"])
    assert made["database.password"] != made["database.root"]
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert run("bash", script, tmp_path / "secrets").returncode == 0
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made


# Kubernetes


def objects():
    return [(name, m) for name, m in read_manifests() if m["kind"] != "Kustomization"]


@pytest.mark.parametrize(("name", "manifest"), objects(), ids=lambda value: str(value)[:20])
def test_manifests_keep_to_the_schemas_of_kubernetes(name, manifest):
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(manifest, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest | {"specc": {}}, version, strict=True)


def test_the_kustomization_names_what_is_there():
    (kustomization,) = [m for _, m in read_manifests() if m["kind"] == "Kustomization"]
    there = {name for name, _ in objects()}
    assert set(kustomization["resources"]) == there
    images = {pod_of(m)["containers"][0]["image"] for _, m in objects() if m["kind"] != "ConfigMap"}
    assert {image["name"] for image in kustomization["images"]} == images


def test_pods_run_as_the_user_of_the_image_and_can_do_little(instructions):
    user = next(line["value"] for line in instructions if line["instruction"] == "USER")
    for _, manifest in objects():
        if manifest["kind"] == "ConfigMap":
            continue
        pod = pod_of(manifest)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert user == "{runAsUser}:{runAsGroup}".format(**pod["securityContext"])
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_pods_get_secrets_from_a_secret_where_datajoint_looks_for_them():
    from datajoint.settings import SYSTEM_SECRETS_DIR

    for _, manifest in objects():
        if manifest["kind"] == "ConfigMap":
            assert not any(SECRET.search(name) for name in manifest["data"])
            stores = json.loads(manifest["data"]["DJ_STORES"])
            assert set(stores) == {"arrays", "checkpoints"}
            continue
        pod = pod_of(manifest)
        (container,) = pod["containers"]
        assert not any(SECRET.search(entry["name"]) for entry in container["env"])
        mounted = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
        (secret,) = [v for v in pod["volumes"] if v["name"] == mounted[str(SYSTEM_SECRETS_DIR)]]
        assert secret["secret"]["secretName"] == "fieldbase"
        assert secret["secret"]["defaultMode"] == 0o440


# The same entry point everywhere


@pytest.mark.parametrize(("where", "arguments"), list(worker_commands()))
def test_what_starts_a_worker_is_what_the_command_takes(where, arguments):
    import typer

    from workers.cli import app
    from workers.lanes import parse_lanes

    verb, *rest = arguments
    command = typer.main.get_command(app).commands[verb]
    asked = command.make_context(verb, list(rest)).params
    assert parse_lanes(asked["lane"]) == (where.split("-")[-1].removesuffix(".yaml"),)
    assert asked["grace"] > 0


def test_containers_are_given_longer_to_stop_than_workers_take():
    grace = {where: int(arguments[arguments.index("--grace") + 1])
             for where, arguments in worker_commands()}  # fmt: skip
    services = read_compose()["services"]
    given = {f"compose {name}": int(s["stop_grace_period"].removesuffix("s"))
             for name, s in services.items() if name.startswith("worker")}  # fmt: skip
    given |= {f"k8s {name}": pod_of(m)["terminationGracePeriodSeconds"]
              for name, m in objects() if m["kind"] == "Deployment"}  # fmt: skip
    assert given.keys() == grace.keys()
    assert all(given[where] >= seconds + 10 for where, seconds in grace.items())


@pytest.mark.parametrize("lane", ["io", "cpu", "gpu"])
def test_every_lane_has_workers_in_compose_and_in_kubernetes(lane):
    found = {where.split()[0] for where, a in worker_commands() if a[a.index("--lane") + 1] == lane}
    assert found == {"compose", "k8s"}
