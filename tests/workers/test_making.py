"""Rows made here, beside workers: every wait ends, and says what it waits for."""

import time

import pytest

from pipeline.nwb import ReadError


@pytest.fixture
def make(crew, monkeypatch):
    """Make the rows of the crew's files here; reading them takes no time and fails."""
    from schemas import _ingest, _lease
    from workers.making import make_rows

    def read(source, **_):
        raise ReadError("open", "no HDF5", "download it again")

    monkeypatch.setattr(_ingest, "read_summary_isolated", read)
    yield lambda **options: make_rows(crew.tables.recording.Ingestion, crew.keys, **options)
    _lease.end()


def set_jobs(crew, values):
    crew.jobs.connection.query(f"UPDATE {crew.jobs.full_table_name} SET {values}")


@pytest.mark.timeout(60)
def test_a_job_that_was_set_aside_is_told_of_and_not_waited_for(crew, make):
    crew.files("aside", "other")
    (key, _) = crew.keys
    set_jobs(crew, f"status = 'ignore' WHERE nwb_file = '{key['nwb_file']}'")
    done = make()
    assert done.made == 1
    assert done.failed == [(key, "set aside in the queue")]


@pytest.mark.timeout(60)
def test_a_row_deleted_while_another_fills_the_queue_is_made_again(crew, make, monkeypatch):
    crew.files("deleted")
    set_jobs(crew, "status = 'success'")
    whole, busy = type(crew.jobs).refresh, iter([{"added": 0}])
    monkeypatch.setattr(
        type(crew.jobs), "refresh", lambda jobs, *given: next(busy, None) or whole(jobs, *given)
    )
    assert make().made == 1


@pytest.mark.timeout(60)
def test_a_job_that_was_left_reserved_when_the_server_went_is_made_once_it_is_back(
    crew, make, monkeypatch
):
    from schemas._lease import Lease

    crew.files("reserved")
    note, away = Lease.note, iter([True, True, False])

    def fail(lease, *given):
        if next(away, False):
            raise ConnectionResetError("the server is away")
        note(lease, *given)

    monkeypatch.setattr(Lease, "note", fail)
    assert make().made == 1
    assert crew.states() == ["success"]


def test_many_quick_jobs_are_not_slowed_down_by_looking_for_more(crew, make, monkeypatch):
    from workers import making

    crew.files(*[f"quick_{i}" for i in range(25)])
    monkeypatch.setattr(making, "LOOK_S", 10.0)
    began = time.monotonic()
    assert make().made == 25
    assert time.monotonic() - began < 10


def test_thousands_of_keys_are_asked_for_in_a_second(tables):
    from schemas._tables import among

    keys = [{"nwb_file": f"{i:064x}"} for i in range(5000)]
    began = time.monotonic()
    assert len(tables.recording.Ingestion.jobs & among(keys)) == 0
    assert time.monotonic() - began < 5
    rows = tables.session.Source
    rows.insert([{"source": name} for name in ("it's", "one", "two 2")], skip_duplicates=True)
    for names in (["one", "two 2"], ["it's", "one"], ["one"], []):
        found = rows & among([{"source": name} for name in names])
        assert sorted(found.to_arrays("source")) == sorted(names)
    (rows & "source in ('one', 'two 2')").delete_quick()
    (rows & {"source": "it's"}).delete_quick()


def test_after_rows_were_made_here_populate_works_as_ever(crew, make):
    crew.files("one")

    def stop(key):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(on_begin=stop)
    crew.tables.recording.Ingestion.populate(crew.keys, reserve_jobs=True, refresh=False)
    assert crew.rows() == 1
