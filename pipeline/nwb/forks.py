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
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

AVAILABLE = sys.platform == "linux"  # elsewhere libraries do not outlive a fork
FILES_EACH = 50  # what one child reads at most
_REPLACED, _ALL_READ = 90, 91  # exit codes that say nothing of a file
_lock = threading.Lock()
_nursery: "Nursery | None" = None


@dataclass(frozen=True)
class Ended:
    """How a child's work ended.

    Attributes
    ----------
    code
        0, its exit code where it died, negative for a signal; None if it was too slow.
    fresh
        Whether it had read no other file before.
    """

    code: int | None
    fresh: bool


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

    def run(self, asked: dict[str, object], deadline_s: float | int) -> Ended:
        """Let a child do what is asked.

        Raises
        ------
        OSError
            If the process that forks is gone, or its child died before it began.
        """
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        said = self._line()
        if said[0] != b"begin":  # with what was asked in its hands, or without
            raise ConnectionAbortedError("a child died before it began")
        child, fresh = int(said[1]), said[2] == b"0"
        ended = False
        try:
            ended = bool(select.select([self.process.stdout], [], [], deadline_s)[0])
        finally:
            if not ended:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        code = int(self._line()[1])
        return Ended(code if ended else None, fresh)

    def end(self) -> None:
        """Let it go; it leaves by itself where this process dies."""
        if self.owner == os.getpid():
            with suppress(OSError):
                self.process.stdin.close()
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def _line(self) -> list[bytes]:
        line = self.process.stdout.readline()
        if not line:
            raise ConnectionAbortedError("the process that forks readers is gone")
        return line.split()


def run_forked(
    asked: dict[str, object], environment: dict[str, str], deadline_s: float | int
) -> Ended | None:
    """Let a forked child do what is asked; None if none could be forked.

    Parameters
    ----------
    asked
        Arguments of `isolate.work`, and ``stderr``: where the child's noise goes.
    """
    global _nursery
    if not AVAILABLE or not _lock.acquire(blocking=False):  # another thread reads
        return None
    try:
        if _nursery is None or not _nursery.serves(environment):
            if _nursery is not None:
                _nursery.end()
            _nursery = Nursery(environment)
            atexit.register(_nursery.end)
        return _nursery.run(asked | {"folder": os.getcwd()}, deadline_s)
    except (OSError, ValueError):
        _leave()
        return None
    except BaseException:  # told to stop: what it would still say is another call's
        _leave()
        raise
    finally:
        _lock.release()


def _leave() -> None:
    global _nursery
    if _nursery is not None:
        _nursery.end()
    _nursery = None


def main() -> None:
    """The process that forks, one child after the other.

    A line of JSON in; out of the child ``begin <pid> <files it read before>`` and ``end 0``, or
    from here ``end <code>`` where it died.
    """
    from . import isolate, read  # noqa: F401  (what the children are to have)

    code = _REPLACED
    while code != _ALL_READ:
        child = os.fork()
        if child == 0:
            _be_child()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code not in (_REPLACED, _ALL_READ):
            os.write(1, b"end %d\n" % code)


def _be_child() -> NoReturn:
    code = 1
    try:
        os.setsid()
        asking, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        code = _work_on(asking, answers)
    finally:
        os._exit(code)


def _work_on(asking: IO[bytes], answers: int) -> int:
    from .isolate import work

    for done in range(FILES_EACH):
        line = asking.readline()
        if not line:
            return _ALL_READ
        os.write(answers, b"begin %d %d\n" % (os.getpid(), done))
        asked = json.loads(line)
        noise = os.open(asked.pop("stderr"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(noise, 2)
        os.close(noise)
        os.chdir(asked.pop("folder"))
        well = work(**asked | {"result": Path(asked["result"])})
        os.write(answers, b"end 0\n")
        if not well:
            break
    return _REPLACED


if __name__ == "__main__":
    main()
