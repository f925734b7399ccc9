"""Processes that use a database as another package would: each line of input is one, forked here.

A line is JSON with `code` and `prefix`; the answer is one line with what the code told, whether it
failed and what it wrote to standard error. `schemas` is imported once, before anyone connects.
"""

import json
import os
import sys
import tempfile

import schemas
from schemas import _definitions


def without(table, *starts):
    """Take lines out of a definition."""
    lines = table.definition.splitlines()
    kept = [line for line in lines if not line.strip().startswith(starts)]
    assert len(lines) - len(kept) == len(starts)
    table.definition = "\n".join(kept)


def unknown(*tables):
    """Take tables out of the package."""
    for table in tables:
        module = sys.modules[table.__module__]
        module.schema.declare_list = [p for p in module.schema.declare_list if p[0] is not table]
        delattr(module, table.__name__)


def sentence(function, *args, **options):
    """What a call fails with; None if it does not."""
    try:
        function(*args, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def answer(code, prefix):
    """Run the code in a fork of this process."""
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryFile("w+") as told:
        process = os.fork()
        if process == 0:
            os.dup2(errors.fileno(), 2)
            failed = 1
            try:
                names = {m.__name__.rpartition(".")[2]: m for m in schemas.MODULES}
                tell = lambda **values: told.write(json.dumps(values, default=str))  # noqa: E731
                own = {"D": _definitions, "prefix": prefix, "tell": tell}
                exec(code, {**globals(), **names, **own})
                failed = 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            told.flush()
            sys.stderr.flush()
            os._exit(failed)
        _, status = os.waitpid(process, 0)
        for stream in (errors, told):
            stream.seek(0)
        values = json.loads(told.read() or "{}")
        return {"told": values, "failed": status != 0, "stderr": errors.read()}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), flush=True)
