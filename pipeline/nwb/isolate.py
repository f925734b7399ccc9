"""Read a file not yet trusted in a child process, so that its worst costs one error row.

HDF5 can hang, crash or eat all memory on a damaged file, and no exception catches that. The
child has a memory limit and a deadline; whatever becomes of it is a summary or one ReadError.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .errors import KINDS, ReadError
from .forks import Ended, run_forked
from .summary import FileSummary

MEMORY_BYTES = 4 << 30
DEADLINE_S = 900.0
COMPUTING_S, COMPUTING_BYTES_S = 15.0, 5e6  # a small file, and each byte of a large one


def read_summary_isolated(
    source: str | os.PathLike[str],
    *,
    memory_bytes: int = MEMORY_BYTES,
    deadline_s: float | int = DEADLINE_S,
) -> FileSummary:
    """``read_summary`` in a child process.

    Parameters
    ----------
    source
        Path or URL.
    memory_bytes
        Limit of the child's address space (bytes); not enforced where the system cannot.
    deadline_s
        When the child is stopped (s).

    Raises
    ------
    ReadError
        If the file cannot be read, or the child crashed, ran out of memory or time.
    """
    return FileSummary.from_json(
        call_isolated(
            "pipeline.nwb.read:read_summary_json",
            str(source),
            memory_bytes=memory_bytes,
            deadline_s=deadline_s,
        )
    )


def call_isolated(target: str, source: str, *, memory_bytes: int, deadline_s: float | int) -> Any:
    """The JSON value that ``module:function`` makes of ``source`` in a child process."""
    asked = {
        "target": target, "source": source,
        "memory_bytes": memory_bytes, "deadline_s": deadline_s,
    }  # fmt: skip
    value, error, fresh = _ask_child(asked)
    if type(error) is ReadError and error.stage != "deadline" and not fresh:
        value, error, _ = _ask_child(asked)  # what the child read before may have harmed it
    if error is not None:
        raise error
    return value


def _ask_child(asked: dict[str, Any]) -> tuple[Any, ReadError | None, bool]:
    """The value or the error of one child, and whether it had read nothing before."""
    source, memory, deadline_s = asked["source"], asked["memory_bytes"], asked["deadline_s"]
    with tempfile.TemporaryDirectory(prefix="fieldbase-read-") as folder:
        result, stderr = Path(folder) / "result.json", Path(folder) / "stderr"
        asked = asked | {"result": str(result)}
        ended = run_forked(asked | {"stderr": str(stderr)}, _environment(), deadline_s)
        if ended is None:
            ended = Ended(_run_started(asked, stderr), fresh=True)
        if ended.code is None:
            return None, _too_slow(source, deadline_s), ended.fresh
        if not result.exists():
            noise = stderr.read_text(errors="replace")
            return None, _died(source, ended.code, noise, memory, deadline_s), ended.fresh
        answer = json.loads(result.read_text())
    if "error" in answer:
        return None, KINDS[answer.get("kind", "ReadError")](*answer["error"]), ended.fresh
    return answer["value"], None, ended.fresh


def _run_started(asked: dict[str, Any], stderr: Path) -> int | None:
    """Exit code of a child started from nothing; None if it was too slow."""
    command = [sys.executable, "-m", "pipeline.nwb.isolate", asked["target"], asked["source"]]
    limits = ["--memory", str(asked["memory_bytes"]), "--deadline", str(asked["deadline_s"])]
    with stderr.open("wb") as noise:
        child = subprocess.Popen(
            [*command, asked["result"], *limits],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=noise,
            env=_environment(),
            start_new_session=os.name == "posix",
        )
        try:
            return child.wait(asked["deadline_s"])
        except subprocess.TimeoutExpired:
            return None
        finally:
            _stop(child)


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each thread reserves memory
    return {**os.environ, **quiet, "PYTHONPATH": os.pathsep.join(paths)}


def _stop(child: subprocess.Popen) -> None:
    if child.poll() is None:
        child.kill()
        child.wait()


def _too_slow(source: str, deadline_s: float | int) -> ReadError:
    return ReadError(
        "deadline",
        f"reading {source} took more than {deadline_s:g} s and was stopped",
        "fetch the file again if it is damaged, or allow a longer deadline",
    )


def _out_of_memory(source: str, memory_bytes: int) -> ReadError:
    return ReadError(
        "memory",
        f"reading {source} needed more than {memory_bytes / 2**30:.3g} GiB",
        "fetch the file again if it is damaged, or allow more memory",
    )


def _died(
    source: str, code: int, noise: str, memory_bytes: int, deadline_s: float | int
) -> ReadError:
    if code == -getattr(signal, "SIGXCPU", 0):
        return _too_slow(source, computing_s(source) or deadline_s)
    if code == -getattr(signal, "SIGALRM", 0):
        return _too_slow(source, deadline_s)
    if "MemoryError" in noise or "bad_alloc" in noise or "annot allocate memory" in noise:
        return _out_of_memory(source, memory_bytes)
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    last = noise.strip().splitlines()[-1][:200] if noise.strip() else "no message"
    return ReadError(
        "crash",
        f"the reader of {source} died ({name}: {last})",
        "fetch the file again, or check it",
    )


def main() -> None:
    """Child: limit this process, call the target, write its value or error as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("source")
    parser.add_argument("result", type=Path)
    parser.add_argument("--memory", type=int, required=True)
    parser.add_argument("--deadline", type=float, required=True)
    asked = parser.parse_args()
    work(asked.target, asked.source, asked.result, asked.memory, asked.deadline)


def work(target: str, source: str, result: Path, memory_bytes: int, deadline_s: float) -> bool:
    """What the child does: limit itself, call the target, write its value or its error.

    Returns
    -------
    bool
        Whether it was a value.
    """
    _limit(memory_bytes, deadline_s)
    _limit_computing(source)
    value, error = _value_or_error(target, source, memory_bytes)
    partial = result.with_suffix(".partial")
    partial.write_text(value or json.dumps(error))
    partial.rename(result)
    if os.name == "posix":
        signal.setitimer(signal.ITIMER_REAL, 0)
    return error is None


def _value_or_error(
    target: str, source: str, memory_bytes: int
) -> tuple[str, None] | tuple[None, dict[str, Any]]:
    """The value as JSON, or what is wrong."""
    try:
        module, _, name = target.partition(":")
        value = getattr(importlib.import_module(module), name)(source)
        return json.dumps({"value": value}), None
    except ReadError as error:
        return None, {"error": error.args, "kind": type(error).__name__}
    except MemoryError:
        return None, {"error": _out_of_memory(source, memory_bytes).args}
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        if "llocat" in reason and "memory" in reason.lower():
            return None, {"error": _out_of_memory(source, memory_bytes).args}
        broken = type(error) in (OSError, RuntimeError)  # what HDF5 raises, not its subclasses
        broken = broken or "Insufficient precision" in reason  # h5py, of an impossible float
        message = f"{source} {'is damaged' if broken else 'cannot be read'} ({reason})"
        out = "fetch the file again" if broken else "report this with the file's name"
        return None, {"error": ["read", message, out]}


def _limit(memory_bytes: int, deadline_s: float | int) -> None:
    """Limit memory; and die at the deadline even if the parent is gone by then."""
    if os.name != "posix":
        return
    import resource

    signal.setitimer(signal.ITIMER_REAL, deadline_s + 1.0)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    except (ValueError, OSError):  # macOS refuses; the deadline still holds
        pass


def _limit_computing(source: str) -> None:
    """Stop a reader that turns in circles, long before one that waits for a slow disk."""
    if os.name != "posix":
        return
    import resource

    seconds, (_, hard) = computing_s(source), resource.getrlimit(resource.RLIMIT_CPU)
    limit = hard if seconds is None else int(time.process_time() + seconds)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def computing_s(source: str) -> float | None:
    """Processor time that a local file of its size may take (s); None for any other."""
    path = Path(source)
    return COMPUTING_S + path.stat().st_size / COMPUTING_BYTES_S if path.is_file() else None


if __name__ == "__main__":
    main()
