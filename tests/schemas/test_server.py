"""The embedded server, started and killed for real."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from schemas import _cluster
from schemas._cluster import read_status
from schemas._server import ServerError, ensure_server, stop_server

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and sockets of Linux and macOS")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server_home():
    """A home with a running server; each test may begin here, whichever ran before it."""
    with tempfile.TemporaryDirectory(prefix="fbt-", ignore_cleanup_errors=True) as folder:
        ensure_server(Path(folder))
        yield Path(folder)
        stop_server(Path(folder))


@pytest.fixture
def stopped_data(server_home):
    """The data folder of a server that was stopped."""
    stop_server(server_home)
    return server_home / "postgres" / "data"


def query(home, sql):
    info = ensure_server(home)
    with closing(
        psycopg2.connect(host=info.host, port=info.port, user=info.user, dbname=info.database)
    ) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def wait_for(*processes):
    outputs = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), outputs
    return outputs


def in_new_process(home, code):
    prelude = (
        f"from pathlib import Path\nfrom schemas._server import *\nhome = Path({str(home)!r})\n"
    )
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", prelude + code],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )


@pytest.fixture
def new_home():
    """A home with nothing in it yet, at a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="fbt-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
        stop_server(Path(folder))


def test_processes_that_start_together_share_one_new_server(new_home):
    code = "ensure_server(home); print((home / 'postgres/data/postmaster.pid').read_text()[:9])"
    outputs = wait_for(*(in_new_process(new_home, code) for _ in range(3)))
    assert len(set(outputs)) == 1
    assert read_status(new_home / "postgres" / "data").pid == int(outputs[0].split()[0])


def test_data_outlive_the_process_that_wrote_them_even_killed(server_home):
    query(server_home, "DROP TABLE IF EXISTS kept")
    query(server_home, "CREATE TABLE kept (x int)")
    query(server_home, "INSERT INTO kept VALUES (1)")
    client = in_new_process(
        server_home, "ensure_server(home); print('on', flush=True)\nimport time; time.sleep(60)"
    )
    client.stdout.readline()
    client.kill()
    client.wait()
    assert query(server_home, "SELECT x FROM kept") == [(1,)]


@pytest.mark.parametrize("pause_s", [0.0, 0.5, 2.0])
def test_a_killed_server_comes_back_with_what_was_committed(server_home, pause_s):
    query(server_home, "DROP TABLE IF EXISTS kept")
    query(server_home, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS x")
    killed = read_status(server_home / "postgres" / "data").pid
    os.kill(killed, signal.SIGKILL)
    time.sleep(pause_s)
    deadline = time.monotonic() + 30
    while True:  # for a moment orphaned processes of the dead server may still answer
        assert query(server_home, "SELECT count(*) FROM kept") == [(1000,)]
        if read_status(server_home / "postgres" / "data").pid != killed:
            break
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_stopped_server_starts_again_with_its_data(server_home):
    query(server_home, "DROP TABLE IF EXISTS kept")
    query(server_home, "CREATE TABLE kept AS SELECT 5 AS x")
    assert stop_server(server_home)
    assert not stop_server(server_home)
    assert query(server_home, "SELECT x FROM kept") == [(5,)]


def test_text_sorts_by_code_point_as_on_mysql(server_home):
    rows = query(server_home, "SELECT x FROM (VALUES ('b'), ('B'), ('é'), ('_a')) v(x) ORDER BY x")
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_only_the_user_can_enter_the_data_folder(server_home):
    info = ensure_server(server_home)
    assert Path(info.host).stat().st_mode & 0o077 == 0
    assert query(server_home, "SHOW listen_addresses") == [("",)]


@pytest.mark.parametrize("name", ["with a space 'and' quotes", "a" * 120, "with:colon"])
def test_awkward_paths_work(tmp_path, name):
    home = tmp_path / name
    try:
        assert query(home, "SELECT 1") == [(1,)]
        host = ensure_server(home).host
        assert ":" not in host
        assert len(host) < 90 or str(tmp_path) in host
    finally:
        stop_server(home)
    assert not Path(host, ".s.PGSQL.5432").exists()


def test_a_stale_process_number_is_not_taken_for_the_server(server_home, stopped_data):
    data = stopped_data
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n1\n5432\n{data}\n\n0 0\nready\n")
    assert query(server_home, "SELECT 1") == [(1,)]


def test_no_database_is_made_unless_asked(tmp_path):
    with pytest.raises(ServerError, match="fieldbase init"):
        ensure_server(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def made_by(tmp_path, version):
    data = tmp_path / "postgres" / "data"
    (data / "global").mkdir(parents=True)
    (data / "PG_VERSION").write_text(version)
    return data


def test_a_folder_of_another_major_version_is_refused_in_one_sentence(tmp_path):
    (made_by(tmp_path, "15\n") / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(ServerError, match="made by PostgreSQL 15 and PostgreSQL 18 is installed"):
        ensure_server(tmp_path)


def test_a_folder_without_its_control_file_is_called_damaged(tmp_path):
    made_by(tmp_path, "18\n")
    with pytest.raises(ServerError, match="damaged .*pg_control is missing"):
        ensure_server(tmp_path)


def test_a_damaged_control_file_is_reported_soon_and_in_one_line(
    server_home, stopped_data, monkeypatch
):
    control = stopped_data / "global" / "pg_control"
    sound = control.read_bytes()
    starts = []
    monkeypatch.setattr(
        _cluster, "start", lambda *a, once=_cluster.start: starts.append(1) or once(*a)
    )
    control.write_bytes(sound[:100])
    try:
        with pytest.raises(ServerError, match="does not start") as caught:
            ensure_server(server_home)
    finally:
        control.write_bytes(sound)
    assert len(starts) <= 3, "what does not pass by itself is not tried for long"
    assert "\n" not in str(caught.value)
    assert query(server_home, "SELECT 1") == [(1,)]
