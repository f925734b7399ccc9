"""Verbs of the panel *keep*: init, doctor."""

from pathlib import Path
from typing import Annotated

import typer

from .show import out, print_json, print_rows

PANEL = "Keep"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the command."""
    app.command(rich_help_panel=PANEL)(init)
    app.command(rich_help_panel=PANEL)(doctor)


def init(
    root: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER: where this machine keeps a data root; may be repeated."),
    ] = None,
) -> None:
    """Make the database, the stores and the tables; say where data roots lie."""
    import schemas
    from schemas._home import home_folder
    from schemas._roots import add_root, data_roots

    for text in root or ():
        name, _, folder = text.partition("=")
        if not name or not Path(folder).expanduser().is_dir():
            raise FileNotFoundError(f"--root takes NAME=FOLDER, got {text!r}: no such folder")
        add_root(name, Path(folder))
    schemas.activate()
    tables = sum(len(module.schema.list_tables()) for module in schemas.MODULES)
    out.print(f"home {home_folder()}: {tables} tables ready", markup=False)
    for name, folder in sorted(data_roots().items()):
        out.print(f"data root {name}: {folder}", markup=False)


def doctor(json: Json = False) -> None:
    """What is here, what is wrong, and how to mend it."""
    from ..doctor import examine

    findings = examine()
    if json:
        print_json(findings)
    else:
        names = ("what", "found", "mend")
        print_rows("", names, [[row[name] for name in names] for row in findings])
    if any(row["mend"] for row in findings if row["needed"]):
        raise typer.Exit(1)
