"""The command ``fieldbase``. Heavy imports wait until a verb needs them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from . import keep, run, use
from .show import complain

app = typer.Typer(
    name="fieldbase",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From recordings in NWB to located channels, in a database that remembers why.",
)


@app.callback()
def _common(
    home: Annotated[
        Path | None,
        typer.Option(help="Folder of the embedded database and stores.", envvar="FIELDBASE_HOME"),
    ] = None,
) -> None:
    import os

    if home is not None:
        os.environ["FIELDBASE_HOME"] = str(home.expanduser().resolve())


use.add_to(app)
run.add_to(app)
keep.add_to(app)


def main() -> None:
    """Run the command; a failure the user can mend is one message and exit code 2."""
    from schemas._server import ServerError

    from ..ingest import SourceError
    from ..study.spec import StudyError

    try:
        app()
    except (ServerError, SourceError, StudyError, FileNotFoundError, LookupError) as error:
        complain(str(error))
        sys.exit(2)
    except ModuleNotFoundError as error:
        complain(_missing(error))
        sys.exit(2)


def _missing(error: ModuleNotFoundError) -> str:
    extras = {
        "torch": "torch", "transformers": "torch", "ibldsp": "ibl", "dandi": "dandi",
        "s3fs": "s3", "nbclient": "notebook",
    }  # fmt: skip
    name = (error.name or "").split(".")[0]
    if name not in extras:
        raise error
    return f"this needs {name}, which is not installed: pip install 'fieldbase[{extras[name]}]'"
