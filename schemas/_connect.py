"""One connection per process, to the server of ``DJ_*`` or to the embedded one.

DataJoint keeps one connection and binds every schema to it once, so a process has one database.
The connection must not be shared between threads that query at the same time, nor used after a
fork; a child process calls `connect` again.
"""

import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings():  # it warns where there is no datajoint.json: we need none
    warnings.filterwarnings("ignore", message="No datajoint.json found")
    import datajoint as dj
    import datajoint.instance
    from datajoint.errors import LostConnectionError

from pipeline.redact import hide, secrets_of

from ._connection import Connection, EmbeddedConnection, PostgresConnection
from ._home import home_folder, store_locations
from ._server import ServerError
from ._stores import use_our_stores

OLDEST = {"mysql": (8, 4), "postgresql": (15,)}
SUPPORTED = "fieldbase runs on MySQL 8.4 or newer and PostgreSQL 15 or newer"

os.environ.setdefault("PGCONNECT_TIMEOUT", "10")  # psycopg2 waits minutes for a lost host

log = logging.getLogger(__name__)
_current: tuple[Path, dj.Connection, int] | None = None  # with the process it belongs to
_inherited: list = []  # closing a parent's connection in its child would close it for both


def connect(home: Path | str | None = None, *, create: bool = True) -> dj.Connection:
    """The connection of this process; made, with its stores, at the first call.

    With a host set (``DJ_HOST`` or ``datajoint.json``) that server is used, else the embedded
    PostgreSQL of the home folder, which is started, and made, where needed. A later call gives the
    same connection, mended if it was lost.

    Parameters
    ----------
    home
        Folder of the embedded database and of the stores; default `home_folder`.
    create
        Make the embedded database where there is none.

    Raises
    ------
    ServerError
        In one sentence: no server, one that is not supported, or a process already connected to
        another home folder.
    """
    global _current
    if _current is not None:
        _mend(home)
        return _current[1]
    _set_logging()
    hide([*secrets_of(dict(dj.config.stores)), dj.config["database.password"]])
    folder = home_folder(home)
    host = named_server()
    embedded = host is None
    connection = EmbeddedConnection(folder, create=create) if embedded else _connect_to(host)
    try:
        refuse_unsupported(*server_version(connection))
    except ServerError:
        connection.close()
        raise
    _configure_stores(folder)
    datajoint.instance._singleton_connection = connection  # what dj.conn() and dj.Schema() use
    _current = (folder, connection, os.getpid())
    return connection


def connect_again() -> dj.Connection:
    """One more connection to the server this process uses, for another thread.

    It does not start an embedded server that has stopped.

    Raises
    ------
    LostConnectionError
        If the server is away now.
    """
    host = named_server()
    try:
        if host is not None:
            return _connect_to(host)
        return EmbeddedConnection(_current[0], create=False, start=False)
    except ServerError as error:
        raise LostConnectionError(f"{error}; it was there a moment ago") from error


def named_server() -> str | None:
    """The host of the server the configuration names, None if it names none."""
    if os.environ.get("DJ_HOST"):
        return os.environ["DJ_HOST"]
    if dj.config.database.host not in ("", "localhost"):  # set in this process
        return dj.config.database.host
    path = dj.config._config_path
    if path is None:
        return None
    values = json.loads(Path(path).read_text())
    return values.get("database", {}).get("host") or values.get("database.host")


def server_version(connection: dj.Connection) -> tuple[str, str]:
    """What a server calls itself: product and version text."""
    if connection.adapter.backend == "postgresql":
        return "PostgreSQL", connection.query("SHOW server_version").fetchone()[0]
    version, comment = connection.query("SELECT @@version, @@version_comment").fetchone()
    return "MariaDB" if "mariadb" in f"{version} {comment}".lower() else "MySQL", version


def refuse_unsupported(product: str, version: str) -> None:
    """Raise a ServerError unless tables are tested on this server.

    >>> refuse_unsupported("PostgreSQL", "16.4 (Debian 16.4-1)")
    """
    oldest = OLDEST.get(product.lower())
    found = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if oldest is None or found < oldest:
        number = re.match(r"[\d.]*", version)[0].rstrip(".")
        raise ServerError(
            f"the database server is {product} {number or version}, but {SUPPORTED}; name such a "
            "server in DJ_HOST, or unset DJ_HOST to use the embedded database"
        )


def _mend(home: Path | str | None) -> None:
    """Check that the connection there is can serve, after a fork or a lost server too."""
    global _current
    folder, connection, process = _current
    if home is not None and home_folder(home) != folder:
        raise ServerError(
            f"this process is connected with the home folder {folder}; asked for "
            f"{home_folder(home)}: start another process (in Jupyter, restart the kernel)"
        )
    if process != os.getpid():
        _inherited.append(connection._conn)
        connection.connect()
        _current = (folder, connection, os.getpid())
    elif not connection.adapter.ping(connection._conn):
        connection.connect()
    else:
        return
    connection._in_transaction = connection._lost = False  # what was open went with the old one


def _connect_to(host: str) -> dj.Connection:
    """Connect to a named server with the user and password of the configuration."""
    database = dj.config.database
    database.host = host
    missing = [
        variable
        for variable, value in {"DJ_USER": database.user, "DJ_PASS": database.password}.items()
        if value is None
    ]
    where = f"{database.backend} server {host}:{database.port}"
    if missing:
        raise ServerError(f"the {where} needs {' and '.join(missing)}; set them, or unset DJ_HOST")
    kind = PostgresConnection if database.backend == "postgresql" else Connection
    user, password = database.user, dj.config["database.password"]
    try:
        with _warnings_held():
            return kind(host, user, password, use_tls=database.use_tls)
    except Exception as error:
        reason = error.args[1] if len(error.args) > 1 else str(error).strip()
        raise ServerError(
            f"the {where} cannot be reached as {user!r} ({str(reason).splitlines()[0]}); check "
            "DJ_HOST, DJ_PORT, DJ_USER, DJ_PASS and DJ_BACKEND, or unset DJ_HOST to use the "
            "embedded database"
        ) from error


@contextmanager
def _warnings_held() -> Iterator[None]:
    """Keep back what DataJoint warns of until the connection stands; drop it if it does not.

    Then our sentence says what is wrong; that MariaDB is refused is said in our words too.
    """
    held: list[logging.LogRecord] = []

    def hold(record: logging.LogRecord) -> bool:
        held.append(record)
        return False

    dj.logger.addFilter(hold)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="MariaDB")
            yield
    finally:
        dj.logger.removeFilter(hold)
    for record in held:
        dj.logger.handle(record)


def _set_logging() -> None:
    """DataJoint's messages: warnings unless configured otherwise, not among a command's output.

    DataJoint 2.3.5 forgets the level its file gives while it is imported.
    """
    if dj.config._config_path is None and not os.environ.get("DJ_LOG_LEVEL"):
        dj.config.loglevel = "WARNING"
    dj.logger.setLevel(dj.config.loglevel)
    if not os.environ.get("DJ_LOG_STREAM"):
        for handler in dj.logger.handlers:
            handler.setStream(sys.stderr)


def _configure_stores(folder: Path) -> None:
    """Name the stores of this machine; what ``DJ_STORES`` or ``datajoint.json`` says stays."""
    use_our_stores()
    for name, store in store_locations(folder).items():
        if name not in dj.config.stores:
            Path(store["location"]).mkdir(parents=True, exist_ok=True)
            dj.config.stores[name] = store
