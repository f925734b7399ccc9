"""A database with its objects goes to another server and comes back, and nothing is made again.

The server under test is the source; the other end is an embedded PostgreSQL in a home of its own,
with its stores on S3. So on MySQL the way is MySQL, PostgreSQL, MySQL, and from disk to S3 to disk.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import carry_process
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from s3_server import s3_bucket  # noqa: E402

from schemas._definitions import package_lines
from workers.carry import kinds

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "carry_process.py"
PREFIX = f"fbt_{os.getpid()}carry"


class End:
    """A database under one prefix, with stores of its own."""

    def __init__(self, home, *, embedded, **environment):
        self.home = home
        kept = {k: v for k, v in os.environ.items() if not (embedded and k.startswith("DJ_"))}
        self.env = kept | {"FIELDBASE_HOME": str(home), "OMP_NUM_THREADS": "1"} | environment

    def run(self, *steps):
        """The answers to these steps, taken in one process."""
        done = subprocess.run(
            [sys.executable, str(SCRIPT), PREFIX, json.dumps(steps, default=str)],
            cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def bucket():
    with s3_bucket() as made:
        yield made


@pytest.fixture(scope="module")
def ends(database, home, tmp_path_factory, bucket):
    """Where the rows are made, where they go, and what the first answered."""
    from schemas._server import stop_server

    folder = tmp_path_factory.mktemp("carry")
    source = End(home, embedded=False)
    far_home = Path(folder / "far")
    far = End(far_home, embedded=True, DJ_STORES=bucket[0], AWS_EC2_METADATA_DISABLED="true")
    made, told, verdict, exported = source.run(
        ["make", folder], ["rows"], ["verify"], ["export", folder / "out"]
    )
    assert (made["failed"], verdict["damage"]) == ({}, [])
    shutil.copy(home / "roots.toml", folder / "roots.toml")
    yield folder, source, far, told, exported
    carry_process.drop(PREFIX)
    stop_server(far_home)


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def digests(folder):
    tables = manifest(folder)["tables"]
    return {name: (about["rows"], about["digest"]) for name, about in tables.items()}


@pytest.fixture(scope="module")
def there(ends):
    """What the far end told after an import that two kills cut short."""
    folder, _, far, _, _ = ends
    far.home.mkdir()
    shutil.copy(folder / "roots.toml", far.home)
    out = folder / "out"
    *died, first, brought, second, rows, verdict, _, carried = far.run(
        ["die", out, 5], ["die", out, "prediction.Prediction"], ["rows"], ["import", out],
        ["import", out], ["rows"], ["verify"], ["export", folder / "back"],
        ["carried"],
    )  # fmt: skip
    assert died == [-9, -9]
    return first, brought, second, rows, verdict, carried


def test_every_row_arrives_as_it_was_and_verify_has_nothing_to_say(ends, there):
    *_, told, exported = ends
    _, brought, _, rows, verdict, _ = there
    assert rows == told
    assert sum(map(len, rows.values())) == exported["rows"] > 300
    assert brought["rows"] + brought["rows_there"] == exported["rows"]
    assert (verdict["damage"], brought["unknown_roots"]) == ([], [])
    assert verdict["checked"] > 8
    odd = "\n".join(rows["session.Source"])
    assert repr("naïve 中文 𝄞 ' \" \\ %s \t\n ") in odd
    assert "('source_name', None)" in odd


def test_every_column_of_the_package_can_be_carried_and_only_operation_stays(there):
    found, before = there[-1], set()
    assert all(kinds.arrow_of(kind) for table in found.values() for kind in table.values())
    assert set(found) == {n for n in package_lines() if not n.startswith("operation.")}
    for name in found:
        parents = {line.split(": ")[1].split(" ")[0] for line in package_lines()[name]
                   if line.startswith("foreign key ")}  # fmt: skip
        assert parents <= before, name
        before.add(name)


def test_digests_are_the_same_wherever_the_rows_are(ends, there):
    folder = ends[0]
    assert digests(folder / "back") == digests(folder / "out")
    assert manifest(folder / "back")["objects"] == manifest(folder / "out")["objects"] > 10
    one, other = (pd.read_parquet(folder / name / "objects.parquet") for name in ("out", "back"))
    key = ["store", "path"]
    assert one.sort_values(key).to_numpy().tolist() == other.sort_values(key).to_numpy().tolist()


def test_what_kills_left_is_finished_and_nothing_is_copied_twice(ends, there, bucket):
    exported = ends[4]
    after_kills, brought, again, *_ = there
    assert not after_kills["session.Session"]  # no row without all of them
    assert not after_kills["windows.Windows"]
    assert (brought["objects"], brought["objects_there"]) == (0, exported["objects"])
    assert (again["rows"], again["objects"]) == (0, 0)
    assert again["rows_there"] == exported["rows"]
    keys = bucket[1].list_objects_v2(Bucket="lab")["Contents"]
    assert len(keys) == exported["objects"]


def test_no_number_is_lost_that_only_one_server_has(ends, there, database):
    rows = "\n".join(there[3]["recording.Trial"])
    assert repr(0.1 + 0.2) in rows
    assert "5e-324" in rows
    assert "1.7976931348623157e+308" in rows
    if database.adapter.backend == "postgresql":
        assert "('trial_stop_s', nan)" in rows
        assert "('trial_stop_s', -inf)" in rows
        moments = "\n".join(there[3]["session.Session"])
        assert "789012" in moments


def spoil(folder, name, **changes):
    """A copy of an exported folder, with things of the manifest changed."""
    copy = folder / name
    shutil.copytree(folder / "out", copy)
    (copy / "manifest.json").write_text(json.dumps(manifest(copy) | changes))
    return copy


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture(scope="module")
def refused(ends, there):
    """What the far end answers to what it cannot take, in one process."""
    folder, _, far, _, _ = ends
    out, spoiled = folder / "out", folders_nobody_should_take(folder)
    steps = {
        "key": ["change", "session.Subject", "species", "Mus alienus"],
        "emptied": ["empty", "analysis.Evaluation.Score"],
        "before": ["rows"],
        "conflict": ["import", out],
        "after": ["rows"],
        "mended": ["change", "session.Subject", "species", "Mus musculus"],
        "brought": ["import", out],
        "lost": ["lose", ".npy"],
        "lacking": ["export", folder / "lacking"],
        "over": ["export", out],
        **{name: ["import", one] for name, one in spoiled.items()},
        "untouched": ["rows"],
        "replaced": ["import", out],
        "verdict": ["verify"],
        "lease": ["lease"],
        "in use": ["import", out],
    }
    return dict(zip(steps, far.run(*steps.values()), strict=True))


def folders_nobody_should_take(folder):
    older = manifest(folder / "out")["lines"]
    older["session.Session"] = [li for li in older["session.Session"] if "synthetic" not in li]
    made = {name: spoil(folder, name) for name in ("object", "rows", "headless", "cut")}
    for path in (made["object"] / "objects" / "arrays").rglob("*.npy"):
        flip(path)
    flip(made["rows"] / "rows" / "session.Session.parquet")
    (made["headless"] / "manifest.json").unlink()
    (made["cut"] / "manifest.json").write_text("{")
    return made | {
        "older": spoil(folder, "older", lines=older, definitions="0" * 64),
        "other": spoil(folder, "other", prefix="another"),
        "newer": spoil(folder, "newer", format=99),
    }


def test_a_row_that_is_there_otherwise_is_refused_and_nothing_is_changed(there, refused):
    whole, key, told = there[3], refused["key"], refused["conflict"]["told"]
    assert "('species', 'Mus musculus')" in whole["session.Subject"][0]
    assert f"session.Subject has a row (source {key['source']}, subject {key['subject']})" in told
    assert "species differs; nothing was changed" in told
    assert refused["before"] == refused["after"] != whole
    assert not refused["before"]["analysis.Evaluation.Score"]
    assert refused["untouched"] == whole
    assert refused["brought"]["rows"] == len(whole["analysis.Evaluation.Score"]) > 0


@pytest.mark.parametrize(("name", "sentence"), [
    ("object", "is not as it was written; copy the folder again"),
    ("rows", "session.Session.parquet is not as it was written; copy the folder again"),
    ("headless", "no manifest.json, which is written last"),
    ("cut", "manifest.json cannot be read"),
    ("older", "synthetic (bool) is new. Bring the database it is from to this version by `fieldb"),
    ("other", "the folder has the tables another_*"),
    ("newer", "has the format 99"),
])  # fmt: skip
def test_a_folder_that_is_not_whole_or_not_of_these_tables_is_refused(refused, name, sentence):
    assert refused[name]["error"] == "CarryError"
    assert sentence in refused[name]["told"]


def test_nothing_is_brought_where_someone_computes(refused):
    assert "1 process(es) compute in this database" in refused["in use"]["told"]


def test_an_export_without_one_of_its_objects_leaves_no_folder(ends, refused):
    assert f"s3://{refused['lost']}" in refused["lacking"]["told"]
    assert "is there already" in refused["over"]["told"]
    assert not list(ends[0].glob("lacking*"))


def test_an_object_that_is_missing_is_brought_again_and_no_other(ends, refused):
    brought = refused["replaced"]
    assert (brought["rows"], brought["objects"]) == (0, 1)
    assert brought["objects_there"] == ends[4]["objects"] - 1
    assert refused["verdict"]["damage"] == []


SECTIONS = {"postgresql": "Embedded PostgreSQL", "mysql": "MySQL"}
FIELDBASE = """#!/bin/sh
exec {python} -c 'import schemas; schemas.activate.__defaults__ = ("{prefix}",)
from workers.cli import main; main()' "$@"
"""
CHROOT = """#!/bin/sh
exec {sudo} chroot {root} env MYSQL_PWD="$MYSQL_PWD" {name} "$@"
"""


def commands_of(section):
    """The blocks of commands below a heading of docs/backup.md: to back up, to restore."""
    text = (ROOT / "docs" / "backup.md").read_text().split(f"### {section}\n")[1].split("\n#")[0]
    blocks = re.findall(r"(?:^    .*\n)+", text, re.MULTILINE)
    assert len(blocks) == 2
    return [textwrap.dedent(block) for block in blocks]


def programs(folder, backend):
    """A folder with the command `fieldbase` for our prefix, and MySQL's clients where needed."""
    folder.mkdir()
    made = {"fieldbase": FIELDBASE.format(python=sys.executable, prefix=PREFIX)}
    root = Path(os.environ.get("FIELDBASE_MYSQL_ROOT", "~/.cache/fieldbase-mysql")).expanduser()
    for name in ("mysql", "mysqldump") if backend == "mysql" else ():
        if shutil.which(name) is None:
            assert (root / "root/usr/bin" / name).exists(), f"install {name}: docs name it"
            sudo = "" if os.geteuid() == 0 else "sudo -n"
            made[name] = CHROOT.format(sudo=sudo, root=root / "root", name=name)
    for name, text in made.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def test_a_backup_as_the_docs_make_it_is_restored_and_verified(ends, home, database, tmp_path):
    from schemas._server import stop_server

    backend, new = database.adapter.backend, tmp_path / "new"
    places = {"home": home, "new": new, "copy": tmp_path / "copy"}
    restored = End(new, embedded=False)
    path = (
        f"{programs(tmp_path / 'bin', backend)}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    )

    def run(block):
        block = re.sub(r"\b(home|new|copy)=\S+", lambda m: f"{m[1]}={places[m[1]]}", block)
        for ending in ("_*", r"\_%"):
            block = block.replace(f"fieldbase{ending}", f"{PREFIX}{ending}")
        env = restored.env | {"PATH": path, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    try:
        back_up, restore = commands_of(SECTIONS[backend])
        run(back_up)
        if backend == "mysql":
            carry_process.drop(PREFIX)
        last = run(restore).splitlines()[-1]
        (rows,) = restored.run(["rows"])
    finally:
        stop_server(new)
    assert rows == ends[3]
    assert last.startswith("0 damaged, 0 untold; read 2 of session.NwbFile, 2 of windows.Windows")


def test_the_way_back_ends_in_the_rows_that_set_out(ends, there, tmp_path):
    folder, _, _, told, exported = ends
    home = End(tmp_path / "home", embedded=False)
    home.home.mkdir()
    _, brought, rows, without, _, verdict, out = home.run(
        ["drop"], ["cli", "import", folder / "back"], ["rows"], ["verify"],
        ["copy", folder / "roots.toml", home.home], ["verify"],
        ["cli", "export", "--all", "--to", tmp_path / "again"],
    )  # fmt: skip
    assert rows == told
    assert f"{exported['objects']} stored files copied" in brought
    lacking = manifest(folder / "back")["roots"]
    assert len(lacking) == 2
    assert all(f"fieldbase init --root {name}=FOLDER" in brought for name in lacking)
    assert len(without["damage"]) == 2  # the recordings, of which this home knows no root
    assert all("which this machine does not know" in what for what in without["damage"])
    assert verdict["damage"] == []
    assert "database: " in out
    assert digests(tmp_path / "again") == digests(folder / "out")
