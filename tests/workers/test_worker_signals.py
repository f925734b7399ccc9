"""Signals that do not reach the worker's own handler."""

import os
import signal
import time
from types import SimpleNamespace

from workers.devices import Device
from workers.loop import Orders, _Worker
from workers.stop import StopSign


def test_a_sigterm_that_populate_answers_itself_ends_the_worker_in_order():
    """DataJoint 2.3.5 sets a handler while it looks for jobs; it raises SystemExit."""

    def populate(*_, **__):
        before = signal.signal(signal.SIGTERM, lambda *_: exit("SIGTERM received"))
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
        finally:
            signal.signal(signal.SIGTERM, before)

    table = SimpleNamespace(
        populate=populate, jobs=SimpleNamespace(refresh=lambda *_: None, due=lambda *_: False)
    )
    with StopSign(1.0) as stop:
        cpu = [Device("cpu")]
        worker = _Worker(Orders(lanes=("io",)), cpu, stop, lambda text: None, lambda job: None)
        worker.device = cpu[0]
        worker._drain("recording.Ingestion", table)
        assert stop.requested
