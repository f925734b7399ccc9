"""Verbs of the panel *run*: ingest, status."""

from typing import Annotated

import typer

from .ingest import ingest
from .show import print_json, print_rows

PANEL = "Run"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the command."""
    app.command(rich_help_panel=PANEL)(ingest)
    app.command(rich_help_panel=PANEL)(status)


def status(json: Json = False) -> None:
    """How far each table is: asked for, done, left, failed."""
    import schemas

    from ..status import table_status

    schemas.activate(create=False)
    rows = table_status()
    if json:
        print_json(rows)
    else:
        names = ("table", "asked", "done", "left", "failed")
        print_rows("", names, [[row[name] for name in names] for row in rows])
