"""The right to insert results: a lease, held as long as a connection of its process lives.

A lease has a random number and holds the server's advisory lock of that number over a connection
of its own, which a thread keeps alive. The server lets the lock go the moment the connection
dies, whatever killed the process; any other holder of a lease then finds the lock free, marks the
lease as lost and hands its jobs back. A process that lost its lease finds out before it inserts:
`Lease.check` locks the lease's row in the inserting transaction, as does whoever marks it.

A connection that is silent for ``FIELDBASE_SILENT`` seconds (120) is closed by the server, so a
machine that vanished without a word loses its lease too.
"""

import atexit
import json
import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import datajoint as dj

from . import operation
from ._connect import connect, connect_again
from ._locks import limit_silence, now_sql, server_now, take_lock
from ._names import clip
from ._reap import give_back, reap
from ._tables import computed_tables

BEAT_S = float(os.environ.get("FIELDBASE_BEAT", 2))

log = logging.getLogger(__name__)
_current: "Lease | None" = None


class LeaseLost(RuntimeError):
    """This process was taken for dead, and its job was given to another."""


class Taken(LookupError):
    """Something that another lease has to itself."""


class Lease:
    """A lease of this process; make one with `take`.

    Attributes
    ----------
    number
        Of the lease, and of its advisory lock.
    worker
        Key of the `operation.Worker` row.
    user
        Who computes, as the server calls them.
    making
        Table and key of the job this process reserved last.
    lost
        Whether another process has marked it as lost.
    before_job, after_job
        Asked with the key of a job before it is reserved, where a false answer leaves the job
        alone; told of every job that ended (`_jobs.Ended`).
    """

    def __init__(
        self,
        worker: str,
        before_job: Callable[[dict[str, Any]], bool],
        after_job: Callable[[Any], None],
    ) -> None:
        self.number, self.worker, self.pid = secrets.randbits(62) + 1, worker, os.getpid()
        self.lost, self.orders, self.making = False, {}, None
        self.before_job, self.after_job = before_job, after_job
        self._jobs = [table.jobs.full_table_name for _, table in computed_tables()]
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._connection = connect_again()
        self._hold()
        self.user, now = dj.conn().get_user(), server_now(dj.conn())
        operation.Lease.insert1(
            {"lease": self.number, "worker": worker, "lease_state": "held", "taken": now},
            skip_duplicates=True,  # sent twice where the connection was lost meanwhile
        )
        self._thread = threading.Thread(target=self._keep, name="fieldbase-lease", daemon=True)
        self._thread.start()

    def check(self, connection: dj.Connection) -> None:
        """Raise LeaseLost unless the lease is held, and stays so until the transaction ends."""
        table = operation.Lease.full_table_name
        found = connection.query(
            f"SELECT lease_state FROM {table} WHERE lease = %s FOR UPDATE", (self.number,)
        ).fetchone()
        if found is None or found[0] != "held":
            self.lost = True
            raise LeaseLost(
                f"worker {self.worker} was out of reach and its job was given to another; what it "
                "made is not stored"
            )

    def claim(self, name: str) -> bool:
        """Have something to itself as long as the lease's connection lives; False if taken."""
        with self._lock:
            return take_lock(self._connection, name)

    def note(self, table: str | None, key: dict[str, Any] | None) -> None:
        """Write down what is being made; None ends that."""
        self._note(dj.conn(), table, key)

    def give_back(self, job: str | None = None, where: str = "1=1") -> int:
        """Hand reserved jobs of this lease back as pending; how many there were.

        Parameters
        ----------
        job
            Full name of one job table; None means all of them.
        where
            Which of its jobs.
        """
        self.making = None
        with self._lock:
            return give_back(self._connection, [job] if job else self._jobs, self.number, where)

    def end(self) -> None:
        """Hand back what is reserved and let the lease go."""
        global _current
        if _current is self:
            _current = None
        if self._ended.is_set() or self.pid != os.getpid():
            return
        self._ended.set()
        self._thread.join(timeout=10)
        if not self._lock.acquire(timeout=10):
            return  # the server does not answer: the lock goes with this process
        with suppress(Exception):  # without a server the lock is gone anyway
            give_back(self._connection, self._jobs, self.number)
            self._mark("ended")
            self._query(
                f"UPDATE {operation.Worker.full_table_name} SET stopped = {self._now}, "
                "job_table = NULL, job_key = NULL, job_since = NULL WHERE worker = %s",
                self.worker,
            )
        self._connection.close()

    def _hold(self) -> bool:
        """Take the advisory lock over the lease's own connection; False if another has it."""
        self._connected = time.monotonic()
        limit_silence(self._connection)
        held = take_lock(self._connection, self.number)
        for name in self.orders.get("alone_on", ()) if held else ():
            if not take_lock(self._connection, name):
                log.warning("%s went to another worker while %s was away", name, self.worker)
        return held

    def _keep(self) -> None:
        pause_s = 0.0  # at first at once: a worker is often started because one has died
        while not self._ended.wait(pause_s):
            pause_s = BEAT_S * (0.8 + 0.4 * secrets.randbelow(100) / 100)
            try:
                with self._lock:
                    if not self._is_held():
                        return
                    self._query(
                        f"UPDATE {operation.Worker.full_table_name} SET heartbeat = {self._now} "
                        "WHERE worker = %s",
                        self.worker,
                    )
                    connected_s = time.monotonic() - self._connected
                    reap(self._connection, self._jobs, but=self.number, connected_s=connected_s)
            except Exception as error:
                log.warning("lease of %s: %s", self.worker, " ".join(str(error).split()))
                if not self._stands() and not self._regain():
                    return

    def _is_held(self) -> bool:
        """Whether nobody has marked the lease as lost; if so, remember it."""
        table = operation.Lease.full_table_name
        found = self._query(f"SELECT lease_state FROM {table} WHERE lease = %s", self.number)
        state = found.fetchone()
        self.lost = state is None or state[0] != "held"
        return not self.lost

    def _stands(self) -> bool:
        """Whether the connection, and the lock with it, outlived what failed (a deadlock)."""
        with suppress(Exception), self._lock:
            self._query("SELECT 1")
            return True
        return False

    def _regain(self) -> bool:
        """Connect and lock again; False once the lease is lost."""
        while not self._ended.is_set():
            with suppress(Exception), self._lock:
                self._connection.close()
            with suppress(Exception), self._lock:
                self._connection = connect_again()
                if not self._is_held():
                    return False
                if self._hold():
                    return True
            self._ended.wait(BEAT_S)
        return False

    def _note(self, connection, table: str | None, key: dict[str, Any] | None) -> None:
        since = self._now if table else "NULL"
        connection.query(
            f"UPDATE {operation.Worker.full_table_name} SET job_table = %s, job_key = %s, "
            f"job_since = {since} WHERE worker = %s",
            (table, None if key is None else json.dumps(key, default=str), self.worker),
        )

    def _mark(self, state: str) -> None:
        self._query(
            f"UPDATE {operation.Lease.full_table_name} SET lease_state = %s, "
            f"given_up = {self._now} WHERE lease = %s AND lease_state = 'held'",
            state,
            self.number,
        )

    def _query(self, text: str, *values: Any):
        return self._connection.query(text, values, reconnect=False)

    @property
    def _now(self) -> str:
        return now_sql(self._connection)


def take(
    *, lane: str, device: str = "cpu", study: str | None = None, alone_on: tuple[str, ...] = (),
    before_job: Callable[[dict[str, Any]], bool] = lambda key: True,
    after_job: Callable[[Any], None] = lambda ended: None,
) -> Lease:  # fmt: skip
    """A lease for this process, which from now on is fenced by it.

    Parameters
    ----------
    lane, device, study
        What to write down of the worker.
    alone_on
        What no other lease may have at the same time: marks of GPUs.
    before_job, after_job
        See `Lease`.

    Raises
    ------
    Taken
        If another lease has what this one is to have alone.
    """
    global _current
    end()
    atexit.unregister(end)
    atexit.register(end)
    connection = connect(create=False)
    now = server_now(connection)
    worker = f"{clip(platform.node(), 40)}-{os.getpid()}-{secrets.token_hex(4)}"
    operation.Worker.insert1(
        {
            "worker": worker,
            "worker_host": clip(platform.node(), 255),
            "worker_pid": os.getpid(),
            "lane": lane,
            "only_study": study,
            "worker_device": device,
            "worker_version": version("fieldbase"),
            "image": clip(os.environ.get("FIELDBASE_IMAGE"), 255),
            "started": now,
            "heartbeat": now,
        },
        skip_duplicates=True,
    )
    _current = Lease(worker, before_job, after_job)
    _current.orders = {"lane": lane, "device": device, "study": study, "alone_on": alone_on}
    for name in alone_on:
        if not _current.claim(name):
            end()
            raise Taken(f"{name} is another worker's")
    return _current


def end() -> None:
    """Let the lease of this process go, if it has one."""
    if _current is not None:
        _current.end()


def current() -> Lease | None:
    """The lease of this process, if it has one that is not lost."""
    mine = _current is not None and _current.pid == os.getpid()
    return _current if mine and not _current.lost else None


def ours(*, lane: str = "populate", device: str = "cpu") -> Lease:
    """The lease of this process: the one it has, one like the one it lost, or its first."""
    global _current
    found, lost = current(), held()
    if found is not None:
        return found
    if lost is None:
        return take(lane=lane, device=device)
    log.warning("the lease of %s was lost; this process takes a new one", lost.worker)
    try:
        return take(**lost.orders, before_job=lost.before_job, after_job=lost.after_job)
    except BaseException:
        _current = lost  # the next call tries again, under the same orders
        raise


def held() -> Lease | None:
    """The lease this process computes under, lost or not; None where it has none."""
    return _current if _current is not None and _current.pid == os.getpid() else None
