"""The job queue: filled in bulk, never at the cost of who is at work, and honest about failures."""

import time
from datetime import UTC, datetime

import datajoint as dj
import pytest

from pipeline.nwb import ReadError


@pytest.fixture
def queue(tables, roots, monkeypatch):
    """The queue of Ingestion, files registered for it, and what reading one of them does."""
    from schemas import _failures, _ingest, _lease
    from workers.ingest import register

    class Queue:
        table = tables.recording.Ingestion
        jobs = tables.recording.Ingestion.jobs
        keys: list = []
        answers: dict = {}

        def files(self, *names):
            for name in names:
                (roots[1] / f"{name}.nwb").write_bytes(name.encode())
            found = register([f"{name}.nwb" for name in names], base=roots[1])
            self.keys = self.keys + [{"nwb_file": key} for key in found]

        def populate(self):
            self.table.populate(self.keys, reserve_jobs=True, refresh=False, suppress_errors=True)

        def states(self):
            return [row["status"] for row in (self.jobs & self.keys).to_dicts()]

        def tries(self):
            errors = tables.operation.JobError & {"failed_table": "recording.Ingestion"}
            return errors.to_dicts(order_by="attempt")

    made = Queue()
    monkeypatch.setattr(_failures, "RETRY_S", 0.01)

    def read(source, **_):
        answer = made.answers[source.rpartition("/")[2].removesuffix(".nwb")]
        raise answer() if callable(answer) else answer

    monkeypatch.setattr(_ingest, "read_summary_isolated", read)
    yield made
    _lease.end()
    (made.jobs & made.keys).delete_quick()
    (tables.operation.JobError & {"failed_table": "recording.Ingestion"}).delete_quick()
    (made.table & made.keys).delete(prompt=False)
    (tables.session.NwbFile & made.keys).delete(prompt=False)


def test_refreshing_thousands_of_keys_takes_seconds(tables, queue):
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    rows = [
        {
            "nwb_file": f"{number:064x}", "path": f"many/{number}.nwb", "file_kind": "nwb",
            "revision": 0, "registered": now,
        }
        for number in range(5000)
    ]  # fmt: skip
    tables.session.NwbFile.insert(rows)
    queue.keys = [{"nwb_file": row["nwb_file"]} for row in rows]
    many = "path like 'many/%%'"
    began = time.monotonic()
    found = queue.jobs.refresh(tables.session.NwbFile & many)
    took = time.monotonic() - began
    assert found["added"] == 5000
    assert queue.jobs.refresh(tables.session.NwbFile & many)["added"] == 0
    assert took < 5  # one by one: 15 ms each, over a minute
    (tables.session.NwbFile & many).delete_quick()
    removed = queue.jobs.refresh()["removed"]
    queue.keys = []
    assert removed == 5000  # nobody asks for them any more


def test_refresh_leaves_a_reserved_job_alone_even_if_nobody_asks_for_it_now(tables, queue):
    queue.files("taken")
    queue.jobs.refresh(queue.keys)
    assert queue.jobs.reserve(queue.keys[0])
    (tables.session.NwbFile & queue.keys).delete_quick()
    queue.jobs.refresh()
    assert queue.states() == ["reserved"]


def test_a_job_is_reserved_once(queue):
    queue.files("one")
    queue.jobs.refresh(queue.keys)
    assert queue.jobs.reserve(queue.keys[0])
    assert not queue.jobs.reserve(queue.keys[0])


def test_a_transient_failure_is_tried_again_up_to_a_number_of_times(queue):
    from schemas._failures import TRIES

    queue.files("flaky")
    queue.answers["flaky"] = ConnectionResetError("reset by peer")
    queue.jobs.refresh(queue.keys)
    for attempt in range(1, TRIES + 1):
        assert queue.states() == ["pending"]
        while len(queue.tries()) < attempt:
            queue.populate()
    assert queue.states() == ["error"]
    last = queue.tries()[-1]
    assert (last["attempt"], last["error_kind"], last["retry_at"]) == (TRIES, "transient", None)
    assert last["error_file"].endswith("flaky.nwb")


def test_a_permanent_failure_is_an_error_at_once_and_retry_makes_it_pending(queue):
    queue.files("broken", "other")
    queue.answers |= {"broken": ValueError("no such parameter"), "other": ValueError("else")}
    queue.jobs.refresh(queue.keys)
    queue.populate()
    assert queue.states() == ["error"] * 2
    assert queue.jobs.release("error_message like 'no such%%'") == 1
    assert sorted(queue.states()) == ["error", "pending"]
    assert len(queue.tries()) == 1


def test_no_job_is_an_error_without_a_row_that_says_why(queue, tables, monkeypatch):
    queue.files("untold")
    queue.answers["untold"] = ValueError("no such parameter")
    queue.jobs.refresh(queue.keys)

    def insert1(*_, **__):
        raise ConnectionResetError("the server went away")

    monkeypatch.setattr(tables.operation.JobError, "insert1", insert1)
    with pytest.raises(ConnectionResetError):
        queue.populate()
    assert queue.states() == ["reserved"]  # under a lease, which hands it back


def test_a_message_that_no_server_could_keep_is_kept_as_far_as_it_can_be(queue, monkeypatch):
    monkeypatch.setattr(dj.logger, "disabled", True)  # nor could pytest-xdist send it
    queue.files("odd")
    queue.answers["odd"] = ValueError("no session 'a\x00b\udcffc'")
    queue.jobs.refresh(queue.keys)
    queue.populate()
    assert queue.states() == ["error"]
    assert queue.tries()[0]["error_message"] == "no session 'a?b?c'"


def test_a_bad_file_has_a_row_and_no_failed_job(queue, tables):
    queue.files("bad")
    queue.answers["bad"] = ReadError("open", "no HDF5", "download it again")
    queue.jobs.refresh(queue.keys)
    queue.populate()
    assert queue.states() == ["success"]
    assert (queue.table & queue.keys).fetch1("ingestion_status") == "error"


def test_a_full_disk_puts_the_job_off_and_calls_nothing_failed(queue):
    queue.files("big")
    queue.answers["big"] = OSError(28, "No space left on device")
    queue.jobs.refresh(queue.keys)
    queue.populate()
    assert queue.states() == ["pending"]
    assert queue.tries() == []


def test_a_row_that_was_deleted_is_pending_again_at_the_next_refresh(queue):
    queue.files("again")
    queue.answers["again"] = ReadError("open", "no HDF5", "download it again")
    queue.jobs.refresh(queue.keys)
    queue.populate()
    (queue.table & queue.keys).delete(prompt=False)
    assert queue.jobs.refresh(queue.keys)["re_pended"] == 1
    assert queue.states() == ["pending"]


def test_an_insert_under_a_lost_lease_is_refused(queue, tables):
    from schemas import _lease

    queue.files("late")

    def lose():
        mine = {"lease": _lease.current().number}
        tables.operation.Lease.update1({**mine, "lease_state": "lost"})
        return ReadError("open", "no HDF5", "download it again")

    queue.answers["late"] = lose
    queue.jobs.refresh(queue.keys)
    done = queue.table.populate(queue.keys, reserve_jobs=True, refresh=False, suppress_errors=True)
    assert "was given to another" in done["error_list"][0][1]
    assert not queue.table & queue.keys
    assert queue.states() == ["reserved"]  # left to whoever has it now
    assert queue.tries() == []


def test_nothing_is_reserved_under_a_lost_lease_and_the_next_job_runs_under_a_new_one(
    queue, tables, monkeypatch
):
    from schemas import _lease

    monkeypatch.setattr(_lease.Lease, "_is_held", lambda self: True)  # its beat notices nothing
    queue.files("first")
    queue.answers["first"] = ReadError("open", "no HDF5", "download it again")
    queue.jobs.refresh(queue.keys)
    lost = _lease.take(lane="test")
    tables.operation.Lease.update1({"lease": lost.number, "lease_state": "lost"})
    queue.populate()
    assert queue.states() == ["pending"]
    queue.populate()
    assert queue.states() == ["success"]
    assert _lease.current().number != lost.number
    assert _lease.current().orders["lane"] == "test"
