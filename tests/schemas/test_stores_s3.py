"""The whole way from windows to scores with both stores on S3, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from s3_server import s3_bucket  # noqa: E402

ROOT = Path(__file__).parents[2]
STUDY = {
    "study": {"name": "remote", "register": "far"},
    "data": {"recordings": ["lab/**/*.nwb"], "labels": "lfp2vec5"},
    "lfp": {"lowpass_hz": 100.0, "target_rate_hz": 250.0},
    "windows": {"length_s": 2.0},
    "split": {"by": "subject", "folds": "leave-one-out", "validation": 0},
    "model": [{"name": "band power", "family": "band_power"}],
    "analyses": {"evaluation": {"draws": 20}, "probe": {"draws": 20}, "silhouettes": ["region"]},
}
RUN = """
import json, sys
from pathlib import Path
import schemas
from pipeline.synthetic import write_lab
from schemas import analysis, training, windows
from schemas._train import checkpoint_folder
from workers.study.run import run_study
from workers.study.spec import StudySpec

prefix, folder, study = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
schemas.activate(prefix=prefix)
write_lab(folder / "lab", subjects=3, seed=3, layout="generic", channels=6, duration_s=10.0)
done = run_study(StudySpec.model_validate(study), base=folder)
told = {"failed": done.failed, "made": done.made}
rows = [*analysis.Evaluation.Score().to_dicts(), *analysis.Silhouette.Score().to_dicts()]
told["scores"] = sorted(
    [r["metric"], r["level"], str(r["detail"]), r["value"]]
    for r in rows if r["value"] is not None
)
one = (training.Training & {"training": training.Training().keys()[0]["training"]})
told["checkpoint"] = str(checkpoint_folder(one.fetch1("training")))
told["stored"] = [row["lfp"].path for row in windows.Windows().to_dicts()]
print(json.dumps(told, default=str))
"""


@pytest.fixture(scope="module")
def bucket():
    with s3_bucket() as made:
        yield made


def run(code, *arguments, home, **environment):
    asked = os.environ | {"FIELDBASE_HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT,
        env=asked | environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def dropped(database):
    """Drop what this module's processes declared."""
    import datajoint as dj

    yield
    mine = [n for n in dj.list_schemas(connection=database) if n.startswith(f"fbt_{os.getpid()}")]
    mysql = database.adapter.backend == "mysql"
    if mysql:
        database.query("SET FOREIGN_KEY_CHECKS = 0")
    for name in mine:
        quoted = database.adapter.quote_identifier(name)
        database.query(f"DROP SCHEMA {quoted}" + ("" if mysql else " CASCADE"))
    if mysql:
        database.query("SET FOREIGN_KEY_CHECKS = 1")


def test_a_study_with_both_stores_on_s3_scores_as_on_disk(database, home, bucket, tmp_path):
    stores, client = bucket
    answers = {}
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    s3 = {"DJ_STORES": stores, "TMPDIR": str(temporary)}
    for where, stores in (("disk", {}), ("s3", s3)):
        folder = tmp_path / where
        folder.mkdir()
        prefix = f"fbt_{os.getpid()}{where}"
        done = run(RUN, prefix, folder, json.dumps(STUDY), home=home, **stores)
        assert done.returncode == 0, done.stderr
        answers[where] = json.loads(done.stdout.splitlines()[-1])
    assert not answers["s3"]["failed"]
    assert {"Embedding", "Prediction", "Silhouette"} <= set(answers["s3"]["made"])
    assert len(answers["disk"]["scores"]) > 20
    names, values = ({w: [f(row) for row in a["scores"]] for w, a in answers.items()}
                     for f in (lambda row: row[:-1], lambda row: row[-1]))  # fmt: skip
    assert names["s3"] == names["disk"]
    assert values["s3"] == pytest.approx(values["disk"], abs=1e-6)
    keys = [o["Key"] for o in client.list_objects_v2(Bucket="lab")["Contents"]]
    assert {key.split("/")[0] for key in keys} == {"arrays", "checkpoints"}
    assert any(key.endswith("model.safetensors") for key in keys)
    path = Path(answers["s3"]["checkpoint"])
    assert {p.name for p in path.iterdir()} == {"meta.json", "model.safetensors"}
    for stored in answers["s3"]["stored"]:
        assert f"arrays/{stored}" in keys
    assert not (home / f"stores/arrays/_schema/fbt_{os.getpid()}s3_windows").exists()
    assert not list(temporary.glob("datajoint*")), "DataJoint's own copies are kept for ever"


KILLED = """
import os, signal, sys
import schemas
from pipeline.preprocessing import WindowParams
from schemas import recording, windows
from workers.study.plan import ask_windows

schemas.activate(prefix=sys.argv[1], create=False)
one = windows.WindowsTask().to_dicts(limit=1)[0]
series = (recording.LfpSeries * windows.WindowsLfp & one).to_dicts()[0]
params = {"lfp_params": one["lfp_params"]}
params |= windows.WindowParamSet.register(None, WindowParams(length_s=1.25))
name = ask_windows(params, {"session": one["session"], "lfp": series})
if sys.argv[2] == "kill":
    kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
    windows.Windows.connection.commit_transaction = kill
    windows.Windows.populate({"windows": name})
"""
COLLECTED = """
import json, sys
import schemas
from schemas import windows
from workers.collect import find_garbage, remove_garbage
from workers.verify import verify

schemas.activate(prefix=sys.argv[1], create=False)
missing = (windows.WindowsTask.proj() - windows.Windows.proj()).keys()
told = {"missing": len(missing), "damage": len(verify().damage)}
told["orphans"] = [[o.path, o.n_bytes] for o in find_garbage(0).orphans if o.store]
told["young"] = find_garbage(3600).young
windows.Windows.populate(missing)
told["removed"] = [o.path for o in remove_garbage(find_garbage(0)) if o.store]
verdict = verify()
told["after"] = [len(verdict.damage), len(verdict.untold), sum(verdict.checked.values())]
print(json.dumps(told))
"""
REMOVED = """
import json, sys
import schemas
from schemas import session, training
from workers.remove import remove

schemas.activate(prefix=sys.argv[1], create=False)
told = {"objects": 0, "bytes": 0}
for kind, name in [("training", "far"), ("study", "remote")] + [
    ("subject", row["subject"]) for row in session.Subject().to_dicts()
]:
    plan = remove(kind, name)
    told["objects"] += len(plan.objects)
    told["bytes"] += plan.n_bytes
told["left"] = len(session.NwbFile()) + len(training.Training())
print(json.dumps(told))
"""


def test_a_kill_before_the_commit_leaves_orphans_on_s3_that_gc_removes(
    database, home, bucket, tmp_path
):
    stores, prefix = {"DJ_STORES": bucket[0]}, f"fbt_{os.getpid()}kill"
    made = run(RUN, prefix, tmp_path, json.dumps(STUDY), home=home, **stores)
    assert made.returncode == 0, made.stderr
    assert run(KILLED, prefix, "kill", home=home, **stores).returncode == -9
    done = run(COLLECTED, prefix, home=home, **stores)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["missing"], told["damage"]) == (1, 0)
    assert len(told["orphans"]) == told["young"] >= 3
    assert min(size for _, size in told["orphans"]) > 0
    assert sorted(told["removed"]) == sorted(path for path, _ in told["orphans"])
    assert told["after"][:2] == [0, 0]
    assert told["after"][2] > 20
    keys = keys_of(bucket)
    assert not {f"arrays/{path}" for path in told["removed"]} & keys
    taken = run(REMOVED, prefix, home=home, **stores)
    assert taken.returncode == 0, taken.stderr
    told, gone = json.loads(taken.stdout.splitlines()[-1]), keys - keys_of(bucket)
    assert told["left"] == 0
    assert told["bytes"] > 0
    assert {key.split("/")[0] for key in gone} == {"arrays", "checkpoints"}
    assert not [key for key in keys_of(bucket) if prefix in key]


def keys_of(bucket):
    pages = bucket[1].get_paginator("list_objects_v2").paginate(Bucket="lab")
    return {one["Key"] for page in pages for one in page.get("Contents", ())}


REACHED = """
import json, sys
import schemas
from schemas._stores import reach_store
schemas.connect()
print(json.dumps([reach_store(name) for name in ("arrays", "checkpoints")]))
"""


def test_doctor_tells_a_bucket_that_is_not_there_and_never_the_key(database, home, bucket):
    stores = json.loads(bucket[0])
    stores["checkpoints"]["bucket"] = "elsewhere"
    done = run(REACHED, home=home, DJ_STORES=json.dumps(stores))
    assert done.returncode == 0, done.stderr
    (where, well), (elsewhere, problem) = json.loads(done.stdout.splitlines()[-1])
    assert (where, well) == ("s3://lab/arrays", "")
    assert elsewhere == "s3://elsewhere/checkpoints"
    assert "FileNotFoundError" in problem
    assert "lab-secret" not in done.stdout + done.stderr
