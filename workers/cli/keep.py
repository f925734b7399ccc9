"""Verbs of the panel *keep*: init, doctor."""

from pathlib import Path
from typing import Annotated

import typer

from .show import print_json, show

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
    json: Json = False,
) -> None:
    """Make the database, the stores and the tables; say where data roots lie."""
    import schemas
    from schemas._home import home_folder
    from schemas._names import check_name
    from schemas._roots import add_root, data_roots

    for text in root or ():
        name, _, folder = text.partition("=")
        if not (name and folder and Path(folder).expanduser().is_dir()):
            raise typer.BadParameter(f"takes NAME=FOLDER, a folder that is there; got {text!r}")
        try:
            add_root(check_name(name, "data roots"), Path(folder))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    schemas.activate()
    tables = sum(len(module.schema.list_tables()) for module in schemas.MODULES)
    roots = {name: str(folder) for name, folder in sorted(data_roots().items())}
    if json:
        print_json({"home": str(home_folder()), "tables": tables, "roots": roots})
        return
    show(f"home {home_folder()}: {tables} tables ready")
    for name, folder in roots.items():
        show(f"data root {name}: {folder}")


def doctor(json: Json = False) -> None:
    """What is here, what is wrong, and how to mend it."""
    from ..doctor import examine

    findings = examine()
    if json:
        print_json(findings)
    else:
        for row in findings:
            show(f"{row['what']:<16}{row['found']}")
            if row["mend"]:
                show(f"{'':<16}→ {row['mend']}")
    if any(row["mend"] for row in findings if row["needed"]):
        raise typer.Exit(1)
