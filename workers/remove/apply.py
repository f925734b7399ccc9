"""Remove rows in one transaction, then what they named in the stores; again after a kill.

Before the transaction the objects are written down in the home folder. A process that dies before
the commit has removed nothing; one that dies after it leaves that list, which the next removal on
this machine finishes. What no list names any more, `fieldbase gc` finds.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datajoint.errors import AccessError, IntegrityError, LostConnectionError
from fasteners import InterProcessLock

from schemas import operation, session, training
from schemas._connect import named_server
from schemas._failures import classify
from schemas._home import home_folder
from schemas._server import ServerError
from schemas._tables import computed_tables, job_digest
from schemas._unfinished import clear

from ..collect import forget_copies, remove_unnamed
from .lineage import columns, tables
from .names import NoSuchName, find_roots
from .plan import Removal, lonely, objects_now, plan_of, queue_of, rows_of, users_of

ROOM = "removals"
TRIES = 5
DENIED = "42501"  # PostgreSQL: insufficient privilege


class RemovalRefused(LookupError):
    """Nothing was removed; the message says why, and what to do."""


class _Changed(Exception):
    """What is to be removed is no longer what was planned."""


def remove(
    kind: str, name: str, *, say: Callable[[str], None] = lambda text: None
) -> Removal:  # fmt: skip
    """Remove a file, session, subject, training or study, and all that rests on it.

    A removal that was cut short on this machine is finished first.

    Returns
    -------
    Removal
        What was removed.

    Raises
    ------
    NoSuchName
        If the name stands for nothing or for several things.
    RemovalRefused
        While a living worker makes something of it, or if this account may not delete rows.
    ServerError
        If the server goes away meanwhile.
    """
    with _alone():
        begun = find_cut_short()
        for line in begun:
            if _finish(Path(line["place"])):
                say(f"the removal of {line['told']}, which was cut short, is finished")
        try:
            return _remove(kind, name)
        except NoSuchName:
            mine = [line for line in begun if (line["kind"], line["name"]) == (kind, name)]
            if not mine:
                raise
            return Removal(kind, name, mine[-1]["told"])


def _remove(kind: str, name: str) -> Removal:
    for last in [False] * (TRIES - 1) + [True]:
        plan = plan_of(find_roots(kind, name))
        _refuse_used(plan)
        place = _write_down(plan)
        try:
            _delete_rows(plan)
        except LostConnectionError as error:  # it may have been committed: the list stays
            raise ServerError(
                f"the server went away while {plan.told} was removed; ask again once it is back: "
                "what is left is removed then"
            ) from error
        except Exception as error:
            place.unlink()
            _refuse_denied(plan, error)
            passes = isinstance(error, _Changed | IntegrityError)
            if last and passes:
                raise _given_up(plan, error) from error
            if last or not (passes or classify(error).kind == "transient"):
                raise
            time.sleep(0.5)
            continue
        _forget_jobs(plan)  # those that a worker queued meanwhile
        _finish(place)
        return plan
    raise AssertionError("the last try returns or raises")


def _delete_rows(plan: Removal) -> None:
    """Delete the rows and their jobs, children before parents, all or nothing."""
    connection = session.schema.connection
    if connection.adapter.backend == "mysql":  # else it locks the gaps others insert into
        connection.query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    with connection.transaction:
        _lock_jobs(plan)
        _refuse_used(plan)
        if objects_now(plan) != plan.objects:
            raise _Changed
        alone = lonely(plan)
        _forget_jobs(plan)
        for table in reversed(tables().values()):
            for condition in [*rows_of(table, plan), *([alone[table]] if table in alone else ())]:
                (table() & condition).delete_quick()


def _lock_jobs(plan: Removal) -> None:
    """Keep workers from taking jobs of what goes until the transaction ends."""
    for _, table in computed_tables():
        for condition in queue_of(table, plan):
            jobs = table.jobs & condition
            text = f"SELECT status FROM {jobs.full_table_name}{jobs.where_clause()} FOR UPDATE"
            jobs.connection.query(text).fetchall()


def _forget_jobs(plan: Removal) -> None:
    """Delete the jobs of what goes and what they failed of; those of the living stay."""
    tries = operation.JobError.proj("failed_key").to_dicts()
    for name, table in computed_tables():
        for condition in queue_of(table, plan):
            (table.jobs & condition & "status <> 'reserved'").delete_quick()
            if operation.Lease.connection.in_transaction:  # nobody who lives has one
                (table.jobs & condition).delete_quick()
        gone = {
            job_digest(row["failed_key"])
            for row in tries
            if row["failed_table"] == name and _names_fallen(table, row["failed_key"], plan)
        }
        for job in gone:
            (operation.JobError & {"failed_table": name, "job": job}).delete_quick()


def _names_fallen(table, key: dict[str, Any], plan: Removal) -> bool:
    kinds = columns(table)
    return any(str(v) in plan.fallen.get(kinds.get(column), ()) for column, v in key.items())


def _refuse_used(plan: Removal) -> None:
    used = users_of(plan)
    if used:
        raise RemovalRefused(
            f"{plan.told} is in use by {len(used)} job(s) of living workers "
            f"({'; '.join(used[:5])}); nothing was removed. Stop them, or ask again when they are "
            "done (`fieldbase status`)"
        )


def _refuse_denied(plan: Removal, error: Exception) -> None:
    if not isinstance(error, AccessError) and getattr(error, "pgcode", None) != DENIED:
        return
    user = session.schema.connection.get_user()
    raise RemovalRefused(
        f"{user} may not delete rows on this server, so {plan.told} stays as it is; ask someone "
        "with the role admin (`fieldbase grants --role admin`)"
    ) from error


def _given_up(plan: Removal, error: Exception) -> RemovalRefused:
    return RemovalRefused(
        f"others kept adding rows that rest on {plan.told} ({' '.join(str(error).split())[:200]}); "
        "nothing was removed. Ask again when they are done"
    )


def find_cut_short() -> list[dict[str, Any]]:
    """Removals from this database of which this machine has still objects to remove."""
    found = [(path, json.loads(path.read_text())) for path in _room().glob("*.json")]
    mine = [row | {"place": str(path)} for path, row in found if row["database"] == _database()]
    return sorted(mine, key=lambda row: row["place"])


def _finish(place: Path) -> bool:
    """Remove the objects on a list that no row names any more; whether there were any."""
    row = json.loads(place.read_text())
    objects = [(store, path) for store, path in row["objects"]]
    removed = remove_unnamed(objects)
    forget_copies(removed)
    asked = set(training.TrainingTask().to_arrays("training")) if row["trainings"] else set()
    gone = [name for name in row["trainings"] if name not in asked]
    for name in gone:
        clear(name)
    place.unlink()
    return bool(removed or gone)


def _write_down(plan: Removal) -> Path:
    """A list of what is to be removed from the stores, on the disk before the rows go."""
    row = {
        "kind": plan.kind, "name": plan.name, "told": plan.told, "database": _database(),
        "objects": plan.objects, "trainings": plan.trainings,
    }  # fmt: skip
    place = _room() / f"{secrets.token_hex(8)}.json"
    partial = place.with_suffix(".partial")
    with partial.open("w") as file:
        json.dump(row, file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(place)
    return place


def _database() -> str:
    """What tells this database from others that share the home folder."""
    connection = session.schema.connection
    host = named_server() or "embedded"
    port = connection.conn_info["port"] if named_server() else ""
    return f"{connection.adapter.backend} {host}:{port} {session.schema.database}"


def _room() -> Path:
    room = home_folder() / ROOM
    room.mkdir(parents=True, exist_ok=True)
    return room


@contextmanager
def _alone() -> Iterator[None]:
    """One removal at a time on this machine: another's list is not one that was cut short."""
    with InterProcessLock(_room() / "lock"):
        yield
