"""Verbs of the panel *run*: ingest, status."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .show import out, print_json, print_rows, progress, show

PANEL = "Run"
KINDS = {
    "labels": "labels FILE --for SESSION",
    "embeddings": "embeddings FILE --mapping FILE.toml",
}
"""What can be ingested besides recordings, and how it is asked for."""
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

    kind, given = source[0], source[1:]
    if kind in KINDS and len(given) != 1 and not Path(kind).exists():
        raise typer.BadParameter(f"`{kind}` takes one file: fieldbase ingest {KINDS[kind]}")
    schemas.activate()
    if kind == "labels" and given:
        _labels(Path(given[0]), session, evidence, json)
    elif kind == "embeddings" and given:
        from ..ingest import find_embeddings

        _files(find_embeddings(given, base=Path.cwd()), lab, mapping, dry_run, json)
    else:
        _files(source, lab, None, dry_run, json)


def _labels(file: Path, session: str | None, evidence: str | None, json: bool) -> None:
    from ..labels import ingest_labels

    if session is None:
        raise typer.BadParameter(f"labels belong to a session: fieldbase ingest {KINDS['labels']}")
    added = ingest_labels(file, session, evidence=evidence)
    print_json(added.to_json()) if json else added.print(out)


def _files(sources, lab, mapping: Path | None, dry_run: bool, json: bool) -> None:
    from ..ingest import ingest as read
    from ..ingest import preview, read_mapping, register

    columns = read_mapping(mapping) if mapping else None
    if dry_run:
        rows = preview(sources, base=Path.cwd(), lab=lab)
        shown = ("path", "size", "layout", "lfp", "channels", "units", "registered")
    else:
        keys = register(sources, base=Path.cwd(), lab=lab, mapping=columns)
        with progress("reading", len(keys)) as on_file:
            rows = read(keys, on_file=on_file)
        shown = ("path", "status", "session", "layout", "lfp", "channels", "units", "trials")
    if json:
        print_json(rows)
    else:
        print_rows("", shown, [[_told(row)[name] for name in shown] for row in rows])
        for row in rows:
            for text in row["messages"]:
                show(f"{row['path']}: {text}")
    if any("error" in (row.get("status"), row["layout"]) for row in rows):
        raise typer.Exit(1)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A row as people read it."""
    names = row.get("sessions", [])
    size = row.get("bytes")
    return row | {
        "session": names[0] if len(names) == 1 else f"{len(names)} sessions" if names else None,
        "size": None if size is None else f"{size / 1e6:,.1f} MB",
    }


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
