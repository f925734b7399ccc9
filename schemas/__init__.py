"""Tables. `activate()` connects, declares them and makes them ready to query.

    import schemas
    schemas.activate()
    schemas.recording.Channel & {"session": "..."}

Modules in foreign-key order: session, recording, anatomy, windows, dataset, training, embedding,
prediction, analysis; and operation: who computes what. `scores()` is a tidy view over every
score, `diagram()` a picture of the tables that matter.
"""

import os
from pathlib import Path

from ._connect import connect, dj  # isort: skip  (first: imports datajoint without its warnings)
from ._server import ServerError  # isort: skip
from . import (
    _definitions,
    analysis,
    anatomy,
    dataset,
    embedding,
    operation,
    prediction,
    recording,
    session,
    training,
    windows,
)
from ._diagram import diagram
from ._scores import scores

MODULES = (
    session, recording, anatomy, windows, dataset, training, embedding, prediction, analysis,
    operation,
)  # fmt: skip

__all__ = ["MODULES", "activate", "connect", "diagram", "scores"]

_active: str | None = None


def activate(prefix: str = "fieldbase", *, home: Path | None = None, create: bool = True) -> None:
    """Connect to the database and declare the tables as ``<prefix>_<module>``.

    Parameters
    ----------
    prefix
        What the schema names begin with; a process can use one only.
    home
        Folder of the embedded database and the stores; default ``$FIELDBASE_HOME``, else the
        user's data folder.
    create
        Declare schemas and tables that are missing; workers and analysts need not. Without it a
        database of an older or newer package can be queried too.

    Raises
    ------
    RuntimeError
        If this process is already bound to another prefix.
    LookupError
        If tables are missing and `create` is false.
    ServerError
        In one sentence: no server that can be used, no right to make the tables, or (with `create`)
        tables of a package that defines them otherwise.
    """
    global _active
    if _active is not None and _active != prefix:
        raise RuntimeError(
            f"this process already uses the tables of {_active!r}; asked for {prefix!r}. "
            "Start another process (in Jupyter: restart the kernel)."
        )
    if home is not None:
        os.environ["FIELDBASE_HOME"] = str(Path(home).expanduser().resolve())
    connection = connect(create=create)
    if _active == prefix:
        return
    names = {module: _definitions.schema_name(prefix, module) for module in MODULES}
    found = set(names.values()) & set(dj.list_schemas(connection=connection))
    if found:
        _definitions.check_before(connection, prefix, create=create)
    elif not create:
        raise LookupError(f"the database has no tables {prefix}_*; `fieldbase init` makes them")
    try:
        for module, name in names.items():
            if create or name in found:
                module.schema.activate(name, create_schema=create, create_tables=create)
    except dj.errors.DataJointError as error:
        reason = " ".join(str(error).split())
        raise ServerError(
            f"the tables {prefix}_* cannot be made as {dj.config.database.user!r} ({reason}); "
            "ask for the right to create schemas and tables, or use another server"
        ) from error
    _active = prefix
    if create:
        _definitions.record(connection, prefix)
        from ._defaults import register_schemes
        from ._tables import computed_tables

        for _, table in computed_tables():
            _ = table.jobs  # declares its queue: workers have no right to
        register_schemes()
