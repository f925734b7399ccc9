"""DataJoint connections that know what they lost, mend themselves, and find the embedded server."""

import logging
from pathlib import Path

import datajoint as dj
from datajoint.errors import LostConnectionError

from ._server import ensure_server

WORK_MEM_MB = 64  # below it, "not in" some 20,000 keys takes PostgreSQL minutes

log = logging.getLogger(__name__)


class Connection(dj.Connection):
    """A connection that remembers its transaction where the server went away.

    Asked for it, DataJoint 2.3.5 forgets a transaction whose connection is lost: the statements
    that follow are stored each by itself over a new one, and half a ``make()`` stays. It also goes
    on where the loss was met while it read a heading. Here nothing is sent until it is cancelled.
    """

    _in_transaction = False  # asked for by the first statement, before DataJoint sets it
    _lost = False  # a transaction that was not cancelled yet

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and neither ended nor found to be lost."""
        return self._in_transaction

    def query(self, query, args=(), **options):
        """Run one statement; see `datajoint.Connection.query`."""
        if self._lost:
            raise LostConnectionError("Connection was lost during a transaction.")
        inside = self._in_transaction
        try:
            return self._send(query, args, **options)
        except LostConnectionError:
            self._lost = inside
            raise

    def cancel_transaction(self) -> None:
        """Cancel the transaction, lost or not."""
        self._lost = False
        try:
            super().cancel_transaction()
        finally:
            self._lost = False

    def _send(self, query, args, **options):
        return super().query(query, args, **options)


class PostgresConnection(Connection):
    """A connection that notices a lost PostgreSQL server.

    DataJoint 2.3.5 does not: psycopg2 reports a server that went away without an error code, the
    connection stays closed for ever and calls itself connected. As on MySQL, a statement outside
    a transaction is sent again over a new connection and one inside raises LostConnectionError.
    """

    def connect(self) -> None:
        """Connect, or connect again; ``connection_id`` is the new one."""
        super().connect()
        self.connection_id = self.adapter.get_connection_id(self._conn)
        with self._conn.cursor() as cursor:
            cursor.execute(
                f"SELECT set_config('work_mem', '{WORK_MEM_MB}MB', false) FROM pg_settings "
                f"WHERE name = 'work_mem' AND setting::int < {WORK_MEM_MB << 10}"
            )

    def _send(self, query, args, *, reconnect=None, **options):
        import psycopg2

        if self._conn.closed:
            self._mend(reconnect)
        try:
            return super()._send(query, args, reconnect=reconnect, **options)
        except psycopg2.Error as error:
            if not self._conn.closed and (error.pgcode or self._answers()):
                raise
        self._mend(reconnect)
        return super()._send(query, args, reconnect=reconnect, **options)

    def _answers(self) -> bool:
        """Whether the server is there; psycopg2 calls some connections open that it cut."""
        there = self.adapter.ping(self._conn)
        if not there:
            self._conn.close()
        return there

    def _mend(self, reconnect: bool | None) -> None:
        if not (self._config["database.reconnect"] if reconnect is None else reconnect):
            raise LostConnectionError("Connection was lost.")
        log.warning("connecting to the database server again")
        self.connect()
        if self._in_transaction:
            self._in_transaction = False
            raise LostConnectionError("Connection was lost during a transaction.")


class EmbeddedConnection(PostgresConnection):
    """A connection that starts the embedded server when it finds it gone."""

    def __init__(self, home: Path, *, create: bool, start: bool = True) -> None:
        self.home, self.options = home, {"create": create, "start": start}
        info = ensure_server(home, **self.options)
        super().__init__(
            info.host, info.user, info.password, info.port,
            use_tls=False, database_name=info.database, backend=info.backend,
        )  # fmt: skip

    def connect(self) -> None:
        """Connect, waiting for the server to come back where it has to."""
        info = ensure_server(self.home, **self.options)
        self.conn_info |= {"host": info.host, "port": info.port, "passwd": info.password}
        super().connect()
