"""The workers of the fault bench: kept in number, killed, and what they did judged."""

import hashlib
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STAGES = ("starting", "between jobs", "reserving", "computing", "inserting", "completing")
PAUSE_S = 0.02
AIM_S = 3.0
AIMED = ("between jobs", "reserving", "computing", "computing", "inserting", "completing")
TOLD = ("attempt", "error_kind", "error_stage", "error_message", "failed_worker", "failed_at")
AUDIT = {
    "mysql": (
        "CREATE TABLE {audit} (nwb_file char(64))",
        "CREATE TRIGGER {trigger} AFTER INSERT ON {made} FOR EACH ROW "
        "INSERT INTO {audit} VALUES (NEW.nwb_file)",
    ),
    "postgresql": (
        "CREATE TABLE {audit} (nwb_file char(64))",
        "CREATE FUNCTION {trigger}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO {audit} VALUES (NEW.nwb_file); RETURN NEW; END $$",
        "CREATE TRIGGER audit AFTER INSERT ON {made} FOR EACH ROW EXECUTE FUNCTION {trigger}()",
    ),
}
"""Notes every row that is committed, so that one made, deleted and made again counts twice."""


@dataclass
class Found:
    """What became of the jobs, and how long those of killed workers took to recover (s)."""

    jobs: int
    kills: int = 0
    hits: Counter = field(default_factory=Counter)
    recovery: list[float] = field(default_factory=list)
    lost: int = 0
    double: int = 0
    stuck: int = 0
    stolen: int = 0
    died: int = 0

    def broken(self, restarts: int) -> list[str]:
        """The promises that were not kept."""
        told = {
            "lost": self.lost, "made twice": self.double, "stuck": self.stuck,
            "workers that gave up": self.died,
        }  # fmt: skip
        if not restarts:
            told["taken from the living"] = self.stolen
            told["recovered late"] = sum(took > 10 for took in self.recovery)
        return [f"{count} {what}" for what, count in told.items() if count]


class Crew:
    """Workers on jobs of their own."""

    def __init__(self, home: Path, workers: int, longest_s: float) -> None:
        from schemas import recording

        self.home, self.size, self.longest_s = home, workers, longest_s
        self.made, self.queued = recording.Ingestion, recording.Ingestion.jobs
        self.connection, self.keys, self.names = self.made.connection, [], {}
        self.log, self.done, self.found = home / f"log-{time.time_ns()}", 0, Found(0)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["_crew_worker"])
        self.team: list[tuple[Any, Any]] = []
        self.held: dict[str, tuple[float, int]] = {}
        self.killed: dict[int, float] = {}

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for process, _stage in self.team:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.join()

    def queue(self, jobs: int, draw: random.Random, longest_job_s: float) -> None:
        """Register files for so many jobs, and let every row that is made be noted."""
        from schemas import session

        self.found.jobs = jobs
        now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        file = {"root": "bench", "file_kind": "nwb", "revision": 0, "registered": now}
        mark = self.log.name
        for number in range(jobs):
            name = f"{draw.uniform(0.01, longest_job_s):.3f}_{mark}_{number}"
            self.names[name] = hashlib.sha256(name.encode()).hexdigest()
            (self.home / f"{name}.nwb").touch()
        session.NwbFile.insert(
            {**file, "nwb_file": key, "path": f"{name}.nwb"} for name, key in self.names.items()
        )
        self.keys = [{"nwb_file": key} for key in self.names.values()]
        if not self._audited():
            for statement in AUDIT[self.connection.adapter.backend]:
                self.connection.query(self._named(statement))

    def watch(self) -> None:
        """Replace who is gone, and see which jobs of killed workers are in other hands.

        A process that finds no server where it starts ends, as it should, and is started again.
        """
        import _crew_worker

        for member in list(self.team):
            if not member[0].is_alive():
                member[0].join()
                if member[0].pid not in self.killed and member[1].value:
                    self.found.died += 1
                    print(f"worker {member[0].pid} left by itself ({member[0].exitcode})")
                self.team.remove(member)
        while len(self.team) < self.size:
            stage = self.context.RawValue("i", 0)
            process = self.context.Process(
                target=_crew_worker.work,
                args=(str(self.log), stage, self.longest_s), daemon=True,
            )  # fmt: skip
            process.start()
            self.team.append((process, stage))
        self._look()
        time.sleep(PAUSE_S)

    def wait(self, seconds: float) -> None:
        """Go on watching for a while."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.watch()

    def kill(self, draw: random.Random) -> None:
        """Kill a worker: at any moment, or more often in a stage that is drawn.

        One that has begun stays: a job comes into other hands only where there are others.
        """
        while len(ready := [member for member in self.team if self._is_ready(member)]) < 2:
            self.watch()
        process, stage = draw.choice(ready)
        if draw.random() < 0.7:
            process, stage = self._aim(draw.choice(AIMED), ready) or (process, stage)
        os.kill(process.pid, signal.SIGSTOP)
        hit = STAGES[stage.value]
        holds = self._ask(
            f"SELECT nwb_file, connection_id FROM {self.queued.full_table_name} "
            "WHERE status = 'reserved' AND pid = %s",
            process.pid,
        )
        self.killed[process.pid] = time.time()
        os.kill(process.pid, signal.SIGKILL)
        for key, lease in holds:
            self.held[key] = time.monotonic(), lease
        self.found.kills += 1
        self.found.hits[hit] += 1

    def _is_ready(self, member: tuple[Any, Any]) -> bool:
        process, stage = member
        return process.pid not in self.killed and process.is_alive() and stage.value > 0

    def restarted(self) -> None:
        """The database was away: how long jobs took to recover says nothing of workers."""
        self.held.clear()

    def left(self) -> int:
        """Jobs that are not made, or not known to be."""
        ((open_, done),) = self._ask(
            self._named(
                "SELECT (SELECT COUNT(*) FROM {queue} WHERE status <> 'success'), (SELECT COUNT(*) "
                "FROM {made} AS m JOIN {files} AS f ON f.nwb_file = m.nwb_file "
                "WHERE f.path LIKE %s)"
            ),
            f"%{self.log.name}%",
        )
        self.done = done
        return max(open_, self.found.jobs - done)

    def judge(self) -> Found:
        """What became of the jobs."""
        from schemas import recording

        found, mine = self.found, set(self.names.values())
        made = Counter(
            key for (key,) in self._ask(f"SELECT nwb_file FROM {self._named('{audit}')}")
        )
        whole = recording.IngestionSession.to_arrays("nwb_file")
        found.lost = len(mine - set(whole))
        found.double = sum(made[key] > 1 for key in mine)
        states = self._ask(
            "SELECT nwb_file, status, connection_id, error_message, scheduled_time "
            f"FROM {self.queued.full_table_name} WHERE status <> 'success'"
        )
        for state in states:
            print("not made:", *state)
            for tried in self.queued.tries({"nwb_file": state[0]}).to_dicts():
                print("  tried:", {name: tried[name] for name in TOLD}, *tried["error_stack"][-6:])
        found.stuck = len(mine & {key for (key, *_) in states}) + len(self.held)
        found.stolen = self._stolen()
        return found

    def _stolen(self) -> int:
        """Jobs that were begun while the worker that had begun them before was alive."""
        last: dict[str, int] = {}
        stolen = 0
        for line in self.log.read_text().splitlines():
            name, pid, at = line.split()
            before = last.get(name)
            stolen += before is not None and self.killed.get(before, 1e99) > float(at)
            last[name] = int(pid)
        return stolen

    def _aim(self, stage: str, ready: list[tuple[Any, Any]]) -> tuple[Any, Any] | None:
        number, until = STAGES.index(stage), time.monotonic() + AIM_S
        while time.monotonic() < until:
            for member in ready:
                if member[1].value == number:
                    return member
            time.sleep(1e-4)
        return None

    def _look(self) -> None:
        if not self.held:
            return
        keys = ", ".join(f"'{key}'" for key in self.held)
        states = {
            key: (status, lease)
            for key, status, lease in self._ask(
                f"SELECT nwb_file, status, connection_id FROM {self.queued.full_table_name} "
                f"WHERE nwb_file IN ({keys})"
            )
        }
        for key, (since, lease) in list(self.held.items()):
            if states.get(key) != ("reserved", lease):
                self.found.recovery.append(time.monotonic() - since)
                del self.held[key]

    def _ask(self, text: str, *values: Any) -> list[tuple]:
        return self.connection.query(text, values).fetchall()

    def _audited(self) -> bool:
        return bool(
            self._ask(
                "SELECT 1 FROM information_schema.tables WHERE table_name = 'bench_audit' "
                "AND table_schema = %s",
                self.made.database,
            )
        )

    def _named(self, text: str) -> str:
        from schemas import session

        schema, quote = self.made.database, self.connection.adapter.quote_identifier
        return text.format(
            made=self.made.full_table_name, queue=self.queued.full_table_name,
            files=session.NwbFile.full_table_name,
            audit=f"{quote(schema)}.{quote('bench_audit')}",
            trigger=f"{quote(schema)}.{quote('bench_note')}",
        )  # fmt: skip
