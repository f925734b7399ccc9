"""Read damaged files as a worker does, each in a child under limits, and judge what came of it.

`Reader` forks `pipeline.nwb.isolate` at work from a process that has imported it already: the
same code under the same limits as in production, without half a second to start each time.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutations import MARK, MARKED

MEMORY_BYTES, DEADLINE_S = 1 << 30, 30.0
LAYOUTS = ("allen", "ibl", "generic")
SUMMARY, SIGNALS = "pipeline.nwb.read:read_summary_json", "mutation_trials:read_signals"
LONGEST = 1000  # characters of an error that is still one sentence a person reads


@dataclass(frozen=True)
class Outcome:
    """What became of one reading: a value, or stage, message and way out; and what it took."""

    value: Any
    error: tuple[str, str, str] | None
    seconds: float
    peak_bytes: int
    isolated: bool = True

    @property
    def broken(self) -> str | None:
        """The promise that was not kept, None if all were."""
        if self.seconds > DEADLINE_S + 2:
            return f"took {self.seconds:.0f} s"
        if self.peak_bytes > MEMORY_BYTES:
            return f"took {self.peak_bytes >> 20} MB"
        if self.error is None:
            told = json.dumps(self.value)
            return "read outside of the file" if MARK in told or str(MARKED) in told else None
        stage, message, way_out = self.error
        died = stage == "crash" and not (self.isolated and "SIG" in message)
        if died or stage == "memory" or "report this" in way_out:
            return f"what only the limits ended, or no clear error: {stage}: {message}"
        if not way_out or "\n" in message or len(message) > LONGEST:
            return f"an error that is not one sentence: {message[:300]!r}"
        return None


def write_layouts(folder: Path) -> dict[str, list[Path]]:
    """The files of one small synthetic session of each layout."""
    from pipeline.synthetic.lab import write_sessions
    from pipeline.synthetic.session import LabParams

    made = {}
    for layout in LAYOUTS:
        params = LabParams(layout=layout, subjects=1, channels=6, duration_s=4, units=3, seed=5)
        made[layout] = next(iter(write_sessions(folder / layout, params)))
    return made


class Reader:
    """A process that reads files, each in a child of its own."""

    def __enter__(self) -> "Reader":
        here = Path(__file__).parent
        paths = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
        quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": paths}
        self._process = subprocess.Popen(
            [sys.executable, str(here / "mutation_trials.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **quiet},
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def read(self, path: Path, target: str = SUMMARY) -> Outcome:
        """Call a target on a file in a child."""
        self._process.stdin.write(json.dumps([target, str(path)]) + "\n")
        self._process.stdin.flush()
        value, error, seconds, peak = json.loads(self._process.stdout.readline())
        isolated = target == SUMMARY  # HDF5 may crash there: that is one error row
        return Outcome(value, error and tuple(error), seconds, peak, isolated)


def read_signals(source: str) -> dict[str, Any]:
    """Everything that is read of a file after its summary, as jobs of windows read it."""
    import numpy as np

    from pipeline.nwb import open_lfp, read_behavior, read_spikes, read_summary
    from pipeline.preprocessing import LfpParams, WindowParams, cut_lfp_windows

    summary, told = read_summary(source), {}
    for series in summary.lfp:
        with open_lfp(source, series.series) as lfp:
            params = WindowParams(length_s=0.5, max_windows=4, placement="spread")
            made = cut_lfp_windows(lfp, LfpParams(), params)
        if not (np.isfinite(made.data).all() and np.isfinite(made.start_s).all()):
            raise AssertionError(f"{series.series}: windows that are no numbers")
        told[series.series] = [*made.data.shape, float(np.abs(made.data).max(initial=0))]
    if summary.units:
        spikes = read_spikes(source)
        told["spikes"] = [len(spikes.times), sum(map(len, spikes.times))]
    for series in summary.behavior:
        times, values, _ = read_behavior(source, series.series)
        told[series.series] = [len(times), float(np.nan_to_num(values).max(initial=0))]
    return told


def _serve() -> None:
    """Answer requests, one line each, until there are no more."""
    import tempfile

    import pipeline.nwb.lfp
    import pipeline.nwb.spikes
    import pipeline.preprocessing  # noqa: F401  (here once, not in every child)
    from pipeline.nwb import isolate

    with tempfile.TemporaryDirectory(prefix="fieldbase-trial-") as folder:
        for line in sys.stdin:
            answer = _read_in_child(isolate, *json.loads(line), Path(folder))
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


def _read_in_child(isolate: Any, target: str, source: str, folder: Path) -> list[Any]:
    result, noise = folder / "result.json", folder / "stderr"
    result.unlink(missing_ok=True)
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.dup2(os.open(noise, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            isolate.work(target, source, result, MEMORY_BYTES, DEADLINE_S)
            code = 0
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    _, status, used = os.wait4(child, 0)
    seconds = time.monotonic() - began
    if result.exists():
        answer = json.loads(result.read_text())
    else:
        code, text = os.waitstatus_to_exitcode(status), noise.read_text(errors="replace")
        answer = {"error": isolate._died(source, code, text, MEMORY_BYTES, DEADLINE_S).args}
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return [answer.get("value"), answer.get("error"), seconds, peak]


if __name__ == "__main__":
    _serve()
