"""A worker: it drains lanes until it is told to stop, and loses nothing on the way."""

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import datajoint as dj

from schemas import _lease, recording
from schemas._failures import Failure, Stopped, classify
from schemas._jobs import Ended
from schemas._tables import among

from .devices import Device, find_devices
from .lanes import LaneError, jobs_of_study, tables_of
from .stop import StopSign

AT_ONCE = 10  # jobs that one populate() may take; a GPU's are long, and taken one by one
BEHIND = 20  # times in a row that others may take all a worker looked at, before it waits
ROOM_BYTES = 256 << 20  # below this much free space no job begins
SURE_S = 1.0  # between the two looks that find a worker idle
PAUSE_S = float(os.environ.get("FIELDBASE_PAUSE", 30))
LONGEST_PAUSE_S = 600.0


@dataclass(frozen=True)
class Orders:
    """What a worker is to do.

    Attributes
    ----------
    lanes
        See `lanes.LANES`.
    study
        The only study whose jobs it takes; None takes every study's.
    device, gpus
        Where models run, and on how many GPUs one training runs.
    until_idle
        Leave when nothing is left to do, instead of waiting for more.
    max_time_s
        Leave after so long (s), the grace included.
    grace_s
        What a job may still take once the worker is to leave (s).
    poll_s
        How often to look for new jobs while there are none (s).
    """

    lanes: tuple[str, ...]
    study: str | None = None
    device: str = "auto"
    gpus: int = 1
    until_idle: bool = False
    max_time_s: float | None = None
    grace_s: float = 8.0
    poll_s: float = 5.0


@dataclass
class Record:
    """What a worker did: rows made and jobs that failed or went back, by table; and why it left."""

    worker: str = ""
    made: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    put_off: dict[str, int] = field(default_factory=dict)
    left: str = "idle"

    @property
    def total(self) -> int:
        """Jobs that ended, however they did."""
        return sum(sum(kind.values()) for kind in (self.made, self.failed, self.put_off))

    def count(self, ended: Ended) -> None:
        """Add a job that ended."""
        kind = None if ended.failure is None else ended.failure.kind
        kept = self.made if kind is None else self.failed if kind == "permanent" else self.put_off
        kept[ended.table] = kept.get(ended.table, 0) + 1


def run_worker(
    orders: Orders, *, say: Callable[[str], None] = lambda text: None,
    on_job: Callable[[Ended], None] = lambda ended: None,
) -> Record:  # fmt: skip
    """Drain the lanes of `orders` until told to stop, idle, or out of time.

    Parameters
    ----------
    say
        Told what happens to the worker itself.
    on_job
        Told of every job that ended.
    """
    devices = find_devices(orders.device, lanes=orders.lanes, gpus=orders.gpus)
    with StopSign(orders.grace_s, say) as stop:
        return _Worker(orders, devices, stop, say, on_job).run()


class _Worker:
    def __init__(self, orders: Orders, devices: list[Device], stop: StopSign, say, on_job):
        self.orders, self.devices, self.stop = orders, devices, stop
        self.say, self.on_job, self.record = say, on_job, Record()
        self.device: Device | None = None  # until there is a lease
        self.paused_until, self.pause_s = 0.0, PAUSE_S
        self.unsettled = False  # whether a job may be reserved that is not at hand
        self.refreshed: dict[str, float] = {}
        self.tables = tables_of(orders.lanes)

    def run(self) -> Record:
        if self.orders.max_time_s is not None:
            left = self.orders.max_time_s - self.orders.grace_s
            self.stop.request_in(left, "the time is over")
        try:
            while not self.stop.requested and self.device is None:
                self._surviving(self._take_lease)
            idle = False
            while not self.stop.requested:
                if self._round():
                    idle = False
                    continue
                # twice: a dead worker's lease looks alive while another process reaps it
                before, idle = idle, self.orders.until_idle and self._surviving(self._is_idle)
                if before and idle:
                    break
                self.stop.wait(min(self.orders.poll_s, SURE_S) if idle else self.orders.poll_s)
        except Stopped:
            pass
        finally:
            self.record.left = "stopped" if self.stop.requested else "idle"
            _lease.end()
        return self.record

    def _take_lease(self) -> None:
        """A lease, and with it the first device that no other worker has."""
        for device in self.devices:
            try:
                lease = _lease.take(
                    lane=",".join(self.orders.lanes), study=self.orders.study,
                    device=device.name, alone_on=device.marks,
                    before_job=self._may_begin, after_job=self._ended,
                )  # fmt: skip
            except _lease.Taken:
                continue
            self.device = device
            self.record.worker = lease.worker
            lanes = ", ".join(self.orders.lanes)
            return self.say(f"worker {lease.worker}: {lanes} on {device.name}")
        told = ", ".join(device.name for device in self.devices)
        raise LaneError(f"each GPU asked for ({told}) has a worker; one GPU serves one worker")

    def _round(self) -> bool:
        """Drain every table once; whether anything was done."""
        before = self.record.total
        for name, table in self.tables:
            self._surviving(self._drain, name, table)
            if self.stop.requested or time.monotonic() < self.paused_until:
                break
        return self.record.total > before

    def _drain(self, name: str, table: type[dj.Table]) -> None:
        """Make what there is to make in one table."""
        self._settle()
        keys = None if self.orders.study is None else jobs_of_study(self.orders.study, table)
        if keys == []:
            return
        wanted = () if keys is None else (among(keys),)
        self._refresh(name, table, wanted)
        behind = 0  # times in a row that others took all that was looked at
        while not self.stop.requested and time.monotonic() >= self.paused_until:
            done = self.record.total
            try:
                table.populate(
                    *wanted, reserve_jobs=True, refresh=False, suppress_errors=True,
                    max_calls=1 if "gpu" in self.orders.lanes else AT_ONCE,
                    make_kwargs=self._options(),
                )  # fmt: skip
            except SystemExit:  # what populate answers SIGTERM with before its first job
                self.stop.request("SIGTERM")
            behind = 0 if self.record.total > done else behind + 1
            if behind and (behind > BEHIND or not table.jobs.due(*wanted)):
                return

    def _refresh(self, name: str, table: type[dj.Table], wanted: tuple) -> None:
        """Queue new keys, not more often than they are looked for."""
        now = time.monotonic()
        if now - self.refreshed.get(name, -1e9) >= min(self.orders.poll_s, 5.0):
            table.jobs.refresh(*wanted)
            self.refreshed[name] = now

    def _options(self) -> dict[str, Any]:
        return {
            "device": self.device.name,
            "processes": self.orders.gpus,
            "on_epoch": self._on_epoch,
        }

    def _may_begin(self, key: dict[str, Any]) -> bool:
        """Asked before every job, inside populate()."""
        self.stop.listen()
        if self.stop.requested or time.monotonic() < self.paused_until:
            return False
        if not _has_room():
            self._pause("no room is left on the disk of a store")
            return False
        return True

    def _ended(self, ended: Ended) -> None:
        if ended.failure is None and ended.table == "recording.Ingestion":
            ended = replace(ended, failure=_unread(ended.key))
        self.record.count(ended)
        self.on_job(ended)
        if ended.failure is None:
            self.pause_s = PAUSE_S
        elif ended.failure.kind == "full":
            self._pause(ended.failure.message)

    def _on_epoch(self, epoch: Any) -> None:
        """The state of the epoch is on disk: a good moment to leave."""
        lease = _lease.held()
        if lease is not None and lease.lost:
            raise _lease.LeaseLost("another worker goes on with this training")
        if self.stop.requested and self.stop.leave_no_time_for(epoch.seconds):
            raise Stopped("stopped after an epoch")

    def _pause(self, why: str) -> None:
        self.say(f"paused for {self.pause_s:g} s: {why}; `fieldbase gc` lists what can go")
        self.paused_until = time.monotonic() + self.pause_s
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)

    def _surviving(self, step: Callable[..., Any], *given: Any) -> Any:
        """What a step outside a job answers; None, after a while, if the server was away."""
        try:
            return step(*given)
        except Exception as error:
            failure = classify(error)
            if failure.kind not in ("transient", "lost"):
                raise
            self.unsettled = True
            self.say(f"{failure.message}; the worker waits and tries again")
            self.stop.wait(min(self.orders.poll_s, 5.0))

    def _settle(self) -> None:
        """Hand back a job that was reserved when the server went away."""
        lease = _lease.current()
        if self.unsettled and lease is not None:
            lease.give_back()
        self.unsettled = False

    def _is_idle(self) -> bool:
        """Whether nothing is to be made in these lanes, now or later, queued or not."""
        if self.unsettled or time.monotonic() < self.paused_until:
            return False
        for _, table in self.tables:
            keys = None if self.orders.study is None else jobs_of_study(self.orders.study, table)
            if keys != [] and len(table.jobs.left(*(() if keys is None else (among(keys),)))):
                return False
        return True


def _unread(key: dict[str, Any]) -> Failure | None:
    """A file that could not be read has a row that says so; to a worker's count it failed."""
    for row in (recording.Ingestion & key & {"ingestion_status": "error"}).to_dicts():
        return Failure("permanent", row["stage"], row["message"], row["way_out"], ())
    return None


def _has_room() -> bool:
    """Whether the disks of the local stores have room for a job's results."""
    places = [s["location"] for s in dj.config.stores.values() if _is_local(s)]
    return all(shutil.disk_usage(place).free >= ROOM_BYTES for place in places)


def _is_local(store: Any) -> bool:
    return isinstance(store, dict) and store.get("protocol") == "file"
