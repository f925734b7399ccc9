"""Parts of fieldbase that are installed only where they are needed."""

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import requires
from importlib.util import find_spec
from shlex import join

EXTRAS = {
    "torch": ("torch", "training, embedding and predicting"),
    "transformers": ("torch", "Lfp2Vec"),
    "ibldsp": ("ibl", "IBL's destriping"),
    "lfpack": ("ibl", "decoding lfpack's recordings"),
    "dandi": ("dandi", "downloading dandisets"),
    "s3fs": ("s3", "stores and files on S3"),
    "nbclient": ("notebook", "running the notebooks"),
}
"""What is imported: the extra that brings it, and what for."""


class MissingExtra(RuntimeError):
    """A package that is not installed; the message has the line that installs it."""


def is_installed(module: str) -> bool:
    """Whether a module can be imported; it is not."""
    return find_spec(module) is not None


def pip_line(module: str) -> str:
    """What to type where `module` is missing."""
    return f"pip install 'fieldbase[{EXTRAS[module][0]}]'"


def missing(error: ModuleNotFoundError) -> str | None:
    """The sentence for a module that an extra brings; None for any other."""
    name = (error.name or "").split(".")[0]
    if name in EXTRAS:
        return f"this needs {name} ({EXTRAS[name][1]}), which is not installed: {pip_line(name)}"
    return str(error) if "pip install" in str(error) else None


def need(*modules: str) -> None:
    """Raise MissingExtra unless the modules are installed."""
    for module in modules:
        if not is_installed(module):
            raise MissingExtra(missing(ModuleNotFoundError(name=module)))


def install(extra: str, say: Callable[[str], None]) -> None:
    """Install what an extra lacks, with the pip of this environment.

    Raises
    ------
    MissingExtra
        If pip is not there or fails.
    """
    lacking = [name for name, (its, _) in EXTRAS.items() if its == extra and not is_installed(name)]
    if not lacking:
        return
    wanted = requirements(extra)
    say(f"{' and '.join(lacking)} not installed yet; once: pip install {join(wanted)}")
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted])
    importlib.invalidate_caches()
    if done.returncode:
        raise MissingExtra(
            f"pip could not install {' and '.join(lacking)} (see above); do it yourself, with the "
            f"index your machine needs: {pip_line(lacking[0])}"
        )


def requirements(extra: str) -> list[str]:
    """What an extra of the installed distribution asks pip for."""
    lines = requires("fieldbase") or []
    marker = re.compile(rf"""\s*;\s*extra == ["']{extra}["']$""")
    return [marker.sub("", line) for line in lines if marker.search(line)]
