"""Taking a job and noting its end in few statements, for there may be many short jobs.

They lock the lease's row, the worker's, then the job's: the order of `_reap`. Each may come twice:
a statement is sent again where the connection was lost.
"""

import json
from typing import Any

import datajoint as dj

from . import operation
from ._locks import now_sql

RESERVE = {
    "mysql": (
        "UPDATE {lease} AS l, {worker} AS w, {queue} AS j SET l.lease_state = 'held', {note}, "
        "{job} WHERE l.lease = %(lease)s AND l.lease_state = 'held' AND w.worker = %(worker)s "
        "AND {where} AND j.status = 'pending' AND j.scheduled_time <= CURRENT_TIMESTAMP(3)"
    ),
    "postgresql": (
        "WITH held AS (SELECT 1 FROM {lease} WHERE lease = %(lease)s AND lease_state = 'held' "
        "FOR UPDATE), taken AS (UPDATE {queue} SET {job} WHERE {where} AND status = 'pending' "
        "AND scheduled_time <= CURRENT_TIMESTAMP(3) AND EXISTS (SELECT 1 FROM held) RETURNING 1) "
        "UPDATE {worker} SET {note} WHERE worker = %(worker)s AND EXISTS (SELECT 1 FROM taken)"
    ),
}
COMPLETE = {
    "mysql": (
        "UPDATE {worker} AS w SET {note} WHERE worker = %(worker)s",
        "UPDATE {queue} AS j SET {job} WHERE {where}",
        "DELETE FROM {tries} WHERE failed_table = %(failed_table)s AND job = %(digest)s",
    ),
    "postgresql": (
        "WITH free AS (UPDATE {worker} SET {note} WHERE worker = %(worker)s), forgotten AS "
        "(DELETE FROM {tries} WHERE failed_table = %(failed_table)s AND job = %(digest)s) "
        "UPDATE {queue} SET {job} WHERE {where}",
    ),
}
DONE = {
    "status": "'success'", "completed_time": "CURRENT_TIMESTAMP(3)", "duration": "%(duration)s",
    "error_message": "''", "error_stack": "NULL",
}  # fmt: skip


def reserve(
    queue: dj.Table, where: str, lease: Any, job: dict[str, Any], making: tuple[str, dict]
) -> bool:
    """Take a pending job under a lease, if the lease is held; whether it is taken.

    Parameters
    ----------
    where
        Condition that names the job.
    lease
        The `_lease.Lease`; found lost, it is marked so.
    job
        Columns of the job and their values.
    making
        Table and key, for the worker's row.
    """
    values = job | {"connection_id": lease.number}
    columns = {name: f"%({name})s" for name in values} | {
        "status": "'reserved'",
        "reserved_time": "CURRENT_TIMESTAMP(3)",
    }
    table, key = making
    given = values | {
        "lease": lease.number,
        "worker": lease.worker,
        "job_table": table,
        "job_key": json.dumps(key, default=str),
    }
    since = now_sql(queue.connection)
    note = {"job_table": "%(job_table)s", "job_key": "%(job_key)s", "job_since": since}
    text = _write(queue, RESERVE[queue.adapter.backend], where, columns, note)
    if queue.connection.query(text, given).rowcount:
        lease.making = making
        return True
    state = queue.connection.query(
        f"SELECT lease_state, EXISTS (SELECT 1 FROM {queue.full_table_name} WHERE {where} "
        f"AND status = 'reserved' AND connection_id = %(lease)s) "
        f"FROM {operation.Lease.full_table_name} WHERE lease = %(lease)s",
        given,
    ).fetchone()
    lease.lost = state is None or state[0] != "held"
    if lease.lost or not state[1] or lease.making == making:
        return False
    lease.making = making  # it is taken: the statement was sent twice
    return True


def complete(
    queue: dj.Table, where: str, worker: str, seconds: float | None, tries: dict[str, str]
) -> None:
    """Note that a job is done and its worker free; the job's failed tries are forgotten."""
    given = {
        "worker": worker, "duration": seconds, "failed_table": tries["failed_table"],
        "digest": tries["job"],
    }  # fmt: skip
    note = {"job_table": "NULL", "job_key": "NULL", "job_since": "NULL"}
    for statement in COMPLETE[queue.adapter.backend]:
        queue.connection.query(_write(queue, statement, where, DONE, note), given)


def _write(
    queue: dj.Table, text: str, where: str, job: dict[str, str], note: dict[str, str]
) -> str:
    mysql, quote = queue.adapter.backend == "mysql", queue.adapter.quote_identifier

    def assign(alias: str, values: dict[str, str]) -> str:
        first = f"{alias}." if mysql else ""
        return ", ".join(f"{first}{quote(name)} = {value}" for name, value in values.items())

    return text.format(
        queue=queue.full_table_name, lease=operation.Lease.full_table_name,
        worker=operation.Worker.full_table_name, tries=operation.JobError.full_table_name,
        where=where, job=assign("j", job), note=assign("w", note),
    )  # fmt: skip
