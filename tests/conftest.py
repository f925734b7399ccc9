"""A real server for the table tests, and the real recordings where they are at hand.

Tests that ask for ``tables`` or ``database`` get the mark ``tables``; ``make test`` runs them on an
embedded PostgreSQL of their own, ``make test-mysql`` on MySQL. One never stands in for the other.
"""

import os
import signal
import sys
import tempfile
import uuid
import warnings
from pathlib import Path

import pytest

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"
BACKEND = os.environ.get("FIELDBASE_TEST_BACKEND", "postgresql")

if BACKEND == "postgresql":  # whatever server this shell is set up for is not for tests
    for name in [name for name in os.environ if name.startswith("DJ_")]:
        del os.environ[name]


def pytest_configure():
    """A run that is told to stop takes its server down with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def pytest_collection_modifyitems(items):
    for item in items:
        if {"database", "tables"} & set(item.fixturenames):
            item.add_marker("tables")


@pytest.fixture(scope="session")
def real_data():
    """Folder of the real recordings."""
    if not REAL_DATA.is_dir():
        message = f"real recordings not tested: no folder {REAL_DATA}"
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    return REAL_DATA


@pytest.fixture(scope="session")
def home():
    """A home folder of this test run: embedded server, stores, configuration."""
    from schemas._server import stop_server

    with tempfile.TemporaryDirectory(prefix="fbt-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
        stop_server(Path(folder))


@pytest.fixture(scope="session")
def database(home):
    """The connection every table test uses."""
    import datajoint as dj

    from schemas._connect import connect

    if BACKEND not in ("postgresql", "mysql"):
        pytest.exit(f"FIELDBASE_TEST_BACKEND={BACKEND} is neither postgresql nor mysql", 2)
    if BACKEND == "mysql" and not os.environ.get("DJ_HOST"):
        pytest.exit("FIELDBASE_TEST_BACKEND=mysql needs DJ_HOST; `make test-mysql` sets it", 2)
    os.environ["FIELDBASE_HOME"] = str(home)
    connection = connect(home)
    dj.config.safemode = False
    if connection.adapter.backend != BACKEND:
        pytest.exit(f"asked for {BACKEND}, DJ_* names a {connection.adapter.backend} server", 2)
    if BACKEND == "postgresql":
        connection.query("SET synchronous_commit = off")  # many small commits, none to keep
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def tables(database):
    """The package ``schemas``, activated under a prefix of this run and dropped after it."""
    import schemas
    from schemas import _lease

    prefix = f"fbt_{uuid.uuid4().hex[:8]}"
    schemas.activate(prefix=prefix)
    yield schemas
    _lease.end()
    drop_schemas(database, prefix)


@pytest.fixture(scope="module")
def roots_used():
    """Names of data roots that go with this file of tests; what lies in them is forgotten then."""
    names = []
    yield names
    schemas = sys.modules.get("schemas")
    if names and schemas is not None and schemas._active is not None:
        there = schemas.session.NwbFile & [{"root": name} for name in names]
        if there:
            there.delete(prompt=False)


@pytest.fixture
def roots(tmp_path, monkeypatch, roots_used):
    """A data root of this test alone: name and folder."""
    folder = tmp_path / "root"
    folder.mkdir()
    name = f"root-{tmp_path.name}"[:60]
    roots_used.append(name)
    monkeypatch.setenv("FIELDBASE_ROOTS", f'{{"{name}": "{folder}"}}')
    return name, folder


def drop_schemas(connection, prefix):
    """Drop every schema whose name begins with the prefix, children with their parents."""
    import datajoint as dj

    names = [name for name in dj.list_schemas(connection=connection) if name.startswith(prefix)]
    if connection.adapter.backend == "mysql":
        connection.query("SET FOREIGN_KEY_CHECKS = 0")
    for name in names:
        drop = f"DROP SCHEMA {connection.adapter.quote_identifier(name)}"
        connection.query(drop if connection.adapter.backend == "mysql" else f"{drop} CASCADE")
    if connection.adapter.backend == "mysql":
        connection.query("SET FOREIGN_KEY_CHECKS = 1")
