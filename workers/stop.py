"""Being told to stop: finish what fits in, then leave."""

import _thread
import math
import os
import signal
import threading
import time
from collections.abc import Callable

from schemas._failures import Stopped

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1") if hasattr(signal, name)
)
"""What asks to stop; SIGUSR1 is how Slurm tells of preemption (``--signal=B:USR1@60``)."""


LOOK_S = 0.05


class StopSign:
    """Set by a signal or by time; the job at hand has `grace_s` to end, a second SIGINT none.

    A signal's handler only sets values: what it interrupts may hold any lock. A thread does the
    rest.

    Attributes
    ----------
    requested
        Whether no other job may begin.
    """

    def __init__(self, grace_s: float, say: Callable[[str], None] = lambda text: None) -> None:
        self.requested, self.grace_s, self._say = False, grace_s, say
        self._deadline, self._planned, self._why = math.inf, math.inf, ""
        self._over, self._left = False, threading.Event()
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSign":
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        threading.Thread(target=self._watch, name="fieldbase-stop", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Answer signals from here on; `populate` sets a handler of its own for SIGTERM."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def request(self, why: str) -> None:
        """Begin no other job; raise Stopped in the main thread when the grace is over."""
        if not self.requested:
            self._why, self._deadline = why, time.monotonic() + self.grace_s
            self.requested = True

    def request_in(self, seconds: float, why: str) -> None:
        """`request` after so many seconds."""
        self._why, self._planned = why, time.monotonic() + max(seconds, 0)

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until `request`."""
        until = time.monotonic() + seconds
        while not self.requested and time.monotonic() < until:
            time.sleep(min(LOOK_S, seconds))

    def leave_no_time_for(self, seconds: float) -> bool:
        """Whether something that takes so long would not end in time."""
        return time.monotonic() + seconds > self._deadline

    def _on_signal(self, number: int, frame: object) -> None:
        if self._over or (self.requested and number == signal.SIGINT):
            raise Stopped(f"stopped by {signal.Signals(number).name}")
        self.request(signal.Signals(number).name)

    def _watch(self) -> None:
        told = False
        while not self._left.wait(LOOK_S):
            if time.monotonic() >= self._planned:
                self.request(self._why)
            if self.requested and not told:
                told = True
                grace = f"{self.grace_s:g} s"
                self._say(f"{self._why}: no other job begins; the one at hand has {grace}")
            if time.monotonic() >= self._deadline:
                return self._end()

    def _end(self) -> None:
        self._over = True
        if os.name == "posix":  # also wakes a system call that waits
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        else:
            _thread.interrupt_main(signal.SIGTERM)
