"""The command ``fieldbase``. Heavy imports wait until a verb needs them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from . import keep, run, store, use
from .remove import remove
from .show import complain, keep_secrets

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
store.add_to(app)
app.command(rich_help_panel=store.PANEL)(remove)


def main() -> None:
    """Run the command; a failure the user can mend is one message and exit code 2."""
    keep_secrets()
    try:
        from schemas._server import ServerError
    except ValueError as error:  # DataJoint reads its settings when it is imported
        complain(f"the settings of the database cannot be read: {_told(error)}")
        sys.exit(2)

    from ..extras import MissingExtra, missing
    from ..ingest import SourceError
    from ..lanes import LaneError
    from ..making import NoRoom
    from ..study.spec import StudyError

    mendable = (
        ServerError, SourceError, StudyError, LaneError, NoRoom, MissingExtra, FileNotFoundError,
        LookupError,
    )  # fmt: skip
    try:
        app()
    except mendable as error:
        complain(str(error))
        sys.exit(2)
    except ModuleNotFoundError as error:
        sentence = missing(error)
        if sentence is None:
            raise
        complain(sentence)
        sys.exit(2)


def _told(error: ValueError) -> str:
    """What a pydantic error says, in one line."""
    if not hasattr(error, "errors"):
        return " ".join(str(error).split())
    places = []
    for e in error.errors():
        given = f"={e['input']!r}" if isinstance(e["input"], str | int) else ""
        places.append(f"{'.'.join(map(str, e['loc']))}{given}: {e['msg']}")
    return "; ".join(places)
