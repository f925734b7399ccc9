"""Verbs of the panel *keep* about what is stored: verify, gc, export, import, grants."""

from pathlib import Path
from typing import Annotated

import typer

from .show import print_json, say, show

PANEL = "Keep"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Folder = Annotated[Path, typer.Option("--to", help="A folder that is not there yet.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the command."""
    app.command(rich_help_panel=PANEL)(verify)
    app.command(rich_help_panel=PANEL)(gc)
    app.command(rich_help_panel=PANEL)(grants)
    exports = typer.Typer(
        no_args_is_help=True,
        invoke_without_command=True,
        callback=everything,
        help="Write a study, a model, a recording, or all there is.",
    )
    exports.command()(study)
    exports.command()(model)
    exports.command()(nwb)
    app.add_typer(exports, name="export", rich_help_panel=PANEL)
    app.command("import", rich_help_panel=PANEL)(bring)


def verify(
    table: Annotated[str | None, typer.Option(help="Only this one, as training.Training.")] = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="So many rows of each table, drawn by chance.")
    ] = None,
    json: Json = False,
) -> None:
    """Is everything that rows name still there, and still what it was? Exit code 1 if not."""
    import schemas

    from ..verify import tell, tell_sampled, to_line
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
        if verdict.sampled:
            say(tell_sampled(verdict))
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
    for one in found.orphans:
        where, hours = one.store or "home", one.age_s / 3600
        show(f"{where}: {one.path}, {one.n_bytes} bytes, {hours:.1f} h old: {one.why}")
    named = sum(found.named.values())
    show(
        f"{len(found.orphans)} to remove, {found.n_bytes} bytes; {named} objects are named by rows"
    )
    if found.young:
        show(f"{found.young} younger than {grace:g} h let alone, {found.young_bytes} bytes")
    if apply:
        show(f"removed {len(removed)}, {sum(orphan.n_bytes for orphan in removed)} bytes")
    elif found.orphans:
        show("nothing was removed; `fieldbase gc --apply` removes")


def grants(
    role: Annotated[str, typer.Option(help="worker, analyst or admin.")],
    user: Annotated[str | None, typer.Option(help="A user there is, who gets the role.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Run the lines, too.")] = False,
) -> None:
    """The SQL that gives a role its rights on this server, and no more."""
    import schemas

    from ..grants import apply_grants, grant_lines, to_text

    schemas.activate(create=False)
    try:
        lines = apply_grants(role, user=user) if apply else grant_lines(role, user=user)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    show(to_text(lines))
    if apply:
        say("applied")


def study(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A study that was run.")], to: Folder
) -> None:
    """Every row a study rests on, as parquet, with where each number comes from."""
    import schemas

    from ..export import export_study

    schemas.activate(create=False)
    show(f"study: {export_study(name, to, say=say)}")


def model(
    name: Annotated[str, typer.Argument(metavar="NAME|TRAINING", help="A registered model.")],
    to: Folder,
) -> None:
    """Weights (safetensors), parameters, digest and card of a model."""
    import schemas

    from ..export import export_model

    schemas.activate(create=False)
    show(f"model: {export_model(name, to, say=say)}")


def nwb(
    name: Annotated[str, typer.Argument(metavar="FILE|SESSION")],
    to: Annotated[Path, typer.Option("--to", help="The NWB file to write.")],
    by: Annotated[str | None, typer.Option("--model", help="Whose answers are written.")] = None,
) -> None:
    """A copy of a recording with its predicted regions in the electrode table."""
    import schemas

    from ..export import export_recording

    schemas.activate(create=False)
    show(f"copy: {export_recording(name, to, model=by, say=say)}")


def everything(
    context: typer.Context,
    one: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME|TRAINING", help="The same as `export model`."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--all", help="Every row and every object, for `fieldbase import`.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option("--to", help="With --all or --model: a folder not there yet.")
    ] = None,
    json: Json = False,
) -> None:
    """With --all: the whole database with its objects, as a folder for any other server."""
    asked = ["--all"] * whole + ["--model"] * (one is not None)
    asked += [context.invoked_subcommand] if context.invoked_subcommand is not None else []
    if len(asked) > 1:
        raise typer.BadParameter(f"either {' or '.join(asked)}")
    if context.invoked_subcommand is not None:
        return
    if not asked or to is None:
        raise typer.BadParameter("say --all --to FOLDER, or study, model or nwb")
    if one is not None:
        model(one, to)
        return
    from ..carry import export_all

    taken = export_all(to, say=say)
    if json:
        print_json(taken.to_json())
    else:
        show(f"database: {taken.folder}")


def bring(
    folder: Annotated[Path, typer.Argument(help="What `export --all` wrote.")], json: Json = False
) -> None:
    """Add all that another database had, objects too, to this one; nothing is computed again."""
    from ..carry import import_all

    brought = import_all(folder, say=say)
    if json:
        print_json(brought.to_json())
        return
    show(
        f"{brought.rows} rows added, {brought.rows_there} were there; {brought.objects} stored "
        f"files copied ({brought.object_bytes} bytes), {brought.objects_there} were there"
    )
    for name in brought.unknown_roots:
        show(f"this machine lacks the data root {name}: fieldbase init --root {name}=FOLDER")
