"""Children that are ready at once: forked from a process that has the readers loaded already.

To start Python and load HDF5 takes ten times as long as to read the header of a small file. The
process that forks does nothing else, so each child is as fresh as one started from nothing.
"""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

AVAILABLE = sys.platform == "linux"  # elsewhere libraries do not outlive a fork
_lock = threading.Lock()
_nursery: "Nursery | None" = None


class Nursery:
    """A process of ours that forks on request."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment, self.owner = environment, os.getpid()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.nwb.forks"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment, start_new_session=True, bufsize=0,
        )  # fmt: skip

    def serves(self, environment: dict[str, str]) -> bool:
        """Whether it lives, is ours and was started in this environment."""
        mine = self.owner == os.getpid() and self.environment == environment
        return mine and self.process.poll() is None

    def run(self, asked: dict[str, object], deadline_s: float | int) -> int | None:
        """Exit code of a child that does `asked`; negative for a signal, None if it was too slow.

        Raises
        ------
        OSError
            If the process that forks is gone.
        """
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        child = int(self._line())
        ended = False
        try:
            ended = bool(select.select([self.process.stdout], [], [], deadline_s)[0])
        finally:
            if not ended:
                os.kill(child, signal.SIGKILL)
        code = int(self._line())
        return code if ended else None

    def end(self) -> None:
        """Let it go; it leaves by itself where this process dies."""
        if self.owner == os.getpid():
            with suppress(OSError):
                self.process.stdin.close()
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def _line(self) -> bytes:
        line = self.process.stdout.readline()
        if not line:
            raise ConnectionAbortedError("the process that forks readers is gone")
        return line


def run_forked(
    asked: dict[str, object], environment: dict[str, str], deadline_s: float | int
) -> tuple[bool, int | None]:
    """Whether a child could be forked, and its exit code (see `Nursery.run`).

    Parameters
    ----------
    asked
        Arguments of `isolate.work`, and ``stderr``: where the child's noise goes.
    """
    global _nursery
    if not AVAILABLE or not _lock.acquire(blocking=False):  # another thread reads
        return False, None
    try:
        if _nursery is None or not _nursery.serves(environment):
            if _nursery is not None:
                _nursery.end()
            _nursery = Nursery(environment)
            atexit.register(_nursery.end)
        return True, _nursery.run(asked | {"folder": os.getcwd()}, deadline_s)
    except (OSError, ValueError):
        _nursery = None
        return False, None
    except BaseException:  # told to stop: what it would still say is another call's
        if _nursery is not None:
            _nursery.end()
        _nursery = None
        raise
    finally:
        _lock.release()


def main() -> None:
    """The process that forks: a line of JSON in, the child's number and its exit code out."""
    from . import isolate, read  # noqa: F401  (what the children are to have)

    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            _be_child(json.loads(line))
        _say(child)
        _say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _be_child(asked: dict) -> None:
    from .isolate import work

    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        noise = os.open(asked.pop("stderr"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number, handle in enumerate((nothing, nothing, noise)):
            os.dup2(handle, number)
        os.chdir(asked.pop("folder"))
        work(**asked | {"result": Path(asked["result"])})
        code = 0
    finally:
        os._exit(code)


def _say(number: int) -> None:
    sys.stdout.buffer.write(b"%d\n" % number)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
