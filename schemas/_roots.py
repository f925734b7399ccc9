"""Named folders with recordings: the database knows the name, each machine where it lies."""

import json
import os
import tomllib
from pathlib import Path

from fasteners import InterProcessLock

from ._home import home_folder
from ._names import safe_name


def data_roots() -> dict[str, Path]:
    """Named folders with recordings on this machine.

    From ``roots.toml`` in the home folder; entries of the JSON in ``$FIELDBASE_ROOTS`` win.
    """
    roots = _written_down() | json.loads(os.environ.get("FIELDBASE_ROOTS", "{}"))
    return {name: Path(folder).expanduser() for name, folder in roots.items()}


def add_root(name: str, folder: Path) -> None:
    """Write down on this machine where the data root `name` lies.

    Raises
    ------
    ValueError
        If the name stands for another folder already.
    """
    folder = folder.expanduser().resolve()
    home_folder().mkdir(parents=True, exist_ok=True)
    with InterProcessLock(home_folder() / "roots.lock"):
        known = data_roots().get(name)
        if known is not None and known.resolve() != folder:
            raise ValueError(
                f"data root {name!r} is {known} on this machine; asked for {folder}. "
                "Choose another name, or change roots.toml in the home folder."
            )
        _write_down(_written_down() | {name: str(folder)})


def _written_down() -> dict[str, str]:
    file = home_folder() / "roots.toml"
    return tomllib.loads(file.read_text(encoding="utf-8")).get("roots", {}) if file.exists() else {}


def _write_down(roots: dict[str, str]) -> None:
    """Replace the file whole: a process that is killed leaves the one there was."""
    lines = [f"{json.dumps(key)} = {json.dumps(folder)}\n" for key, folder in sorted(roots.items())]
    partial = home_folder() / "roots.toml.partial"
    partial.write_text("[roots]\n" + "".join(lines), encoding="utf-8")
    partial.replace(home_folder() / "roots.toml")


def root_of(path: Path) -> tuple[str, str]:
    """The named root that holds `path`, and the path relative to it (with ``/``).

    The deepest root wins. A file outside every root makes its folder a root of its own, named
    after the folder.
    """
    path = path.expanduser().resolve()
    roots = {name: folder.resolve() for name, folder in data_roots().items()}
    inside = [(len(root.parts), name) for name, root in roots.items() if path.is_relative_to(root)]
    if inside:
        name = max(inside)[1]
        return name, path.relative_to(roots[name]).as_posix()
    base = safe_name(path.parent.name or "root", 48)
    name, number = base, 2
    while name in roots:
        name, number = f"{base}-{number}", number + 1
    add_root(name, path.parent)
    return name, path.name


def resolve(root: str | None, path: str) -> str:
    """Where this machine finds a registered file: an absolute path, or the URL.

    Raises
    ------
    FileNotFoundError
        If this machine does not know the root, or the file is not there.
    """
    if root is None:
        return path
    roots = data_roots()
    if root not in roots:
        raise FileNotFoundError(
            f"{path} lies in the data root {root!r}, which this machine does not know; it knows "
            f"{sorted(roots)}. Say where it is: fieldbase init --root {root}=FOLDER"
        )
    full = roots[root] / path
    if not full.exists():
        raise FileNotFoundError(
            f"{path} is not in {roots[root]}, where this machine has the data root {root!r}. "
            "Bring the file back, or correct the root: fieldbase init --root NAME=FOLDER"
        )
    return str(full)
