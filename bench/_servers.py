"""A database server for one bench: embedded PostgreSQL, or MySQL as `make test-mysql` finds it."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

ROOT = Path(__file__).parents[1]
BACKENDS = ("postgresql", "mysql")


def parse(doc: str, add=lambda parser: None) -> argparse.Namespace:
    """The arguments of a bench, ``--backend`` among them."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--backend", choices=[*BACKENDS, "both"], default="both")
    parser.add_argument("--short", action="store_true", help="the form that `make test` runs")
    add(parser)
    return parser.parse_args()


def each_backend(script: str) -> int:
    """Run this bench once a backend, each in a process of its own; 1 if one of them failed."""
    given = [argument for argument in sys.argv[1:] if argument not in ("--backend", "both")]
    runs = [[sys.executable, script, "--backend", backend, *given] for backend in BACKENDS]
    return max(subprocess.run(command).returncode != 0 for command in runs)


@contextmanager
def server(backend: str, *, lasting: bool = False) -> Iterator[Path]:
    """A home folder whose tables are on a server of this backend; dropped afterwards.

    Parameters
    ----------
    lasting
        Let MySQL keep what is committed if it is killed, as every server but a test's does.
    """
    before = dict(os.environ)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # takes the server down with it
    os.environ["FIELDBASE_MYSQL_LASTING"] = str(int(lasting))
    try:
        if backend == "mysql":
            with _mysql() as settings:
                os.environ.update(settings, DJ_BACKEND="mysql")
                with _home() as home:
                    yield home
        else:
            for name in [name for name in os.environ if name.startswith("DJ_")]:
                del os.environ[name]
            with _home() as home:
                yield home
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _home() -> Iterator[Path]:
    from schemas._server import stop_server

    home = Path(tempfile.mkdtemp(prefix="fbb-"))
    os.environ["FIELDBASE_HOME"] = str(home)
    os.environ["FIELDBASE_ROOTS"] = f'{{"bench": "{home}"}}'
    try:
        yield home
    finally:
        _drop()
        stop_server(home)
        shutil.rmtree(home, ignore_errors=True)


def _drop() -> None:
    import datajoint as dj

    import schemas
    from schemas import _lease

    _lease.end()
    if schemas._active is None or not os.environ.get("DJ_HOST"):
        return
    connection = dj.conn()
    quote = connection.adapter.quote_identifier
    mysql = connection.adapter.backend == "mysql"
    if mysql:
        connection.query("SET FOREIGN_KEY_CHECKS = 0")
    for name in dj.list_schemas(connection=connection):
        if name.startswith(schemas._active):
            connection.query(f"DROP SCHEMA {quote(name)}" + ("" if mysql else " CASCADE"))


@contextmanager
def _mysql() -> Iterator[dict[str, str]]:
    spec = spec_from_file_location("run_on_mysql", ROOT / "tests" / "run_on_mysql.py")
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    named = os.environ.get("DJ_HOST") if os.environ.get("DJ_BACKEND") == "mysql" else None
    debian = Path("/etc/debian_version").exists()  # its server is ours to kill, a container's not
    source = "named" if named else made.choose(not debian and made.docker_answers(), None, debian)
    with made.SERVERS[source]() as settings:
        yield settings


def activate(home: Path) -> str:
    """Make the tables; their prefix."""
    import schemas

    prefix = f"bench{os.getpid()}"
    schemas.activate(prefix, home=home)
    return prefix
