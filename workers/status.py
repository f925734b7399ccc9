"""How far each computed table is, who works on it, and what went wrong."""

from datetime import datetime
from typing import Any

import datajoint as dj
from datajoint.condition import Not

from schemas import operation, recording
from schemas._locks import server_now
from schemas._reap import live_leases
from schemas._tables import among, computed_tables, job_digest

from .lanes import jobs_of_study

RATE_OVER_S = 900.0
"""Jobs that ended in this time count for the rate (s)."""


def table_status(study: str | None = None) -> list[dict[str, Any]]:
    """Per computed table, or per table of one study: what is done and what is not.

    Returns
    -------
    list
        One dictionary a table: ``table``; ``asked``, ``done``, ``pending``, ``running`` and
        ``failed`` jobs, those of a worker that is gone counted as pending; ``rate`` (jobs per
        minute, over the last 15 minutes) and ``seconds_left``, None where nothing ended lately.
    """
    living = {row["lease"] for row in live_leases()}
    return [_row(name, table, study, living) for name, table in computed_tables()]


def workers_at_work() -> list[dict[str, Any]]:
    """The workers that live: who, where, since when, and what each is making."""
    now = server_now(dj.conn())
    return [
        {
            "worker": row["worker"],
            "lane": row["lane"],
            "device": row["worker_device"],
            "study": row["only_study"],
            "version": row["worker_version"],
            "image": row["image"],
            "started": row["started"],
            "heartbeat_s": (now - row["heartbeat"]).total_seconds(),
            "job": row["job_table"],
            "job_key": row["job_key"],
            "job_s": None if row["job_since"] is None else _since(row["job_since"], now),
        }
        for row in sorted(live_leases(), key=lambda row: row["started"])
    ]


def errors(table: str | None = None, like: str | None = None) -> list[dict[str, Any]]:
    """Jobs that failed, and jobs that wait for another try; the latest try of each.

    Parameters
    ----------
    table
        Only of this table, ``Ingestion`` or ``recording.Ingestion``.
    like
        Only messages (or files) that hold this text, in any case.

    Raises
    ------
    LookupError
        If no jobs are of a table of that name.
    """
    _refuse_unknown(table)
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for row in operation.JobError.to_dicts(order_by="failed_at, attempt"):
        last[row["failed_table"], row["job"]] = {
            "table": row["failed_table"],
            "key": row["failed_key"],
            "kind": row["error_kind"],
            "tries": row["attempt"],
            "stage": row["error_stage"],
            "message": row["error_message"],
            "way_out": row["error_way_out"],
            "file": row["error_file"],
            "worker": row["failed_worker"],
            "at": row["failed_at"],
            "next_try": row["retry_at"],
            "stack": row["error_stack"],
        }
    waiting = {name: _unmade(name) for name, _ in last}
    known = [row for (name, job), row in last.items() if job in waiting[name]]
    rows = [*known, *_unread_files()]
    return [row for row in rows if _fits(row, table, like)]


def retry(table: str | None = None, like: str | None = None) -> int:
    """Make failed jobs pending again, files that could not be read among them; how many.

    Parameters as in `errors`.
    """
    done = 0
    tables = dict(computed_tables())
    for row in errors(table, like):
        kind = tables[row["table"]]
        if kind is recording.Ingestion and (kind & row["key"]):
            (kind & row["key"]).delete_quick()  # nothing hangs on it; a worker may do no more
            kind.jobs.refresh(row["key"])
            done += 1
        else:
            done += kind.jobs.release(row["key"])
    return done


def _row(name: str, table: type[dj.Table], study: str | None, living: set[int]) -> dict[str, Any]:
    keys = None if study is None else jobs_of_study(study, table)
    chosen = "1 = 1" if keys is None else among(keys) or "1 = 0"
    asked, made, jobs = table().key_source & chosen, table() & chosen, table.jobs & chosen
    left = len(asked - table.proj())
    done = len(made)
    counted = dj.U("status", "connection_id").aggr(jobs, n="count(*)").to_dicts()
    running = sum(
        r["n"] for r in counted if r["status"] == "reserved" and r["connection_id"] in living
    )
    failing = (jobs & "status = 'error'").restrict(Not(table.proj()), semantic_check=False)
    failed = len(failing)
    rate = _rate(jobs)
    pending = max(left - running - failed, 0)
    if table is recording.Ingestion:  # a file that could not be read has a row that says so
        unread = len(made & {"ingestion_status": "error"})
        done, failed = done - unread, failed + unread
    waiting = pending + running
    return {
        "table": name,
        "asked": len(made) + left,
        "done": done,
        "pending": pending,
        "running": running,
        "failed": failed,
        "rate": rate,
        "seconds_left": 60 * waiting / rate if rate and waiting else None,
    }


def _rate(jobs: dj.Table) -> float | None:
    """Jobs a minute, over those that ended lately."""
    lately = jobs.adapter.interval_expr(RATE_OVER_S, "second")
    ended = jobs & f"status = 'success' AND completed_time > CURRENT_TIMESTAMP(3) - {lately}"
    began = ended.proj("reserved_time", "completed_time").to_dicts()
    if not began:
        return None
    first = min(row["reserved_time"] for row in began)
    last = max(row["completed_time"] for row in began)
    seconds = max((last - first).total_seconds(), 1e-3)
    return 60 * len(began) / seconds


def _unmade(name: str) -> set[str]:
    """Digests of the keys of a table's jobs that failed or are still to be made."""
    jobs = dict(computed_tables())[name].jobs & "status in ('error', 'pending', 'reserved')"
    return {job_digest(key) for key in jobs.keys()}


def _unread_files() -> list[dict[str, Any]]:
    from schemas import session

    rows = recording.Ingestion * session.NwbFile.proj("path", "registered")
    return [
        {
            "table": "recording.Ingestion",
            "key": {"nwb_file": row["nwb_file"]},
            "kind": "permanent",
            "tries": 1,
            "stage": row["stage"],
            "message": row["message"],
            "way_out": row["way_out"],
            "file": row["path"],
            "worker": None,
            "at": row["registered"],
            "next_try": None,
            "stack": [],
        }
        for row in (rows & {"ingestion_status": "error"}).to_dicts(order_by="path")
    ]


def _refuse_unknown(table: str | None) -> None:
    known = [name for name, _ in computed_tables()]
    if table is not None and not any(_is_called(name, table) for name in known):
        raise LookupError(f"no table {table!r} has jobs; there are {', '.join(known)}")


def _is_called(name: str, asked: str) -> bool:
    return asked.lower() in (name.lower(), name.rpartition(".")[2].lower())


def _fits(row: dict[str, Any], table: str | None, like: str | None) -> bool:
    if table is not None and not _is_called(row["table"], table):
        return False
    told = f"{row['message']} {row['file'] or ''} {row['stage']}".lower()
    return like is None or like.lower() in told


def _since(moment: datetime, now: datetime) -> float:
    return max((now - moment).total_seconds(), 0.0)
