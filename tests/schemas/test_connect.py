"""Which server a process gets, and what it says to one it cannot use."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemas._cluster import read_status
from schemas._connect import refuse_unsupported, server_version
from schemas._home import home_folder
from schemas._server import ServerError

ROOT = Path(__file__).parents[2]


def run(code, **environment):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DJ_")}
    return subprocess.run(
        [sys.executable, "-c", "from schemas._connect import *\n" + code],
        env=inherited | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("product", "version"),
    [
        ("MySQL", "8.4.3"),
        ("MySQL", "9.7.4-2"),
        ("PostgreSQL", "15.1"),
        ("PostgreSQL", "18.4 (Debian 18.4-1)"),
    ],
)
def test_supported_servers_pass(product, version):
    refuse_unsupported(product, version)


@pytest.mark.parametrize(
    ("product", "version", "named"),
    [
        ("MariaDB", "11.4.2-MariaDB-ubu2404", "MariaDB 11.4.2"),
        ("MySQL", "8.0.39", "MySQL 8.0.39"),
        ("MySQL", "5.7.44-log", "MySQL 5.7.44"),
        ("PostgreSQL", "14.13 (Debian 14.13-1)", "PostgreSQL 14.13"),
    ],
)
def test_other_servers_are_refused_by_name_in_one_sentence(product, version, named):
    with pytest.raises(ServerError, match=named) as caught:
        refuse_unsupported(product, version)
    assert "DJ_HOST" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_server_under_test_is_a_supported_one(database):
    product, version = server_version(database)
    backend = os.environ.get("FIELDBASE_TEST_BACKEND", "postgresql")
    assert product.lower() == backend
    refuse_unsupported(product, version)


def test_the_home_folder_is_the_argument_then_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("FIELDBASE_HOME", str(tmp_path / "variable"))
    assert home_folder(tmp_path / "argument") == tmp_path / "argument"
    assert home_folder() == tmp_path / "variable"
    monkeypatch.delenv("FIELDBASE_HOME")
    assert home_folder().name == "fieldbase"


def test_connecting_twice_gives_one_connection_and_refuses_another_home(database, home, tmp_path):
    import datajoint as dj

    from schemas._connect import connect

    assert connect() is database
    assert dj.conn() is database
    assert connect(home) is database
    with pytest.raises(ServerError, match="another process"):
        connect(tmp_path)


def test_stores_of_this_machine_are_named_unless_configured(tmp_path):
    code = f"""
from schemas._connect import _configure_stores
_configure_stores(Path({str(tmp_path)!r}))
print(json.dumps(dj.config.stores))
"""
    own = '{"arrays": {"protocol": "s3", "bucket": "b", "endpoint": "e", "location": "l"}}'
    stores = json.loads(run(code, DJ_STORES=own).stdout)
    assert stores["arrays"]["protocol"] == "s3"
    assert stores["checkpoints"]["location"] == str(tmp_path / "stores" / "checkpoints")


def test_a_named_server_without_a_user_says_what_to_set(tmp_path):
    result = run("connect()", DJ_HOST="db.example", FIELDBASE_HOME=str(tmp_path))
    assert "needs DJ_USER and DJ_PASS" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("backend", ["mysql", "postgresql"])
def test_an_unreachable_server_is_one_sentence_without_the_password(backend, tmp_path):
    result = run(
        "connect()",
        DJ_HOST="127.0.0.1",
        DJ_PORT="9",
        DJ_USER="ada",
        DJ_PASS="correct horse",
        DJ_BACKEND=backend,
        FIELDBASE_HOME=str(tmp_path),
    )
    last = result.stderr.splitlines()[-1]
    assert f"{backend} server 127.0.0.1:9 cannot be reached as 'ada'" in last
    assert "correct horse" not in result.stdout + result.stderr
    assert not (tmp_path / "postgres").exists()


MEND = """
from schemas._server import stop_server
connection = connect()
connection.query("CREATE TABLE t (x int)")
pid = int((home_folder() / "postgres/data/postmaster.pid").read_text().split()[0])
print(pid, flush=True)
input()
connection.query("INSERT INTO t VALUES (1)")
connection.start_transaction()
connection.query("INSERT INTO t VALUES (2)")
stop_server(home_folder())
try:
    connection.query("SELECT 1")
except dj.errors.LostConnectionError as error:
    print(error)
try:
    connection.query("INSERT INTO t VALUES (3)")
except dj.errors.LostConnectionError as error:
    print(error)
connection.cancel_transaction()
print(connection.query("SELECT x FROM t").fetchall())
stop_server(home_folder())
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of Linux and macOS")
def test_a_connection_outlives_its_server_but_a_transaction_does_not(tmp_path):
    client = subprocess.Popen(
        [sys.executable, "-c", "from schemas._connect import *\n" + MEND],
        env={k: v for k, v in os.environ.items() if k[:3] != "DJ_"}
        | {"FIELDBASE_HOME": str(tmp_path)},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    os.kill(int(client.stdout.readline()), signal.SIGKILL)
    time.sleep(0.5)
    output, _ = client.communicate("\n", timeout=60)
    lost = "Connection was lost during a transaction."
    assert output.splitlines() == [lost, lost, "[(1,)]"]
    assert read_status(tmp_path / "postgres" / "data") is None
