"""DataJoint's job queue, under leases: nothing is lost, nothing is made twice.

A reserved job carries the number of the `operation.Lease` it is reserved under in its column
``connection_id``. What DataJoint 2.3.5 does itself, and why not here: `refresh` inserts row by row
and takes jobs away from living workers by their age; `error` overwrites the state of a job that
is another's by now, and calls a stopped job failed.
"""

import os
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import datajoint as dj
from datajoint.condition import AndList, Not, make_condition
from datajoint.jobs import Job

from pipeline.redact import redact

from . import _lease, _turns, operation
from ._failures import Failure, classify, delay_s
from ._guard import Guarded
from ._locks import let_go, note_growth, take_lock, unlocked_reads
from ._names import clip
from ._reap import live_leases
from ._tables import job_digest, name_of

VERSION = version("fieldbase")
LINKS = ("WindowsLfp", "WindowsUnits", "WindowsBehavior", "WindowsFeatures")
MANY = 1000  # new jobs that change how the server should look for the next one


@dataclass(frozen=True)
class Ended:
    """A job that ended: with its row, in so many seconds, or with a failure."""

    table: str
    key: dict[str, Any]
    seconds: float | None
    failure: Failure | None


class LeasedJobs(Job):
    """The queue of one computed table."""

    def refresh(
        self, *restrictions, delay: float = 0, priority: int | None = None, **_: Any
    ) -> dict[str, int]:
        """Queue what is to be made and is not, drop what is no longer asked for.

        One process at a time does it, in a few statements however many keys there are; another
        one that asks meanwhile returns at once. Reserved jobs are never touched.

        Parameters
        ----------
        restrictions
            Conditions on what is added; what is dropped is judged against everything asked for.
        delay
            Time until the new jobs may be reserved (s).
        priority
            Of the new jobs; lower is more urgent.

        Returns
        -------
        dict
            How many were ``added``, ``removed`` and ``re_pended`` (made once, and deleted since).
        """
        leader = f"refresh {self.full_table_name}"
        if not take_lock(self.connection, leader, reconnect=True):
            return {"added": 0, "removed": 0, "orphaned": 0, "re_pended": 0}
        try:
            with unlocked_reads(self.connection):
                return self._refresh(restrictions, delay, priority)
        finally:
            let_go(self.connection, leader)

    def _refresh(self, restrictions, delay: float, priority: int | None) -> dict[str, int]:
        source = self.target.key_source
        asked = source & AndList(restrictions) if restrictions else source
        quote, made = self.adapter.quote_identifier, self.target.proj()
        columns = ", ".join(quote(name) for name in self.primary_key)
        missing = (asked - made).restrict(Not(self), semantic_check=False).proj()
        rank = self.connection._config.jobs.default_priority if priority is None else priority
        later = self.adapter.interval_expr(delay, "second")
        backend = self.connection.adapter.backend
        insert, conflict = ("INSERT IGNORE", "") if backend == "mysql" else (
            "INSERT", " ON CONFLICT DO NOTHING"
        )  # fmt: skip
        added = self.connection.query(
            f"{insert} INTO {self.full_table_name} ({columns}, {quote('status')}, "
            f"{quote('priority')}, {quote('scheduled_time')}) SELECT {columns}, 'pending', {rank}, "
            f"CURRENT_TIMESTAMP(3) + {later} FROM ({missing.make_sql()}) AS missing{conflict}"
        ).rowcount
        gone = (self & "status = 'success'").restrict(Not(made), semantic_check=False)
        gone = gone.restrict(source.proj(), semantic_check=False)
        re_pended = self._set("pending", gone)
        vanished = (self & "status in ('pending', 'error', 'success')").restrict(
            Not(source.proj()), semantic_check=False
        )
        done = (self & "status in ('pending', 'error')").restrict(made, semantic_check=False)
        removed = vanished.delete_quick(get_count=True) + done.delete_quick(get_count=True)
        if added > MANY:
            note_growth(self.connection, self.full_table_name)
        return {"added": added, "removed": removed, "orphaned": 0, "re_pended": re_pended}

    def due(self, *restrictions: Any) -> bool:
        """Whether a job could be reserved now."""
        now = self & "status = 'pending' AND scheduled_time <= CURRENT_TIMESTAMP(3)"
        return bool(now & AndList(restrictions))

    def left(self, *restrictions: Any) -> dj.Table:
        """Keys still to be made, queued or not: not failed, and no living process is at them."""
        asked = self.target.key_source & AndList(restrictions)
        living = [str(row["lease"]) for row in live_leases(self.connection)] or ["0"]
        settled = self & (
            "status IN ('error', 'ignore') OR "
            f"status = 'reserved' AND connection_id IN ({', '.join(living)})"
        )
        return (asked - self.target.proj()).restrict(Not(settled), semantic_check=False)

    def reserve(self, key: dict[str, Any]) -> bool:
        """Take a pending job under this process's lease; False if another was faster."""
        lease = _lease.ours()
        if not lease.before_job(key):
            return False
        job = {
            "host": clip(platform.node(), 255),
            "pid": os.getpid(),
            "user": lease.user,
            "version": VERSION,
        }
        making = name_of(self.target), self._get_pk(key)
        return _turns.reserve(self, self._where(key), lease, job, making)

    def complete(self, key: dict[str, Any], duration: float | None = None) -> None:
        """Note that a job is done and how long it took (s); its failed tries are forgotten."""
        lease = _lease.held()
        worker = "" if lease is None else lease.worker
        _turns.complete(self, self._where(key), worker, duration, self._job(key))
        self.target.after_made(key)
        if lease is not None:
            lease.making = None
            lease.after_job(self._ended(key, duration, None))

    def error(
        self, key: dict[str, Any], error_message: str, error_stack: str | None = None
    ) -> None:
        """Decide what becomes of a job that raised, by the exception being handled.

        A job that was stopped, or found no room, goes back as pending. A transient failure goes
        back too, to be tried later, up to a number of times. The rest is an error. A job that
        is another worker's by now is left alone.
        """
        found = sys.exception()
        failure = classify(found if found is not None else RuntimeError(error_message))
        lease = _lease.held()
        if failure.kind == "lost" or lease is None:
            return
        where = self._where(key)
        if failure.kind in ("stopped", "full"):
            lease.give_back(self.full_table_name, where)
        else:
            self._record(key, failure, lease)
        lease.note(None, None)
        lease.making = None
        lease.after_job(self._ended(key, None, failure))

    def tries(self, key: dict[str, Any]) -> dj.Table:
        """The failed tries of a job."""
        return operation.JobError & self._job(key)

    def release(self, *restrictions: Any) -> int:
        """Make failed and waiting jobs pending at once, their tries forgotten; how many."""
        jobs = (self & "status = 'error'" & AndList(restrictions)).keys()
        for key in jobs:
            self.tries(key).delete_quick()
        failed = self & "status = 'error'" & AndList(restrictions)
        waiting = self & "status = 'pending' AND scheduled_time > CURRENT_TIMESTAMP(3)"
        return self._set("pending", failed) + self._set("pending", waiting & AndList(restrictions))

    def _record(self, key: dict[str, Any], failure: Failure, lease: _lease.Lease) -> None:
        attempt = max(self.tries(key).to_arrays("attempt"), default=0) + 1
        passed = len(self.tries(key) & {"error_kind": "transient"})
        wait = delay_s(passed + 1) if failure.kind == "transient" else None
        now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        tried = {
            **self._job(key),
            "attempt": attempt,
            "failed_key": {k: str(v) for k, v in self._get_pk(key).items()},
            "error_kind": failure.kind,
            "error_stage": clip(failure.stage, 64),
            "error_message": clip(failure.message, 2047),
            "error_way_out": clip(failure.way_out, 1023),
            "error_file": clip(redact(_file_of(key) or "") or None, 768),
            "error_stack": list(failure.stack),
            "failed_worker": lease.worker,
            "failed_at": now,
            "retry_at": None if wait is None else now + timedelta(seconds=wait),
        }
        with self.connection.transaction:  # no job fails without a row that says why
            if self._update(key, lease, failure, wait):  # else it is another worker's by now
                operation.JobError.insert1(tried)

    def _update(
        self, key: dict[str, Any], lease: _lease.Lease, failure: Failure, wait: float | None
    ) -> bool:
        later = self.adapter.interval_expr(wait or 0, "second")
        changed = self.connection.query(
            f"UPDATE {self.full_table_name} SET status = %s, error_message = %s, "
            "completed_time = CURRENT_TIMESTAMP(3), "
            f"scheduled_time = CURRENT_TIMESTAMP(3) + {later} "
            f"WHERE {self._where(key)} AND status = 'reserved' AND connection_id = %s",
            ("error" if wait is None else "pending", clip(failure.message, 2047), lease.number),
        )
        return changed.rowcount == 1

    def _set(self, status: str, jobs: "LeasedJobs") -> int:
        """Give these jobs a status at once."""
        keys = jobs.keys()
        for start in range(0, len(keys), 500):
            where = make_condition(self, keys[start : start + 500], set())
            self.connection.query(
                f"UPDATE {self.full_table_name} SET status = %s, "
                f"scheduled_time = CURRENT_TIMESTAMP(3) WHERE {where} AND status <> 'reserved'",
                (status,),
            )
        return len(keys)

    def _ended(self, key: dict[str, Any], seconds: float | None, failure: Failure | None) -> Ended:
        return Ended(name_of(self.target), self._get_pk(key), seconds, failure)

    def _job(self, key: dict[str, Any]) -> dict[str, str]:
        return {"failed_table": name_of(self.target), "job": job_digest(self._get_pk(key))}

    def _where(self, key: dict[str, Any]) -> str:
        return make_condition(self, self._get_pk(key), set())


class _JobsOf:
    """``Table.jobs`` and ``table.jobs``: one queue, declared with the tables, asked for often."""

    def __init__(self) -> None:
        self._queues: dict[type, LeasedJobs] = {}

    def __get__(self, table, kind) -> LeasedJobs:
        queue = self._queues.get(kind)
        if queue is None:
            queue = LeasedJobs(kind())
            if not queue.is_declared:
                queue.declare()
            self._queues[kind] = queue
        return queue


class Leased(Guarded):
    """Mixin of computed tables: ``populate(reserve_jobs=True)`` runs under a lease."""

    jobs = _JobsOf()

    def make(self, key, **options):
        """Fetch, compute, insert: as `datajoint.Computed.make`, with the options for each step.

        DataJoint 2.3.5 gives ``make_kwargs`` to the first step only.
        """
        fetched = self.make_fetch(key, **options)
        computed = yield fetched
        if computed is None:
            computed = self.make_compute(key, *fetched, **options)
            yield computed
        self.make_insert(key, *computed, **options)
        yield

    def after_made(self, key) -> None:
        """Called once a reserved job's row is committed."""

    def insert(self, rows, *args, **options):
        """Insert, if the lease this process computes under is still its own.

        Raises
        ------
        LeaseLost
            If this process was taken for dead in the meantime; see `_lease`.
        """
        lease = _lease.held()
        if lease is not None and self.connection.in_transaction:
            lease.check(self.connection)
        super().insert(rows, *args, **options)


def _file_of(key: dict[str, Any]) -> str | None:
    """The recording a job is about, where it is about one."""
    from . import embedding, prediction, session, windows

    file = key.get("nwb_file")
    for tasks in (embedding.EmbeddingTask, prediction.PredictionTask):
        if tasks.key in key:
            key = (tasks & {tasks.key: key[tasks.key]}).fetch1()
    if file is None and "windows" in key:
        asked = {"windows": key["windows"]}
        for link in LINKS:
            file = next(iter((getattr(windows, link) & asked).to_arrays("nwb_file")), file)
    found = (session.NwbFile & {"nwb_file": file}).to_arrays("path") if file else ()
    return next(iter(found), None)
