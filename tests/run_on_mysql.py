"""Run every table test on a real MySQL: ``python tests/run_on_mysql.py [pytest arguments]``.

The server is a container where a Docker engine answers, else the one named in ``DJ_HOST``, else
one made by ``.ci/mysql`` on Debian. With none of these it fails and says so.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGE = "mysql:8.4"
OPTIONS = "--collation-server=utf8mb4_bin --default-time-zone=+00:00 --max-allowed-packet=512M"
NO_SERVER = (
    "no MySQL to test on: no Docker engine answers, DJ_HOST is not set and this is not Debian; "
    "start Docker, or set DJ_HOST, DJ_PORT, DJ_USER and DJ_PASS"
)


def docker_answers() -> bool:
    """Whether a Docker engine can be talked to."""
    try:
        import docker

        return bool(docker.from_env(timeout=10).ping())
    except Exception:
        return False


def choose(docker: bool, host: str | None, debian: bool) -> str:
    """Where the server comes from: "docker", "named" or "debian"."""
    if docker:
        return "docker"
    if host:
        return "named"
    if debian:
        return "debian"
    raise SystemExit(NO_SERVER)


@contextmanager
def in_docker() -> Iterator[dict[str, str]]:
    from testcontainers.community.mysql import MySqlContainer

    container = MySqlContainer(IMAGE, username="root", password="fieldbase")
    with container.with_command(OPTIONS) as server:
        yield {
            "DJ_HOST": server.get_container_host_ip(),
            "DJ_PORT": str(server.get_exposed_port(3306)),
            "DJ_USER": "root",
            "DJ_PASS": "fieldbase",
        }


@contextmanager
def named() -> Iterator[dict[str, str]]:
    if os.environ.get("DJ_BACKEND", "mysql") != "mysql":
        raise SystemExit(f"DJ_BACKEND is {os.environ['DJ_BACKEND']}; these tests need mysql")
    yield {}


@contextmanager
def on_debian() -> Iterator[dict[str, str]]:
    """A server of this run alone: others may run at the same time."""
    tool = str(ROOT / ".ci" / "mysql")
    ours = os.environ | {"FIELDBASE_MYSQL_OWNER": str(os.getpid())}
    started = subprocess.run([tool, "start"], stdout=subprocess.PIPE, text=True, env=ours)
    if started.returncode:
        raise SystemExit(started.returncode)
    told = dict(re.findall(r"(\w+)=(\S+)", started.stdout))  # DJ_*, and which server it is
    try:
        yield told
    finally:
        subprocess.run([tool, "stop"], check=True, env=ours | told)


SERVERS = {"docker": in_docker, "named": named, "debian": on_debian}


def main(arguments: list[str]) -> int:
    """pytest's exit status; "no test collected" is a failure too."""
    source = choose(
        docker_answers(), os.environ.get("DJ_HOST"), Path("/etc/debian_version").exists()
    )
    with SERVERS[source]() as settings:
        environment = os.environ | settings
        environment |= {"DJ_BACKEND": "mysql", "FIELDBASE_TEST_BACKEND": "mysql"}
        command = [sys.executable, "-m", "pytest", "-m", "tables", *arguments]
        sys.stdout.write(f"table tests on MySQL ({source}, {environment['DJ_HOST']})\n")
        sys.stdout.flush()
        return subprocess.run(command, cwd=ROOT, env=environment).returncode


def stop(*_) -> None:
    """A run that is told to stop takes its server down with it."""
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main(sys.argv[1:]))
