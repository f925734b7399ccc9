"""Being told to stop: finish what fits in, then leave."""

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


class StopSign:
    """Set by a signal or by time; the job at hand has `grace_s` to end, a second signal none.

    Attributes
    ----------
    requested
        Whether no other job may begin.
    """

    def __init__(self, grace_s: float, say: Callable[[str], None] = lambda text: None) -> None:
        self.requested, self.grace_s, self._say = False, grace_s, say
        self._deadline, self._over = float("inf"), False
        self._wake = threading.Event()
        self._timers: list[threading.Timer] = []
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSign":
        self._before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Answer signals from here on; `populate` sets a handler of its own for SIGTERM."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def request(self, why: str) -> None:
        """Begin no other job; raise Stopped in the main thread when the grace is over."""
        if self.requested:
            return
        self.requested, self._deadline = True, time.monotonic() + self.grace_s
        self._say(f"{why}: no other job begins; the one at hand has {self.grace_s:g} s")
        self._later(self.grace_s, self._end)
        self._wake.set()

    def request_in(self, seconds: float, why: str) -> None:
        """`request` after so many seconds."""
        self._later(max(seconds, 0), lambda: self.request(why))

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until `request`."""
        self._wake.wait(seconds)

    def leave_no_time_for(self, seconds: float) -> bool:
        """Whether something that takes so long would not end in time."""
        return time.monotonic() + seconds > self._deadline

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, what)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def _on_signal(self, number: int, frame: object) -> None:
        if self._over or (self.requested and number == signal.SIGINT):
            raise Stopped(f"stopped by {signal.Signals(number).name}")
        self.request(signal.Signals(number).name)

    def _end(self) -> None:
        self._over = True
        if os.name == "posix":  # also wakes a system call that waits
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        else:
            signal.raise_signal(signal.SIGTERM)
