"""Locks that the server lets go when the connection that took them dies."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import datajoint as dj

SILENT_S = int(os.environ.get("FIELDBASE_SILENT", 120))

NOW = {"mysql": "UTC_TIMESTAMP()", "postgresql": "timezone('utc', now())"}
SILENCE = {
    "mysql": ("SET SESSION wait_timeout = {s}", "SET SESSION innodb_lock_wait_timeout = 10"),
    "postgresql": (
        "SET idle_session_timeout = '{s}s'",
        "SET lock_timeout = '10s'",
        "SET tcp_keepalives_idle = 3",
        "SET tcp_keepalives_interval = 2",
        "SET tcp_keepalives_count = 2",
    ),
}
TAKE = {
    "mysql": "SELECT GET_LOCK(CONCAT('fieldbase-', %s), 0)",
    "postgresql": "SELECT pg_try_advisory_lock(%s)",
}
LET_GO = {
    "mysql": "SELECT RELEASE_LOCK(CONCAT('fieldbase-', %s))",
    "postgresql": "SELECT pg_advisory_unlock(%s)",
}
UP_S = {
    "mysql": "SHOW GLOBAL STATUS LIKE 'Uptime'",
    "postgresql": "SELECT '', EXTRACT(EPOCH FROM clock_timestamp() - pg_postmaster_start_time())",
}
IS_FREE = {
    "mysql": "IS_FREE_LOCK(CONCAT('fieldbase-', {lease}))",
    "postgresql": (
        "NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND "
        "(classid::bigint << 32) | objid::bigint = {lease} AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database()))"
    ),
}


def now_sql(connection: dj.Connection) -> str:
    """The server's time (UTC), in its SQL."""
    return NOW[connection.adapter.backend]


def server_now(connection: dj.Connection) -> datetime:
    """The server's time (UTC), in whole seconds."""
    now = connection.query(f"SELECT {now_sql(connection)}").fetchone()[0]
    return now.replace(microsecond=0)


def seconds_up(connection: dj.Connection) -> float:
    """How long ago the server was started (s)."""
    return float(connection.query(UP_S[connection.adapter.backend], reconnect=False).fetchone()[1])


def limit_silence(connection: dj.Connection) -> None:
    """Have the server close this connection once nothing came over it for ``SILENT_S``.

    No statement of it waits longer than 10 s for a row, so that it is not silent meanwhile.
    """
    for statement in SILENCE[connection.adapter.backend]:
        connection.query(statement.format(s=SILENT_S), reconnect=False)


def take_lock(connection: dj.Connection, name: int | str, *, reconnect: bool = False) -> bool:
    """Take the lock with this number or name, at once or not at all.

    Parameters
    ----------
    reconnect
        Connect again where the connection is lost, and other locks with it.
    """
    return bool(_ask(TAKE, connection, name, reconnect))


def let_go(connection: dj.Connection, name: int | str) -> None:
    """Give a lock back."""
    _ask(LET_GO, connection, name)


@contextmanager
def unlocked_reads(connection: dj.Connection) -> Iterator[None]:
    """Let statements that change one table by what others hold not lock those others' rows.

    MySQL does so at its usual level, and would keep workers from inserting meanwhile.
    """
    if connection.adapter.backend != "mysql":
        yield
        return
    usual = connection.query("SELECT @@transaction_isolation").fetchone()[0].replace("-", " ")
    connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    try:
        yield
    finally:
        connection.query(f"SET SESSION TRANSACTION ISOLATION LEVEL {usual}")


def note_growth(connection: dj.Connection, table: str) -> None:
    """Let PostgreSQL know at once that a table is large now; MySQL sees it by itself."""
    if connection.adapter.backend == "postgresql":
        connection.query(f"ANALYZE {table}")  # where this user may not, it only warns


def is_free_sql(connection: dj.Connection, column: str) -> str:
    """Whether nobody has the lock whose number stands in `column`, as a condition."""
    return IS_FREE[connection.adapter.backend].format(lease=column)


def _ask(
    statements: dict[str, str], connection: dj.Connection, name: int | str, reconnect: bool = False
):
    number = name
    if isinstance(name, str):  # PostgreSQL has numbers only, MySQL 64 characters
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    text = statements[connection.adapter.backend]
    return connection.query(text, (number,), reconnect=reconnect).fetchone()[0]
