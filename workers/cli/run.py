"""Verbs of the panel *run*: ingest, status."""

from pathlib import Path
from typing import Annotated

import typer

from .show import out, print_json, print_rows, say

PANEL = "Run"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the command."""
    app.command(rich_help_panel=PANEL)(ingest)
    app.command(rich_help_panel=PANEL)(status)


def ingest(
    source: Annotated[
        list[str],
        typer.Argument(help="Files, folders, globs or URLs; or: labels FILE; or: embeddings FILE."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is there.")] = False,
    lab: Annotated[str | None, typer.Option(help="Laboratory, if the files do not say.")] = None,
    session: Annotated[str | None, typer.Option("--for", help="labels: whose session.")] = None,
    evidence: Annotated[
        str | None, typer.Option(help="labels: histology, target, coordinates or expert.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="embeddings: TOML that says which column is what.")
    ] = None,
    json: Json = False,
) -> None:
    """Read recordings, labels or embeddings into the tables."""
    import schemas

    schemas.activate()
    if source[0] == "labels" and len(source) == 2:
        _labels(Path(source[1]), session, evidence, json)
    elif source[0] == "embeddings":
        _files(source[1:], lab, mapping, dry_run, json)
    else:
        _files(source, lab, None, dry_run, json)


def _labels(file: Path, session: str | None, evidence: str | None, json: bool) -> None:
    from ..labels import ingest_labels

    if session is None:
        raise LookupError("labels belong to a session: give it with --for SESSION")
    added = ingest_labels(file, session, evidence=evidence)
    print_json(added.to_json()) if json else added.print(out)


def _files(sources, lab, mapping: Path | None, dry_run: bool, json: bool) -> None:
    from ..ingest import ingest as read
    from ..ingest import preview, read_mapping, register

    columns = read_mapping(mapping) if mapping else None
    if dry_run:
        rows = preview(sources, base=Path.cwd(), lab=lab)
        if json:
            print_json(rows)
        else:
            names = ("path", "bytes", "layout", "lfp", "channels", "units", "registered")
            print_rows("", names, [[row[name] for name in names] for row in rows])
        return
    keys = register(sources, base=Path.cwd(), lab=lab, mapping=columns)
    say(f"{len(keys)} files")
    rows = read(keys)
    if json:
        print_json(rows)
    else:
        names = ("path", "status", "layout", "lfp", "channels", "units", "trials", "warnings")
        print_rows("", names, [[row[name] for name in names] for row in rows])
        for row in rows:
            for text in row["messages"]:
                out.print(f"{row['path']}: {text}", markup=False, style="dim")
    if any(row["status"] == "error" for row in rows):
        raise typer.Exit(1)


def status(json: Json = False) -> None:
    """How far each table is: asked for, done, left, failed."""
    import schemas

    from ..status import table_status

    schemas.activate()
    rows = table_status()
    if json:
        print_json(rows)
    else:
        names = ("table", "asked", "done", "left", "failed")
        print_rows("", names, [[row[name] for name in names] for row in rows])
