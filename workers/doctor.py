"""What is installed and reachable, and the line that mends what is not."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.redact import hides_something

from .extras import EXTRAS, pip_line

DISTRIBUTIONS = {"ibldsp": "ibl-neuropixel"}


def examine() -> list[dict[str, Any]]:
    """One finding per line: ``what, found, mend`` (empty if well), ``needed``."""
    rows = [_row("python", platform.python_version(), "", needed=True)]
    for package in ("fieldbase", "datajoint", "pynwb", "numpy"):
        rows.append(_row(package, _version(package) or "missing", "", needed=True))
    for module, (_, purpose) in EXTRAS.items():
        package = DISTRIBUTIONS.get(module, module)
        found = _version(package)
        mend = "" if found else pip_line(module)
        rows.append(_row(package, found or f"not installed ({purpose})", mend, needed=False))
    return [*rows, *_machine(), *_settings(), *_database()]


def _machine() -> list[dict[str, Any]]:
    from schemas._home import home_folder
    from schemas._roots import data_roots

    home = home_folder()
    place = home if home.exists() else home.parent
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    mend = f"make room: stores lie in {home}" if free < 2 else ""
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        mend = f"choose a folder you may write to with --home or FIELDBASE_HOME, not {place}"
    rows = [_row("home", f"{home}, {free:.0f} GiB free", mend, needed=True)]
    for name, folder in sorted(data_roots().items()):
        gone = "" if folder.is_dir() else f"fieldbase init --root {name}=FOLDER"
        rows.append(_row(f"data root {name}", str(folder), gone, needed=True))
    return rows


def _settings() -> list[dict[str, Any]]:
    """Files with passwords that others may read too."""
    import datajoint as dj

    return [
        _row("settings", f"{path} holds a password, and others may read it", f"chmod 600 {path}",
             needed=False)
        for path in open_to_others(dj.config._config_path, dj.config._secrets_dir)
    ]  # fmt: skip


def open_to_others(config: Path | str | None, folder: Path | str | None) -> list[Path]:
    """Of the configuration and a folder of secrets: files that hold some, and others may read."""
    closed_to = {}
    if config is not None and hides_something(Path(config).read_text()):
        closed_to[Path(config)] = 0o077
    if folder is not None and Path(folder).is_dir():  # a cluster mounts them for a group
        closed_to |= dict.fromkeys(sorted(Path(folder).iterdir()), 0o007)
    mode = {path: path.stat().st_mode for path in closed_to if path.is_file() and os.name != "nt"}
    return [path for path, bits in mode.items() if bits & closed_to[path]]


def _database() -> list[dict[str, Any]]:
    import schemas
    from schemas._cluster import exists
    from schemas._connect import named_server, server_version
    from schemas._home import home_folder
    from schemas._server import ServerError

    home = home_folder()
    if named_server() is None and not exists(home / "postgres" / "data"):
        found = "embedded PostgreSQL, none made here yet"
        return [_row("database", found, "fieldbase init", needed=False)]
    try:
        connection = schemas.connect(create=False)
        product, number = server_version(connection)
    except ServerError as error:
        return [_row("database", "not usable", str(error), needed=True)]
    where = f"at {named_server()}" if named_server() else "embedded"
    rows = [_row("database", f"{product} {number}, {where}", "", needed=True)]
    try:
        schemas.activate(create=False)
    except LookupError:
        return [*rows, _row("tables", "none yet", "fieldbase init", needed=False)]
    tables = _row("tables", "ready", "", needed=True)
    return [*rows, tables, _definitions(connection), *map(_store, ("arrays", "checkpoints"))]


def _definitions(connection) -> dict[str, Any]:
    """Whether the tables are those this package defines, and else the first differences."""
    import schemas
    from schemas import _definitions as definitions
    from schemas._differences import compare

    stored = definitions.stored_definitions(connection, schemas._active)
    differing = compare(stored.lines, definitions.package_lines())
    if differing:
        sentence = definitions.explain(stored, differing)
        return _row("definitions", f"{len(differing)} differ", sentence, needed=True)
    mark = definitions.digest_of(stored.lines)[:12]
    return _row("definitions", f"{mark}, as in this version", "", needed=True)


def _store(name: str) -> dict[str, Any]:
    """Where a store lies, and whether it can be reached; never with what key."""
    from schemas._stores import reach_store

    where, problem = reach_store(name)
    mend = problem and f"{problem}; see DJ_STORES, or `stores` in datajoint.json"
    return _row(f"store {name}", where, mend, needed=True)


def _row(what: str, found: str, mend: str, *, needed: bool) -> dict[str, Any]:
    return {"what": what, "found": found, "mend": mend, "needed": needed}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
