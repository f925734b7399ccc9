"""The home folder: embedded database, stores and whatever else fieldbase keeps on this machine."""

import os
from pathlib import Path


def home_folder(home: Path | str | None = None) -> Path:
    """The folder asked for, else ``$FIELDBASE_HOME``, else the user's data folder.

    The last is ``~/.local/share/fieldbase`` on Linux and what the system has for it on macOS and
    Windows. Nothing is created.
    """
    chosen = home or os.environ.get("FIELDBASE_HOME")
    if chosen is None:
        import platformdirs

        chosen = platformdirs.user_data_path("fieldbase", appauthor=False)
    return Path(chosen).expanduser().resolve()


def store_locations(home: Path) -> dict[str, dict[str, str]]:
    """Where arrays and checkpoints go if no configuration says otherwise."""
    return {
        name: {"protocol": "file", "location": str(home / "stores" / name)}
        for name in ("arrays", "checkpoints")
    }
