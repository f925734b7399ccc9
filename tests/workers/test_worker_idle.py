"""When a worker may leave: nothing it could make now or later is left behind."""

import secrets
import threading

import pytest
from datajoint.errors import LostConnectionError

from pipeline.nwb import ReadError


@pytest.fixture
def worker(crew, monkeypatch):
    """Run a worker here until it is idle, on files that cannot be read; its record."""
    from schemas import _ingest, _lease
    from workers.loop import Orders, run_worker

    def read(source, **_):
        raise ReadError("open", "no HDF5", "download it again")

    def run(poll_s=0.3, **options):
        orders = Orders(lanes=("io",), until_idle=True, poll_s=poll_s)
        return run_worker(orders, **options)

    monkeypatch.setattr(_ingest, "read_summary_isolated", read)
    monkeypatch.setattr(_lease, "BEAT_S", 0.3)
    return run


def test_what_is_asked_for_while_a_worker_drains_is_made_before_it_leaves(crew, worker):
    crew.files("first")
    more = iter(["second", "third"])

    def ask_for_more(ended):
        for name in more:
            from workers.ingest import register

            (crew.folder / f"{name}.nwb").write_bytes(name.encode())
            found = register([f"{name}.nwb"], base=crew.folder)
            crew.keys += [{"nwb_file": key} for key in found]
            break

    assert worker(poll_s=2.0, on_job=ask_for_more).failed == {"recording.Ingestion": 3}


def test_a_worker_does_not_leave_while_another_fills_the_queue(crew, worker):
    from schemas._connect import connect_again
    from schemas._locks import let_go, take_lock

    crew.files("queued_late")
    (crew.jobs & crew.keys).delete_quick()
    other, leader = connect_again(), f"refresh {crew.jobs.full_table_name}"
    assert take_lock(other, leader)
    threading.Timer(1.0, let_go, (other, leader)).start()
    assert worker().failed == {"recording.Ingestion": 1}
    other.close()


def test_a_worker_waits_for_the_job_of_one_that_died(crew, worker, monkeypatch):
    from schemas import _lease

    crew.files("of_the_dead")
    dead = secrets.randbits(62)
    worked = _lease.take(lane="test").worker
    _lease.end()
    monkeypatch.setattr(_lease, "BEAT_S", 1.5)
    row = {"lease": dead, "worker": worked, "lease_state": "held", "taken": "2026-01-01"}
    crew.tables.operation.Lease.insert1(row)
    crew.jobs.connection.query(
        f"UPDATE {crew.jobs.full_table_name} SET status = 'reserved', connection_id = {dead} "
        "WHERE status = 'pending'"
    )
    assert worker().failed == {"recording.Ingestion": 1}


def test_a_job_that_was_reserved_when_the_server_went_is_made_by_the_same_worker(
    crew, worker, monkeypatch
):
    from schemas._lease import Lease

    crew.files("reserved")
    whole = {"note": Lease.note, "give_back": Lease.give_back}
    gone = {"note": 1, "give_back": 2}

    def away(name):
        def asked(*given, **options):
            if gone[name]:
                gone[name] -= 1
                raise LostConnectionError("Connection was lost.")
            return whole[name](*given, **options)

        return asked

    for name in gone:
        monkeypatch.setattr(Lease, name, away(name))
    assert worker().failed == {"recording.Ingestion": 1}


def test_a_server_that_goes_while_a_worker_starts_is_waited_for(crew, worker, monkeypatch):
    from schemas import ServerError, _connect

    crew.files("later")
    opens = "EmbeddedConnection" if _connect.named_server() is None else "_connect_to"
    connected, refusals = getattr(_connect, opens), [1, 2]

    def away_at_first(*given, **options):
        if refusals:
            raise ServerError(f"the database is not running ({refusals.pop()})")
        return connected(*given, **options)

    monkeypatch.setattr(_connect, opens, away_at_first)
    told = []
    assert worker(say=told.append).failed == {"recording.Ingestion": 1}
    assert sum("waits and tries again" in text for text in told) == 2


def test_a_server_that_is_away_when_a_worker_asks_whether_it_is_idle_does_not_end_it(
    crew, worker, monkeypatch
):
    from workers import loop

    crew.files("one")
    once = iter([LostConnectionError("Connection was lost.")])
    whole = loop._Worker._is_idle

    def is_idle(self):
        for error in once:
            raise error
        return whole(self)

    monkeypatch.setattr(loop._Worker, "_is_idle", is_idle)
    assert worker().failed == {"recording.Ingestion": 1}
