"""Leases whose connection is gone: their jobs go back to those who live."""

import json
import logging
from datetime import timedelta
from typing import Any

import datajoint as dj

from . import operation
from ._locks import is_free_sql, let_go, now_sql, seconds_up, server_now, take_lock
from ._tables import job_digest

DEATHS = 10
SETTLE_S, YOUNG_S = 4.0, 60.0
"""A server that was started anew holds no lock: the living have so long to take theirs again (s).
Its age counts from before it recovered its data, which may take some time: that it answers is
known from the caller's own connection, or from a lease taken since."""
WAY_OUT = (
    "it is made by another worker; where it happens again and again, give the workers more memory, "
    "or look in their log; `fieldbase retry` forgets the count"
)

log = logging.getLogger(__name__)


def live_leases(connection: dj.Connection | None = None) -> list[dict[str, Any]]:
    """Lease and worker of every process that computes at the moment."""
    connection = connection or dj.conn()
    gone = {
        row[0]
        for row in connection.query(
            f"SELECT lease FROM {operation.Lease.full_table_name} "
            f"WHERE lease_state = 'held' AND {is_free_sql(connection, 'lease')}"
        ).fetchall()
    }
    rows = (operation.Lease * operation.Worker & {"lease_state": "held"}).to_dicts()
    return [row for row in rows if row["lease"] not in gone]


def reap(
    connection: dj.Connection, jobs: list[str], *, but: int | None = None,
    connected_s: float = float("inf"),
) -> list[int]:  # fmt: skip
    """Mark leases whose connection is gone as lost and hand their jobs back; which they were.

    Parameters
    ----------
    jobs
        Full names of the job tables.
    but
        A lease to leave alone: the caller's own.
    connected_s
        How long ago the caller connected (s).
    """
    lease = operation.Lease.full_table_name
    gone = connection.query(
        f"SELECT lease, taken FROM {lease} WHERE lease_state = 'held' AND lease <> %s AND "
        + is_free_sql(connection, "lease"),
        (but or 0,),
        reconnect=False,
    ).fetchall()
    if gone and connected_s < SETTLE_S and (up_s := seconds_up(connection)) < YOUNG_S:
        now = server_now(connection)
        started, settled = now - timedelta(seconds=up_s), now - timedelta(seconds=SETTLE_S)
        since = f"SELECT 1 FROM {lease} WHERE taken > %s AND taken < %s"
        if connection.query(since, (started, settled), reconnect=False).fetchone() is None:
            gone = [(number, taken) for number, taken in gone if taken > started]
    reaped = []
    for number, _ in gone:
        if not take_lock(connection, number):
            continue
        try:
            if _declare_lost(connection, jobs, number):
                reaped.append(number)
        finally:
            let_go(connection, number)
    return reaped


def _declare_lost(connection: dj.Connection, jobs: list[str], number: int) -> bool:
    lease, worker = operation.Lease.full_table_name, operation.Worker.full_table_name
    now = now_sql(connection)
    with connection.transaction:
        row = connection.query(
            f"SELECT worker FROM {lease} WHERE lease = %s AND lease_state = 'held' "
            "FOR UPDATE SKIP LOCKED",
            (number,),
            reconnect=False,
        ).fetchone()
        if row is None:  # it is inserting at this moment, or another was faster
            return False
        connection.query(
            f"UPDATE {lease} SET lease_state = 'lost', given_up = {now} WHERE lease = %s", (number,)
        )
        making = connection.query(
            f"SELECT job_table, job_key FROM {worker} WHERE worker = %s", (row[0],)
        ).fetchone()
        connection.query(
            f"UPDATE {worker} SET job_table = NULL, job_key = NULL, job_since = NULL "
            "WHERE worker = %s",
            (row[0],),
        )
        given = give_back(connection, jobs, number)
        if given and making is not None and making[0] is not None:
            _count_death(connection, jobs, row[0], *making)
    log.warning("worker %s is gone; %d job(s) are pending again", row[0], given)
    return True


def _count_death(
    connection: dj.Connection, jobs: list[str], worker: str, table: str, written: Any
) -> None:
    """Note that a worker died while making this job; after ``DEATHS`` it is tried no more."""
    tries, now = operation.JobError.full_table_name, now_sql(connection)
    key = json.loads(written) if isinstance(written, str) else written
    job = {"failed_table": table, "job": job_digest(key)}
    last, deaths = connection.query(
        f"SELECT COALESCE(MAX(attempt), 0), COALESCE(SUM(CASE WHEN error_kind = 'lost' THEN 1 "
        f"ELSE 0 END), 0) FROM {tries} WHERE failed_table = %s AND job = %s",
        tuple(job.values()),
    ).fetchone()
    values = job | {
        "attempt": last + 1,
        "failed_key": json.dumps(key),
        "error_kind": "lost",
        "error_stage": "worker",
        "error_message": f"worker {worker} was gone while making this ({deaths + 1} of {DEATHS})",
        "error_way_out": WAY_OUT,
        "error_stack": "[]",
        "failed_worker": worker,
    }
    places = ", ".join(["%s"] * len(values))
    connection.query(
        f"INSERT INTO {tries} ({', '.join(values)}, failed_at) VALUES ({places}, {now})",
        tuple(values.values()),
    )
    if deaths + 1 < DEATHS:
        return
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in table.rpartition(".")[2])
    (queue,) = [name for name in jobs if name.strip('`"').endswith(f"~~{snake.strip('_')}")]
    where = " AND ".join(f"{connection.adapter.quote_identifier(name)} = %s" for name in key)
    connection.query(
        f"UPDATE {queue} SET status = 'error', error_message = %s WHERE status = 'pending' "
        f"AND {where}",
        (values["error_message"], *key.values()),
    )


def give_back(connection: dj.Connection, jobs: list[str], number: int, where: str = "1=1") -> int:
    """Make the reserved jobs of a lease pending again; how many there were."""
    return sum(
        connection.query(
            f"UPDATE {job} SET status = 'pending' WHERE status = 'reserved' "
            f"AND connection_id = %s AND {where}",
            (number,),
            reconnect=False,
        ).rowcount
        for job in jobs
    )
