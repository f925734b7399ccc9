"""A process with a database of its own: ``python carry_process.py PREFIX STEPS``.

STEPS is JSON, ``[["import", "/folder"], ["verify"]]``; printed is the list of answers, an error as
``{"error": type, "told": message}``. Which server and stores, the environment says.
"""

import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path

import datajoint as dj

import schemas
from workers import carry
from workers.carry import bring

STUDY = {
    "study": {"name": "carried", "title": "naïve 中文 𝄞 ' \" \\ %s"},
    "data": {"recordings": ["lab/**/*.nwb"], "labels": "lfp2vec5"},
    "lfp": {"lowpass_hz": 100.0, "target_rate_hz": 250.0},
    "windows": {"length_s": 2.0},
    "split": {"by": "subject", "folds": "leave-one-out", "validation": 0},
    "model": [{"name": "band power", "family": "band_power"}],
    "analyses": {"evaluation": {"draws": 20}, "silhouettes": ["region"]},
}


def make(prefix, folder):
    """A study of two mice, and rows such as no mouse has."""
    from pipeline.synthetic import write_lab
    from schemas import recording, session
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    schemas.activate(prefix)
    lab = write_lab(Path(folder) / "lab", subjects=2, seed=3, layout="generic", channels=6,
                    duration_s=10.0)  # fmt: skip
    done = run_study(StudySpec.model_validate(STUDY), base=Path(folder))
    session.Source.insert1({"source": "odd", "source_name": "naïve 中文 𝄞 ' \" \\ %s \t\n "})
    session.Source.insert1({"source": "nameless", "source_name": None})
    odd = {"a": [1, 2.5, True, None, "é\\u0000"], "b": {}, "big": 1e22, "tiny": 5e-324, "ä": 10**17}
    trial = recording.Ingestion().to_dicts(limit=1)[0] | session.Session().to_dicts(limit=1)[0]
    trial |= {"trial_table": "odd", "trial_values": odd}
    awkward = [0.1 + 0.2, 5e-324, -0.0, 1.7976931348623157e308]
    recording.Trial.insert(
        [trial | {"trial": n, "trial_start_s": x} for n, x in enumerate(awkward)],
        ignore_extra_fields=True,
    )
    if dj.conn().adapter.backend == "postgresql":  # MySQL has neither
        trials, sessions = recording.Trial.full_table_name, session.Session.full_table_name
        dj.conn().query(f"UPDATE {trials} SET trial_stop_s = 'NaN' WHERE trial = 0")
        dj.conn().query(f"UPDATE {trials} SET trial_stop_s = '-Infinity' WHERE trial = 1")
        dj.conn().query(f"UPDATE {sessions} SET session_start = '2020-02-03 04:05:06.789012'")
    return {"failed": done.failed, "files": len(lab)}


def write(prefix, folder):
    return carry.export_all(Path(folder), prefix=prefix).to_json()


def read(prefix, folder):
    return carry.import_all(Path(folder), prefix=prefix).to_json()


def die(prefix, folder, when):
    """Import in a child that kills itself before so many objects, or the rows of a table."""
    if child := os.fork():
        return -os.waitpid(child, 0)[1]
    module, name = (bring, "bring_object") if isinstance(when, int) else (bring, "insert")
    whole, calls = getattr(module, name), []

    def until(*arguments):
        calls.append(arguments)
        if len(calls) > when if isinstance(when, int) else arguments[0].name == when:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments)

    setattr(module, name, until)
    try:
        read(prefix, folder)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def carried(prefix):
    """What is carried, in that order: table, and kind of each column."""
    from workers.carry.tables import carried_tables

    return {table.name: table.kinds for table in carried_tables()}


def lose(prefix, ending):
    """Remove one object of a store; where it was."""
    from schemas._stores import store_named

    store = store_named("arrays")
    path = next(p for p in sorted(store.fs.find(store._full_path(""))) if p.endswith(ending))
    store.fs.rm(path)
    store.fs.invalidate_cache()
    return path


def copy(prefix, source, target):
    shutil.copy(source, target)


def rows(prefix):
    """Every row as DataJoint fetches it, apart from what stays behind."""
    from workers.export.lineage import all_tables

    schemas.activate(prefix, create=False)
    return {
        name: sorted(
            repr(sorted((k, _plain(v)) for k, v in row.items())) for row in table().to_dicts()
        )
        for name, table in all_tables().items()
        if not name.startswith("operation.")
    }


def _plain(value):
    if hasattr(value, "path"):
        return (value.path, getattr(value, "shape", None), str(getattr(value, "dtype", None)))
    if isinstance(value, dict | list):
        return json.dumps(json.loads(json.dumps(value), parse_int=float), sort_keys=True)
    if isinstance(value, bool | float):  # DataJoint has 1 for True on MySQL; -0.0 may become 0.0
        return value + 0
    return value


def verify(prefix):
    from workers.verify import verify

    schemas.activate(prefix, create=False)
    found = verify()
    return {"damage": [f.what for f in found.damage], "untold": len(found.untold),
            "checked": sum(found.checked.values())}  # fmt: skip


def change(prefix, table, column, value):
    """Change one row; its key."""
    schemas.activate(prefix, create=False)
    module, name = table.split(".")
    kind = getattr(getattr(schemas, module), name)
    key = kind().keys(order_by="KEY", limit=1)[0]
    kind.update1({**key, column: value})
    return key


def empty(prefix, table):
    """Delete every row of a table that nothing hangs on."""
    schemas.activate(prefix, create=False)
    module, *names = table.split(".")
    kind = getattr(schemas, module)
    for name in names:
        kind = getattr(kind, name)
    dj.conn().query(f"DELETE FROM {kind.full_table_name}")


def cli(prefix, *words):
    """What the command says to these words."""
    from functools import partial

    from typer.testing import CliRunner

    from workers.cli import app

    carry.export_all = partial(carry.export_all, prefix=prefix)
    carry.import_all = partial(carry.import_all, prefix=prefix)
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    return done.output


def lease(prefix):
    from schemas import _lease

    schemas.activate(prefix, create=False)
    _lease.take(lane="cpu")


def drop(prefix):
    """Drop all tables of this prefix."""
    connection = schemas.connect()
    mysql = connection.adapter.backend == "mysql"
    names = [name for name in dj.list_schemas(connection=connection) if name.startswith(prefix)]
    if mysql:
        connection.query("SET FOREIGN_KEY_CHECKS = 0")
    for name in names:
        quoted = connection.adapter.quote_identifier(name)
        connection.query(f"DROP SCHEMA {quoted}" + ("" if mysql else " CASCADE"))
    if mysql:
        connection.query("SET FOREIGN_KEY_CHECKS = 1")
    return len(names)


STEPS = {"make": make, "export": write, "import": read, "rows": rows, "verify": verify,
         "change": change, "empty": empty, "lease": lease, "drop": drop, "cli": cli,
         "die": die, "lose": lose, "copy": copy, "carried": carried}  # fmt: skip


def main() -> None:
    prefix, answers = sys.argv[1], []
    for step, *arguments in json.loads(sys.argv[2]):
        try:
            answers.append(STEPS[step](prefix, *arguments))
        except (LookupError, RuntimeError, OSError) as error:
            answers.append({"error": type(error).__name__, "told": str(error)})
    sys.stdout.write(json.dumps(answers, default=str) + "\n")


if __name__ == "__main__":
    main()
