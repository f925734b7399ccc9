"""The verb ingest: recordings, labels or embeddings into the tables."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .show import out, print_json, print_rows, progress, say, show

KINDS = {
    "labels": "labels FILE --for SESSION",
    "embeddings": "embeddings FILE --mapping FILE.toml",
}
"""What can be ingested besides recordings, and how it is asked for."""


def ingest(
    source: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs or URLs; FILE.h5::GLOB of lfpack; dandi:000022, "
            "dandi:000022@VERSION/GLOB, allen:SESSION, ibl:EID; or: labels FILE; or: "
            "embeddings FILE."
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is there.")] = False,
    lab: Annotated[str | None, typer.Option(help="Laboratory, if the files do not say.")] = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--download",
            help="Read remote files where they are (the default), or keep a copy, checked where "
            "there is a checksum.",
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder for copies of remote files; implies --download.")
    ] = None,
    revise: Annotated[
        bool, typer.Option("--revise", help="Register changed files anew, beside the old.")
    ] = False,
    session: Annotated[str | None, typer.Option("--for", help="labels: whose session.")] = None,
    evidence: Annotated[
        str | None, typer.Option(help="labels: histology, target, coordinates or expert.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="embeddings: TOML that says which column is what.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="embeddings: name of the model that made them.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="embeddings: licence under which they may be used.")
    ] = None,
    origin: Annotated[
        str | None, typer.Option(help="embeddings: where they are from, address or citation.")
    ] = None,
    subjects: Annotated[
        str | None,
        typer.Option(
            help="lfpack's files: table (CSV, parquet) that says whose each recording is, with "
            "columns pid, subject and, where known, eid, lab, probe; `each`: each its own."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read recordings, labels or embeddings into the tables."""
    import schemas

    from ..ingest import stand
    from ..vectors import find_embeddings, read_mapping

    kind, given = source[0], source[1:]
    if kind in KINDS and len(given) != 1 and not Path(kind).exists():
        raise typer.BadParameter(f"`{kind}` takes one file: fieldbase ingest {KINDS[kind]}")
    if stream and to:
        raise typer.BadParameter("--stream keeps no copy, --to says where copies go: give one")
    schemas.activate()
    if kind == "labels" and given:
        return _labels(Path(given[0]), session, evidence, json)
    columns = None
    facts = {"model": model, "licence": licence, "origin": origin}
    if kind == "embeddings" and given:
        source = find_embeddings(given, base=Path.cwd())
        columns = read_mapping(mapping, facts)
    elif mapping or any(facts.values()):
        raise typer.BadParameter(
            "--mapping, --model, --licence and --origin are about vectors made elsewhere: "
            f"fieldbase ingest {KINDS['embeddings']}"
        )
    standings = stand(source, base=Path.cwd(), mapping=columns, subjects=subjects, say=say)
    keep = to is not None or stream is False
    if dry_run:
        rows = _look(standings, revise, json)
    else:
        rows = _read(standings, lab, keep, to, revise, json)
    if any("error" in (row.get("status"), row["layout"]) for row in rows) or (
        not dry_run and any(row["status"] == "changed" for row in rows)
    ):
        raise typer.Exit(1)


def _labels(file: Path, session: str | None, evidence: str | None, json: bool) -> None:
    from ..labels import ingest_labels

    if session is None:
        raise typer.BadParameter(f"labels belong to a session: fieldbase ingest {KINDS['labels']}")
    added = ingest_labels(file, session, evidence=evidence)
    print_json(added.to_json()) if json else added.print(out)


def _look(standings, revise: bool, json: bool) -> list[dict[str, Any]]:
    from ..archive.found import total_bytes
    from ..archive.preview import preview

    rows = preview(standings)
    if revise:
        _add_revisions(rows, _say_revisions(standings))
    if json:
        print_json(rows)
        return rows
    columns = ("path", "size", "layout", "lfp", "channels", "units", "registered", "copy")
    _print(rows, columns)
    new = total_bytes(one.found for one in standings if one.state != "same")[0]
    total = total_bytes(one.found for one in standings)[0]
    show(f"{len(rows)} files, {_size(total)}; of these not registered yet: {_size(new)}")
    return rows


def _read(standings, lab, keep: bool, to: Path | None, revise: bool, json: bool):
    from ..archive.download import keep_copies, missing_copies, tell_unchecked
    from ..ingest import enter_all
    from ..ingest import ingest as read

    revisions = _say_revisions(standings) if revise else {}
    remote = [one.found for one in standings if one.found.remote]
    if remote and keep:  # refuse before anything is registered: a worker would read it elsewhere
        missing_copies([one.as_row for one in standings], to=to)
    done = enter_all(standings, lab=lab, revise=revise)
    failed: dict[str, str] = {}
    unchecked: dict[str, str] = {}
    if remote and keep:
        with progress("downloading", len(remote)) as on_file:
            failed = keep_copies(done.keys, to=to, on_file=on_file)
        unchecked = tell_unchecked([key for key in done.keys if key not in failed])
    elif remote:
        size = _size(sum(one.bytes or 0 for one in remote))
        say(f"{len(remote)} remote files ({size}) are read where they are; --download keeps copies")
    wanted = [key for key in done.keys if key not in done.changed and key not in failed]
    with progress("reading", len(wanted)) as on_file:
        rows = read(wanted, on_file=on_file, say=say)
    rows += [_not_read(key, "changed", text) for key, text in done.changed.items()]
    rows += [_not_read(key, "error", text) for key, text in failed.items()]
    rows.sort(key=lambda row: row["path"])
    for row in rows:
        row["messages"] += [unchecked[row["path"]]] if row["path"] in unchecked else []
    _add_revisions(rows, revisions)
    if json:
        print_json(rows)
    else:
        _print(rows, ("path", "status", "session", "layout", "lfp", "channels", "units", "trials"))
    return rows


def _not_read(key: str, status: str, text: str) -> dict[str, Any]:
    from schemas import session

    from ..archive.found import told_path

    counts = dict.fromkeys(("lfp", "channels", "units", "trials"))
    row = (session.NwbFile & {"nwb_file": key}).fetch1()
    path = told_path(row["path"], row["mapping"], row["file_kind"])
    return {
        "path": path, "status": status, "sessions": [], "layout": None, **counts,
        "warnings": 0, "messages": [text],
    }  # fmt: skip


def _say_revisions(standings) -> dict[str, dict[str, Any]]:
    """What differs in each changed file, and what was computed from it as it was; by path."""
    from ..archive.dependants import results_of, say_results, studies_of
    from ..archive.found import told_path

    found = {}
    for one in standings:
        if one.state == "changed":
            files = [one.row["nwb_file"]]
            results, studies = results_of(files), studies_of(files)
            say(
                f"{one.found.source}: {', '.join(one.differences)}; of revision "
                f"{one.row['revision']}, which stays: {say_results(results, studies)}"
            )
            path = told_path(one.found.path, one.found.mapping, one.found.file_kind)
            found[path] = {
                "revises": one.row["revision"], "differs": list(one.differences),
                "depends": results, "studies": studies,
            }  # fmt: skip
    return found


def _add_revisions(rows: list[dict[str, Any]], revisions: dict[str, dict[str, Any]]) -> None:
    for row in rows:
        row.update(revisions.get(row["path"], {}))


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    print_rows("", columns, [[_told(row)[name] for name in columns] for row in rows])
    for row in rows:
        for text in row["messages"]:
            show(f"{row['path']}: {text}")


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A row as people read it."""
    names = row.get("sessions", [])
    size = row.get("bytes")
    return row | {
        "session": names[0] if len(names) == 1 else f"{len(names)} sessions" if names else None,
        "size": None if size is None else _size(size),
    }


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.1f} MB"
