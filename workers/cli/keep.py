"""Verbs of the panel *keep*: init, doctor, upgrade."""

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
    app.command(rich_help_panel=PANEL)(upgrade)


def init(
    root: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FOLDER: where this machine keeps a data root; may be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Make the database, the stores and the tables; say where data roots lie."""
    import schemas
    from schemas._buckets import make_buckets
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
    make_buckets()
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
            show(f"{row['what']:<18}{row['found']}")
            if row["mend"]:
                show(f"{'':<18}→ {row['mend']}")
    if any(row["mend"] for row in findings if row["needed"]):
        raise typer.Exit(1)


def upgrade(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
    json: Json = False,
) -> None:
    """Add to an older database what this version's tables have more; nothing is ever dropped."""
    from ..upgrade import plan_upgrade
    from ..upgrade import upgrade as add

    plan = plan_upgrade() if dry_run else add()
    if json:
        steps = [step.to_json() for step in plan.steps]
        print_json({"needed": plan.needed, "refused": [*plan.refused], "steps": steps})
    else:
        _show_upgrade(plan, dry_run)
    if plan.refused:
        raise typer.Exit(1)


def _show_upgrade(plan, dry_run: bool) -> None:
    for step in plan.steps:
        for lack in step.lacks:
            show(f"{'to add' if dry_run else 'added'}: {lack.told}")
        for sql in step.sql if dry_run else ():
            show(f"  {sql}" if sql.startswith("--") else f"  {sql};")
    for told in plan.refused:
        show(f"adding is not enough: {told}")
    if not plan.needed:
        show("nothing to do: the tables are those of this version")
    elif not plan.steps and not plan.refused:
        show(f"the tables are those of this version{', their records are not' * dry_run}")
