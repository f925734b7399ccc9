"""Make these rows now, beside whatever workers there are: what study, ingest and locate do."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import datajoint as dj

from schemas import _lease, operation
from schemas._failures import classify
from schemas._jobs import Ended
from schemas._reap import live_leases
from schemas._tables import among, name_of

from .lanes import LANES

AT_ONCE = 10
LOOK_S = 0.5
AWAY_S = 600.0


class NoRoom(RuntimeError):
    """A disk or a store is full; what was stored stays."""


@dataclass
class Made:
    """Rows made, by this process or by a worker, and the jobs that failed: key and message."""

    made: int = 0
    failed: list[tuple[dict[str, Any], str]] = field(default_factory=list)


def make_rows(
    table: type[dj.Table], keys: list[dict[str, Any]], *, options: dict[str, Any] | None = None,
    wait: bool = False, say: Callable[[str], None] = lambda text: None,
    on_begin: Callable[[dict[str, Any]], None] = lambda key: None, tries: int | None = None,
) -> Made:  # fmt: skip
    """Make the rows of `table` for `keys` that are not there yet, failed ones anew.

    Jobs that a worker has begun are waited for; jobs that failed of something that passes are
    tried again.

    Parameters
    ----------
    options
        For ``make``.
    wait
        Make nothing here: leave all to workers, and wait for them.
    say
        Told, once each, why it takes long.
    on_begin
        Told of each job that begins here.
    tries
        Wait no longer for a job that failed so often of something that passes: it stays pending,
        and counts as failed here. None waits until it is given up.

    Raises
    ------
    NoRoom
        If a disk or a store is full.
    KeyboardInterrupt
        If the user asks to stop; the job at hand is pending again.
    """
    if not keys:
        return Made()
    wanted = among(keys)
    before = len(table & wanted)
    table.jobs.refresh(wanted)
    if table.jobs.errors & wanted:
        table.jobs.release(wanted)
    watch = _Watch(table, say, on_begin, tries)
    while not watch.surviving(lambda: watch.round(wanted, options or {}, wait)):
        time.sleep(LOOK_S)
    ended = (table.jobs & "status in ('error', 'ignore')" & wanted).proj("error_message").to_dicts()
    failed = [
        ({n: row[n] for n in table.primary_key}, row["error_message"] or "set aside in the queue")
        for row in ended
    ]
    return Made(len(table & wanted) - before, failed + watch.left)


class _Watch:
    """What happens to jobs while somebody waits for them."""

    def __init__(
        self, table: type[dj.Table], say: Callable, on_begin: Callable, tries: int | None
    ) -> None:
        self.table, self.say, self.on_begin, self.tries = table, say, on_begin, tries
        self.left: list[tuple[dict[str, Any], str]] = []
        self.away_since: float | None = None
        self.stopped, self.full, self.told, self.ended = False, "", set(), 0

    def surviving(self, do: Callable[[], bool]) -> bool:
        """What `do` answers; False while the server is away, which may last `AWAY_S`."""
        try:
            done = do()
        except Exception as error:
            failure, now = classify(error), time.monotonic()
            self.away_since = self.away_since or now
            if failure.kind not in ("transient", "lost") or now - self.away_since > AWAY_S:
                raise
            self.say(f"{failure.message}; trying again")
            return False
        self.away_since = None
        return done

    def round(self, wanted: Any, options: dict[str, Any], wait: bool) -> bool:
        """Make what can be made now; whether nothing is left to wait for."""
        while not wait and self.populate(wanted, options):
            pass
        left = (self.table().key_source & wanted) - self.table.proj()
        states = _states(self.table, left)
        self.left = self._put_off(left) if self.tries else []
        waiting = [state for state in states.values() if state not in ("error", "ignore")]
        if len(waiting) <= len(self.left):
            return True
        if None in waiting:
            self.table.jobs.refresh(wanted)
        self.tell(wait, states)
        return False

    def populate(self, wanted: Any, options: dict[str, Any]) -> bool:
        """Make some of what is pending; whether any job ended."""
        lease, ended = _lease.ours(lane="here"), self.ended
        lease.give_back(self.table.jobs.full_table_name)  # what was interrupted outside a job
        usual = lease.before_job, lease.after_job
        lease.before_job, lease.after_job = self._may_begin, self._ended
        try:
            self.table.populate(
                wanted, reserve_jobs=True, refresh=False, suppress_errors=True, max_calls=AT_ONCE,
                make_kwargs=options,
            )  # fmt: skip
        finally:
            lease = _lease.held() or lease
            lease.before_job, lease.after_job = usual
        if self.full:
            raise NoRoom(f"{self.full}; make room, `fieldbase gc` lists what can go")
        if self.stopped:
            raise KeyboardInterrupt
        return self.ended > ended

    def _put_off(self, left: dj.Table) -> list[tuple[dict[str, Any], str]]:
        """Jobs that failed often enough for whoever waits here: key and message."""
        found = []
        for key in left.keys():
            tried = self.table.jobs.tries(key) & {"error_kind": "transient"}
            last = tried.to_dicts(order_by="attempt desc", limit=1)
            if last and last[0]["attempt"] >= self.tries and last[0]["retry_at"] is not None:
                found.append((key, last[0]["error_message"]))
        return found

    def tell(self, wait: bool, states: dict[str, str | None]) -> None:
        """Say, once each, why it takes long."""
        tries = operation.JobError & {
            "failed_table": name_of(self.table),
            "error_kind": "transient",
        }
        for row in tries.to_dicts(order_by="failed_at"):
            if row["job"] not in self.told and row["retry_at"] is not None:
                self.say(f"{row['error_message']}; tried again at {row['retry_at']:%H:%M:%S} UTC")
                self.told.add(row["job"])
        running = sum(state == "reserved" for state in states.values())
        if running and not wait and "others" not in self.told:
            self.say(f"{running} jobs are another process's by now (`fieldbase status`); waiting")
            self.told.add("others")
        lane = next(lane for lane, names in LANES.items() if self.table.__name__ in names)
        if wait and lane not in self.told:
            if not any(lane in row["lane"].split(",") for row in live_leases()):
                self.say(f"{len(states)} jobs wait for a worker: fieldbase worker --lane {lane}")
                self.told.add(lane)

    def _may_begin(self, key: dict[str, Any]) -> bool:
        if self.stopped or self.full:
            return False
        self.on_begin(key)
        return True

    def _ended(self, ended: Ended) -> None:
        self.ended += 1
        if ended.failure is not None:
            self.stopped |= ended.failure.kind == "stopped"
            self.full = ended.failure.message if ended.failure.kind == "full" else self.full


def _states(table: type[dj.Table], left: dj.Table) -> dict[str, str | None]:
    """Status of the jobs that are left; None where one is to be queued, or queued again."""
    names = table.primary_key
    found: dict[str, str | None] = {str([key[n] for n in names]): None for key in left.keys()}
    for row in (table.jobs & "status <> 'success'").proj("status").to_dicts():
        mark = str([row[n] for n in names])
        if mark in found:
            found[mark] = row["status"]
    return found
