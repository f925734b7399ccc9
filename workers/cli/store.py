"""Verbs of the panel *keep* about what is stored: verify, gc, export, grants."""

from typing import Annotated

import typer

from .show import print_json, print_rows, say, show

PANEL = "Keep"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the command."""
    app.command(rich_help_panel=PANEL)(verify)
    app.command(rich_help_panel=PANEL)(gc)


def verify(
    table: Annotated[str | None, typer.Option(help="Only this one, as training.Training.")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="So many rows of each table, drawn by chance.")
    ] = None,
    json: Json = False,
) -> None:
    """Is everything that rows name still there, and still what it was? Exit code 1 if not."""
    import schemas

    from ..verify import tell, to_line
    from ..verify import verify as run_verify

    schemas.activate(create=False)
    verdict = run_verify(table=table, sample=sample)
    if json:
        print_json(verdict.to_json())
    else:
        for finding in verdict.damage:
            show(f"damaged: {tell(finding)}")
        for finding in verdict.untold:
            say(f"untold: {tell(finding)}")
        show(to_line(verdict))
    if verdict.damage:
        raise typer.Exit(1)


def gc(
    apply: Annotated[bool, typer.Option("--apply", help="Remove what is listed.")] = False,
    grace: Annotated[
        float, typer.Option(min=0, help="Hours that an object is let alone, row or not.")
    ] = 24.0,
    even_all: Annotated[
        bool, typer.Option("--even-all", help="Also empty a store that no row here names.")
    ] = False,
    json: Json = False,
) -> None:
    """List stored objects that no row names, with their bytes; remove them with --apply."""
    import schemas

    from ..collect import find_garbage, remove_garbage

    schemas.activate(create=False)
    found = find_garbage(grace * 3600)
    removed = remove_garbage(found, even_all=even_all) if apply else []
    if json:
        print_json({**found.to_json(), "removed": [orphan.path for orphan in removed]})
        return
    rows = [[o.store or "home", o.path, o.n_bytes, o.age_s / 3600, o.why] for o in found.orphans]
    if rows:
        print_rows("needed by nobody", ["where", "path", "bytes", "age (h)", "why"], rows)
    named = sum(found.named.values())
    show(f"{len(rows)} to remove, {found.n_bytes} bytes; {named} objects are named by rows")
    if found.young:
        show(f"{found.young} younger than {grace:g} h let alone, {found.young_bytes} bytes")
    if apply:
        show(f"removed {len(removed)}, {sum(orphan.n_bytes for orphan in removed)} bytes")
    elif rows:
        show("nothing was removed; `fieldbase gc --apply` removes")
