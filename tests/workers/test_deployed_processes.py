"""What compose.yaml starts, started as plain processes: its commands, environment and secrets.

The database is the server of this test run, the object store moto's; everything else is as the
containers have it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import boto3
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import BACKEND, drop_schemas  # noqa: E402
from deployment_files import ROOT, WORKERS, read_compose  # noqa: E402
from s3_server import s3_server  # noqa: E402

pytestmark = pytest.mark.slow
ENTRY = (  # the entry point of the image, on tables of this test
    "import sys, schemas; schemas.activate.__defaults__ = (sys.argv.pop(1),);"
    "from workers.cli import main; main()"
)
STUDY = """
[study]
name = "deployed"
[data]
recordings = ["recordings/**/*.nwb"]
labels = "lfp2vec5"
[lfp]
lowpass_hz = 100.0
target_rate_hz = 250.0
[windows]
length_s = 2.0
[split]
by = "subject"
folds = "leave-one-out"
validation = 0
[[model]]
name = "band power"
family = "band_power"
[analyses]
evaluation = {draws = 20}
"""


class Deployment:
    """Services of compose.yaml as processes that know one folder."""

    def __init__(self, folder, home, endpoint):
        self.prefix = f"fbt_{uuid.uuid4().hex[:8]}"
        self.folder, self.running = folder, []
        host = os.environ.get("DJ_HOST", "")
        compose = read_compose(DATABASE_HOST=host, OBJECTS_ENDPOINT=endpoint, TORCH="test")
        self.services = compose["services"]
        self._hand_over_secrets(compose)
        given = {k: str(v) for k, v in self.services["init"]["environment"].items()}
        given["FIELDBASE_ROOTS"] = given["FIELDBASE_ROOTS"].replace(
            "/recordings", str(folder / "recordings")
        )
        if BACKEND == "mysql":
            given |= {name: os.environ[name] for name in ("DJ_PORT", "DJ_USER")}
            given["FIELDBASE_HOME"] = str(folder / "home")
        else:
            given = {k: v for k, v in given.items() if k == "DJ_STORES" or k[:3] != "DJ_"}
            given["FIELDBASE_HOME"] = str(home)
        assert not any("PASS" in name or "KEY" in name for name in given)
        self.environment = given | {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}

    def _hand_over_secrets(self, compose):
        """As the engine mounts them; here DataJoint finds them beside its configuration."""
        made = self.folder / "made"
        subprocess.run(["bash", WORKERS / "make_secrets.sh", made], check=True)
        if BACKEND == "mysql":
            (made / "database.password").chmod(0o644)
            (made / "database.password").write_text(os.environ["DJ_PASS"])
        (self.folder / "datajoint.json").write_text("{}")
        (self.folder / ".secrets").mkdir()
        for secret in self.services["init"]["secrets"]:
            source = Path(compose["secrets"][secret["source"]]["file"]).name
            target = self.folder / ".secrets" / Path(secret["target"]).name
            shutil.copyfile(made / source, target)

    def start(self, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", ENTRY, self.prefix, *arguments],
            cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.running.append(process)
        return process

    def run(self, *arguments):
        """The service `fieldbase`, as ``docker compose run`` has it; what it prints."""
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        return output

    def leave(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def objects():
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def deployment(database, home, objects, tmp_path):
    made = Deployment(tmp_path, home, objects)
    yield made
    made.leave()
    drop_schemas(database, made.prefix)


def names_in(endpoint, keys):
    client = boto3.client(
        "s3", endpoint_url=f"http://{endpoint}", region_name="us-east-1",
        aws_access_key_id=keys("access_key"), aws_secret_access_key=keys("secret_key"),
    )  # fmt: skip
    return [entry["Key"] for entry in client.list_objects_v2(Bucket="fieldbase")["Contents"]]


def test_init_then_workers_of_each_lane_make_a_study_and_stop_in_order(deployment, objects):
    from pipeline.synthetic import write_lab

    write_lab(deployment.folder / "recordings", subjects=2, seed=3, layout="generic", channels=6,
              duration_s=10.0)  # fmt: skip
    (deployment.folder / "study.toml").write_text(STUDY)
    for _ in range(2):
        ready = json.loads(deployment.run(*deployment.services["init"]["command"], "--json"))
        assert ready["tables"] > 75
    lanes = ("worker-io", "worker-cpu", "worker-no-gpu")
    workers = [
        deployment.start(*deployment.services[name]["command"], "--poll", "0.5") for name in lanes
    ]
    deployment.run("study", "run", "study.toml", "--wait")

    told = json.loads(deployment.run("status", "--json"))
    rows = {row["table"]: row for row in told["tables"]}
    for table in ("recording.Ingestion", "windows.Windows", "training.Training",
                  "analysis.Evaluation"):  # fmt: skip
        assert rows[table]["done"] > 0, rows[table]
        assert rows[table]["pending"] == rows[table]["running"] == rows[table]["failed"] == 0
    assert len(told["workers"]) == 3

    began = time.monotonic()
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
    assert time.monotonic() - began < 30
    assert json.loads(deployment.run("status", "--json"))["workers"] == []

    def keys(name):
        return (deployment.folder / ".secrets" / f"stores.arrays.{name}").read_text()

    stored = names_in(objects, keys)
    assert any(name.startswith("arrays/") for name in stored)
    assert any(name.startswith("checkpoints/") for name in stored)
    assert "embedded" in (doctor := deployment.run("doctor")) or "MySQL" in doctor
    assert keys("secret_key") not in doctor


def test_workers_record_the_image_and_refuse_tables_of_another_version(deployment, database):
    deployment.run(*deployment.services["init"]["command"])
    command = deployment.services["worker-io"]["command"]
    deployment.run(*command, "--until-idle")
    name = database.adapter.make_full_table_name(f"{deployment.prefix}_operation", "worker")
    rows = database.query(f"SELECT image, lane FROM {name}").fetchall()
    assert [tuple(row) for row in rows] == [("fieldbase:test", "io")]

    table = database.adapter.make_full_table_name(f"{deployment.prefix}_operation", "definition")
    database.query(f"UPDATE {table} SET defined_by = '0.0.9', definition_lines = '[\"key: x\"]' "
                   "WHERE defined_table = 'recording.Unit'")  # fmt: skip
    refused = deployment.start(*command, "--until-idle")
    _, errors = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "made by 0.0.9 and " in errors
    assert "recording.Unit: key is x, not nwb_file, unit" in errors
    assert "Traceback" not in errors


def test_a_worker_before_init_ends_with_the_way_out(deployment):
    worker = deployment.start(*deployment.services["worker-cpu"]["command"])
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert "`fieldbase init` makes them" in errors
