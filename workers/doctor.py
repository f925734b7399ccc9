"""What is installed and reachable, and the line that mends what is not."""

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from typing import Any

EXTRAS = {
    "torch": ("torch", "training and embedding"),
    "transformers": ("torch", "Lfp2Vec"),
    "ibl-neuropixel": ("ibl", "destriping"),
    "dandi": ("dandi", "dandisets"),
    "s3fs": ("s3", "stores and files on S3"),
    "nbclient": ("notebook", "running the notebooks"),
}


def examine() -> list[dict[str, Any]]:
    """One finding per line: ``what, found, mend`` (empty if well), ``needed``."""
    rows = [_row("python", platform.python_version(), "", needed=True)]
    for package in ("fieldbase", "datajoint", "pynwb", "numpy"):
        rows.append(_row(package, _version(package) or "missing", "", needed=True))
    for package, (extra, purpose) in EXTRAS.items():
        found = _version(package)
        mend = "" if found else f"pip install 'fieldbase[{extra}]'"
        rows.append(_row(package, found or f"missing ({purpose})", mend, needed=False))
    return [*rows, *_machine(), *_database()]


def _machine() -> list[dict[str, Any]]:
    from schemas._home import home_folder
    from schemas._roots import data_roots

    home = home_folder()
    place = home if home.exists() else home.parent
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    low = f"make room: stores lie in {home}" if free < 2 else ""
    rows = [_row("home", f"{home}, {free:.0f} GiB free", low, needed=True)]
    for name, folder in sorted(data_roots().items()):
        gone = "" if folder.is_dir() else f"fieldbase init --root {name}=FOLDER"
        rows.append(_row(f"data root {name}", str(folder), gone, needed=True))
    return rows


def _database() -> list[dict[str, Any]]:
    from schemas import connect
    from schemas._connect import server_version
    from schemas._server import ServerError

    try:
        product, number = server_version(connect())
    except ServerError as error:
        return [_row("database", "not reachable", str(error), needed=True)]
    return [_row("database", f"{product} {number}", "", needed=True)]


def _row(what: str, found: str, mend: str, *, needed: bool) -> dict[str, Any]:
    return {"what": what, "found": found, "mend": mend, "needed": needed}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
