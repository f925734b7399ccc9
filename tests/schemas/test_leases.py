"""A lease is kept as long as its process lives, whatever the server answers."""

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest


@pytest.fixture
def lease(tables, monkeypatch):
    """A lease of this process that looks after itself five times a second."""
    from schemas import _lease

    monkeypatch.setattr(_lease, "BEAT_S", 0.2)
    yield _lease.take(lane="test", alone_on=("cuda of a test",))
    _lease.end()


def wait_for(what):
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_statement_that_fails_does_not_cost_the_connection_that_holds_the_lock(
    lease, monkeypatch
):
    from schemas import _lease

    connection, failed = lease._connection, threading.Event()

    def reap(*_, **__):
        failed.set()
        raise RuntimeError("Deadlock found when trying to get lock")

    monkeypatch.setattr(_lease, "reap", reap)
    assert failed.wait(10)
    time.sleep(0.5)
    assert lease._connection is connection
    assert not lease.lost


def cut(number, by):
    """Let the server end a connection."""
    kill = {"mysql": "KILL %s", "postgresql": "SELECT pg_terminate_backend(%s)"}
    by.query(kill[by.adapter.backend], (number,))


def number_of(connection):
    """As the server has it now: DataJoint keeps a MySQL connection's first."""
    ask = {"mysql": "SELECT CONNECTION_ID()", "postgresql": "SELECT pg_backend_pid()"}
    return connection.query(ask[connection.adapter.backend]).fetchone()[0]


def test_a_lease_whose_connection_was_cut_holds_its_locks_again(lease, database):
    from schemas._connect import connect_again
    from schemas._locks import take_lock

    before = lease._connection
    cut(before.connection_id, by=database)
    wait_for(lambda: lease._connection is not before and lease.claim(lease.number))
    other = connect_again()
    assert not take_lock(other, lease.number)
    assert not take_lock(other, "cuda of a test")
    other.close()


def test_a_worker_starts_where_the_connection_was_lost_after_its_rows_were_stored(
    tables, database, monkeypatch
):
    from schemas import _lease, operation

    send, doubled = type(database).query, []

    def twice(self, query, *args, **options):
        if query.startswith("INSERT"):
            doubled.append(query)
            send(self, query, *args, **options)
        return send(self, query, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(database), "query", twice)
        lease = _lease.take(lane="test")
    assert len(doubled) == 2
    assert len(operation.Worker & {"worker": lease.worker}) == 1
    assert (operation.Lease & {"lease": lease.number}).fetch1("lease_state") == "held"
    _lease.end()


def test_a_transaction_whose_connection_was_lost_stores_nothing_more(tables, database):
    from datajoint.errors import LostConnectionError

    from schemas._connect import connect_again

    source, other = tables.session.Source, connect_again()

    def make():
        with database.transaction:
            source.insert1({"source": "before_the_cut"})
            cut(number_of(database), by=other)
            assert database.in_transaction
            with suppress(LostConnectionError):  # as DataJoint does where it reads a heading
                database.query("SELECT 1")
            source.insert1({"source": "after_the_cut"})

    with pytest.raises(LostConnectionError):
        make()
    other.close()
    assert not database.in_transaction
    assert not source & [{"source": "before_the_cut"}, {"source": "after_the_cut"}]


def test_a_queue_is_refreshed_over_a_new_connection_where_the_old_one_was_cut(tables, database):
    from schemas._connect import connect_again

    other = connect_again()
    cut(number_of(database), by=other)
    other.close()
    found = tables.recording.Ingestion.jobs.refresh()
    assert set(found) == {"added", "removed", "orphaned", "re_pended"}


def test_a_transaction_is_over_once_its_connection_is_replaced(database):
    from schemas import connect

    database.start_transaction()
    database._conn.close()
    connect()
    with database.transaction:
        assert database.query("SELECT 1").fetchone()[0] == 1


def test_a_lost_lease_that_could_not_be_replaced_at_once_is_replaced_by_one_like_it(
    lease, tables, monkeypatch
):
    from schemas import _lease

    tables.operation.Lease.update1({"lease": lease.number, "lease_state": "lost"})
    lease.lost, lease.before_job = True, lambda key: False
    whole = _lease.server_now
    away = iter([ConnectionRefusedError("the server is away")])

    def server_now(connection):
        for error in away:
            raise error
        return whole(connection)

    monkeypatch.setattr(_lease, "server_now", server_now)
    with pytest.raises(ConnectionRefusedError):
        _lease.ours()
    found = _lease.ours()
    assert found.number != lease.number
    assert found.orders == lease.orders
    assert found.before_job is lease.before_job


def test_no_lease_is_given_up_before_a_server_started_anew_was_up_for_a_while(
    tables, database, monkeypatch
):
    from schemas import _lease, _reap, operation
    from schemas._locks import seconds_up

    lease = _lease.take(lane="test")
    _die(lease)
    up_s = seconds_up(database)
    time.sleep(1.1)
    assert seconds_up(database) == pytest.approx(up_s + 1.1, abs=1.01)
    monkeypatch.setattr(_reap, "YOUNG_S", up_s + 1000)
    monkeypatch.setattr(_reap, "SETTLE_S", up_s + 30)  # longer than any other lease was taken ago
    operation.Lease.update1({"lease": lease.number, "taken": ago(up_s + 60)})
    assert _reap.reap(database, [], connected_s=_reap.SETTLE_S - 0.1) == []
    wait_for(lambda: _reap.reap(database, [], connected_s=_reap.SETTLE_S) == [lease.number])


def test_a_lease_taken_a_while_ago_shows_that_the_server_was_up_for_so_long(
    tables, database, monkeypatch
):
    from schemas import _lease, _reap, operation
    from schemas._locks import seconds_up

    time.sleep(max(0.0, 8.0 - seconds_up(database)))
    up_s = seconds_up(database)
    monkeypatch.setattr(_reap, "YOUNG_S", up_s + 1000)
    monkeypatch.setattr(_reap, "SETTLE_S", up_s - 3.0)
    since = {"lease": _lease.take(lane="test").number}
    (operation.Lease & f"taken > '{ago(up_s)}'" & f"lease <> {since['lease']}").delete(prompt=False)
    lease = _lease.take(lane="test")  # ends the one before
    _die(lease)
    operation.Lease.update1({"lease": lease.number, "taken": ago(up_s + 60)})
    assert _reap.reap(database, [], connected_s=0.0) == []
    operation.Lease.update1(since | {"taken": ago(up_s - 1.5)})
    wait_for(lambda: _reap.reap(database, [], connected_s=0.0) == [lease.number])


def ago(seconds):
    """As the tables have it (UTC)."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0) - timedelta(seconds=seconds)


def test_a_lease_taken_since_a_server_was_started_anew_is_given_up_at_once(
    tables, database, monkeypatch
):
    from schemas import _lease, _reap
    from schemas._locks import seconds_up

    time.sleep(max(0.0, 2.0 - seconds_up(database)))
    lease = _lease.take(lane="test")
    _die(lease)
    monkeypatch.setattr(_reap, "YOUNG_S", 1e9)
    wait_for(lambda: _reap.reap(database, [], connected_s=0.0) == [lease.number])


def test_an_old_server_has_no_locks_to_wait_for(tables, database, monkeypatch):
    from schemas import _lease, _reap

    lease = _lease.take(lane="test")
    _die(lease)
    monkeypatch.setattr(_reap, "YOUNG_S", 0.0)
    wait_for(lambda: _reap.reap(database, [], connected_s=0.0) == [lease.number])


def _die(lease):
    """As its process does: no beat, no connection."""
    from schemas import _lease

    lease._ended.set()
    lease._thread.join()
    lease._connection.close()
    _lease._current = None


def test_a_job_whose_workers_die_again_and_again_is_set_aside(tables, database, roots, monkeypatch):
    from schemas import _lease, _reap
    from workers.ingest import register

    monkeypatch.setattr(_reap, "DEATHS", 3)
    (roots[1] / "deadly.nwb").write_bytes(b"deadly")
    key = {"nwb_file": register(["deadly.nwb"], base=roots[1])[0]}
    jobs = tables.recording.Ingestion.jobs
    jobs.refresh(key)
    states = []
    for _ in range(3):
        lease = _lease.take(lane="test")
        assert jobs.reserve(key)
        _die(lease)
        while (jobs & key).fetch1("status") == "reserved":
            _reap.reap(database, [jobs.full_table_name])
        states.append((jobs & key).fetch1("status"))
    assert states == ["pending", "pending", "error"]
    tries = jobs.tries(key).to_dicts(order_by="attempt")
    assert [row["error_kind"] for row in tries] == ["lost"] * 3
    assert tries[-1]["error_message"].endswith("was gone while making this (3 of 3)")
    assert jobs.release(key) == 1  # `fieldbase retry`
    assert not jobs.tries(key)
    (jobs & key).delete_quick()
    (tables.session.NwbFile & key).delete(prompt=False)
