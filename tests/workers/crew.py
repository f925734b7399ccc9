"""Workers as processes of their own, with files to read and a log of what they did."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
QUICK = {
    "FIELDBASE_BEAT": "0.3", "FIELDBASE_RETRY": "0.05", "FIELDBASE_PAUSE": "0.5",
    "OMP_NUM_THREADS": "1",
}  # fmt: skip
CUT = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}


class Crew:
    """Workers on the tables of this test run."""

    def __init__(self, tables, folder):
        self.tables, self.folder, self.log = tables, folder, folder / "log"
        self.jobs = tables.recording.Ingestion.jobs
        self.keys, self.env, self.running = [], {}, []

    def files(self, *names):
        """Register files that take as long to read as their names say; their keys."""
        from workers.ingest import register

        for name in names:
            (self.folder / f"{name}.nwb").write_bytes(name.encode())
        found = register([f"{name}.nwb" for name in names], base=self.folder)
        self.jobs.refresh([{"nwb_file": key} for key in found])
        self.keys += [{"nwb_file": key} for key in found]
        return found

    def start(self, **options):
        """Start a worker with these orders."""
        told = [f"{name}={json.dumps(value)}" for name, value in options.items()]
        script = str(HERE / "worker_process.py")
        process = subprocess.Popen(
            [sys.executable, script, self.tables._active, str(self.log), *told],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | QUICK | self.env, cwd=HERE.parents[1],
        )  # fmt: skip
        self.running.append(process)
        return process

    def said(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def states(self):
        return [row["status"] for row in (self.jobs & self.keys).to_dicts()]

    def rows(self):
        return len(self.tables.recording.Ingestion & self.keys)

    def cut_connections(self):
        """Let the server drop the connections of these workers."""
        connection = self.jobs.connection
        for number in self.log.with_suffix(".connections").read_text().split():
            connection.query(CUT[connection.adapter.backend].format(number))

    def wait_for(self, what, seconds=120):
        """Wait until something is true; how long that took (s)."""
        began = time.monotonic()
        while not what():
            failed = [p for p in self.running if p.poll() not in (None, 0, -9)]
            assert not failed, failed[0].communicate()[1][-800:]
            assert time.monotonic() - began < seconds, (self.said(), self.states())
            time.sleep(0.05)
        return time.monotonic() - began

    def leave(self):
        """Kill who is still there, and remove what was made."""
        for process in self.running:
            if process.poll() is None:
                process.kill()
                process.wait()
        (self.jobs & self.keys).delete_quick()
        (self.tables.recording.Ingestion & self.keys).delete(prompt=False)
        (self.tables.session.NwbFile & self.keys).delete(prompt=False)
