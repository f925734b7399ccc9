"""Tables. `activate()` connects, declares them and makes them ready to query.

    import schemas
    schemas.activate()
    schemas.recording.Channel & {"session": "..."}

Modules in foreign-key order: session, recording, anatomy, windows, dataset, training,
embedding, prediction, analysis. `scores()` is a tidy view over every score.
"""

import os
from pathlib import Path

from ._connect import connect  # isort: skip  (first: it imports datajoint without its warnings)
from . import (
    analysis,
    anatomy,
    dataset,
    embedding,
    prediction,
    recording,
    session,
    training,
    windows,
)
from ._scores import scores

MODULES = (
    session, recording, anatomy, windows, dataset, training, embedding, prediction, analysis,
)  # fmt: skip

__all__ = ["MODULES", "activate", "connect", "scores"]

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
        Declare schemas and tables that are missing; workers and analysts need not.

    Raises
    ------
    RuntimeError
        If this process is already bound to another prefix.
    """
    global _active
    if _active is not None and _active != prefix:
        raise RuntimeError(
            f"this process already uses the tables of {_active!r}; asked for {prefix!r}. "
            "Start another process (in Jupyter: restart the kernel)."
        )
    if home is not None:
        os.environ["FIELDBASE_HOME"] = str(Path(home).expanduser().resolve())
    connect(create=create)
    if _active == prefix:
        return
    for module in MODULES:
        name = module.__name__.rsplit(".", 1)[-1]
        module.schema.activate(f"{prefix}_{name}", create_schema=create, create_tables=create)
    _active = prefix
    if create:
        from ._defaults import register_schemes

        register_schemes()
