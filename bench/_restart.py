"""Kill a database server as a power cut would, and start it again on its data."""

import os
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def restart(backend: str, home: Path) -> None:
    """Let the server of this bench die at once; it answers again when this returns."""
    if backend == "mysql":
        if "FIELDBASE_MYSQL_RUN" not in os.environ:
            raise SystemExit("only a server made by .ci/mysql is killed; ask for --restarts 0")
        subprocess.run([str(ROOT / ".ci" / "mysql"), "restart"], check=True, stdout=-3)
        return
    from schemas import _cluster
    from schemas._server import ensure_server

    found = _cluster.read_status(home / "postgres" / "data")
    os.kill(found.pid, signal.SIGQUIT)  # an immediate shutdown: the next start recovers
    while _alive(found.pid):
        time.sleep(0.02)
    ensure_server(home)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
