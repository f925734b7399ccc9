"""Verbs of the panel *run*: ingest, worker, status, errors, retry."""

import re
import time
from typing import Annotated, Any

import typer

from .ingest import ingest
from .show import out, print_json, print_rows, say, show, table_of

PANEL = "Run"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Table = Annotated[str | None, typer.Option(help="Only this table, e.g. Training.")]
Like = Annotated[str | None, typer.Option(help="Only messages or files that hold this text.")]
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the command."""
    for verb in (ingest, worker, status, errors, retry):
        app.command(rich_help_panel=PANEL)(verb)


def worker(
    lane: Annotated[
        list[str], typer.Option(help="io, cpu, gpu or all; may be repeated or joined by commas.")
    ],
    study: Annotated[str | None, typer.Option(help="Take only this study's jobs.")] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Leave when nothing is left to do.")
    ] = False,
    max_time: Annotated[
        str | None, typer.Option(help="Leave after this time: 3600, 90m, 2h30m.")
    ] = None,
    grace: Annotated[
        float, typer.Option(help="What a job may take once the worker is to stop (s).")
    ] = 8.0,
    poll: Annotated[float, typer.Option(help="How often to look for new jobs (s).")] = 5.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    gpus: Annotated[int, typer.Option(min=1, help="GPUs that one training runs on.")] = 1,
    json: Json = False,
) -> None:
    """Make what is pending in a lane until told to stop; any number, on any machine."""
    import schemas
    from schemas._definitions import refuse_other

    from ..lanes import parse_lanes
    from ..loop import Orders, run_worker

    orders = Orders(
        lanes=parse_lanes(lane), study=study, device=device, gpus=gpus, until_idle=until_idle,
        max_time_s=None if max_time is None else parse_time(max_time), grace_s=grace, poll_s=poll,
    )  # fmt: skip
    schemas.activate(create=False)
    refuse_other()
    done = run_worker(orders, say=say, on_job=lambda ended: say(_told(ended)))
    if json:
        print_json(vars(done))
    else:
        tables = sorted({*done.made, *done.failed, *done.put_off})
        counts = [
            [t, *(c.get(t, 0) for c in (done.made, done.failed, done.put_off))] for t in tables
        ]
        print_rows(
            f"worker {done.worker}: {done.left}", ["table", "made", "failed", "put off"], counts
        )
    if done.failed:
        raise typer.Exit(1)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again.")] = False,
    study: Annotated[str | None, typer.Option(help="Only what this study asked for.")] = None,
    every: Annotated[float, typer.Option(help="With --watch: how often (s).")] = 2.0,
    json: Json = False,
) -> None:
    """How far each table is, how fast, and who works on it."""
    import schemas

    from ..status import table_status, workers_at_work

    schemas.activate(create=False)
    if json:
        print_json({"tables": table_status(study), "workers": workers_at_work()})
        while watch:
            time.sleep(every)
            print_json({"tables": table_status(study), "workers": workers_at_work()})
        return
    if not watch:
        for view in _views(table_status(study), workers_at_work()):
            out.print(view)
        return
    from rich.console import Group
    from rich.live import Live

    with Live(console=out, screen=False, auto_refresh=False) as live:
        while True:
            live.update(Group(*_views(table_status(study), workers_at_work())), refresh=True)
            time.sleep(every)


def errors(table: Table = None, like: Like = None, json: Json = False) -> None:
    """What failed, of what, and the way out."""
    import schemas

    from ..status import errors as find

    schemas.activate(create=False)
    rows = find(table, like)
    if json:
        print_json(rows)
        return
    if not rows:
        show("no job has failed")
    for row in rows:
        about = row["file"] or " ".join(f"{n}={str(v)[:12]}" for n, v in row["key"].items())
        tries = (
            f", try {row['tries']}, next {row['next_try']:%H:%M:%S} UTC" if row["next_try"] else ""
        )
        show(f"{row['table']} {about} ({row['kind']}, {row['stage']}{tries})")
        show(f"    {row['message']}")
        if row["way_out"]:
            show(f"    → {row['way_out']}")


def retry(table: Table = None, like: Like = None, json: Json = False) -> None:
    """Let failed jobs be tried again; without options, all of them."""
    import schemas

    from ..status import retry as release

    schemas.activate(create=False)
    count = release(table, like)
    print_json({"pending": count}) if json else show(f"{count} jobs are pending again")


def parse_time(text: str) -> float:
    """Seconds of ``3600``, ``90m``, ``2h30m``, ``1d`` or ``HH:MM:SS``.

    >>> parse_time("2h30m"), parse_time("01:00:05"), parse_time("90")
    (9000.0, 3605.0, 90.0)
    """
    if re.fullmatch(r"\d+(:\d\d){1,2}", text):
        parts = [int(part) for part in text.split(":")]
        return float(sum(part * 60**i for i, part in enumerate(reversed(parts))))
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not re.fullmatch(r"(\d+[dhms])+", text):
        raise typer.BadParameter(f"a time is 3600, 90m, 2h30m or 01:30:00; got {text!r}")
    return float(sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([dhms])", text)))


def _told(ended: Any) -> str:
    """One line of a worker's log."""
    about = " ".join(str(value)[:12] for value in ended.key.values())
    at = time.strftime("%H:%M:%S")
    if ended.failure is None:
        took = "" if ended.seconds is None else f" in {ended.seconds:.1f} s"
        return f"{at} {ended.table} {about}: made{took}"
    return f"{at} {ended.table} {about}: {ended.failure.kind}, {ended.failure.message}"


def _views(tables: list[dict[str, Any]], workers: list[dict[str, Any]]) -> list[Any]:
    """The tables of `status`."""
    names = ("table", "done", "pending", "running", "failed", "per minute", "left")
    rows = [
        [r["table"], r["done"], r["pending"], r["running"], r["failed"], _rate(r["rate"]),
         _spell(r["seconds_left"])]
        for r in tables
    ]  # fmt: skip
    views = [table_of("", names, rows)]
    if workers:
        names = ("worker", "lane", "device", "making", "for", "last sign of life")
        rows = [
            [w["worker"], w["lane"], w["device"], w["job"], _spell(w["job_s"]),
             f"{_spell(w['heartbeat_s'])} ago"]
            for w in workers
        ]  # fmt: skip
        views.append(table_of("", names, rows))
    return views


def _rate(per_minute: float | None) -> str | None:
    if per_minute is None:
        return None
    return f"{per_minute:,.0f}" if per_minute >= 100 else f"{per_minute:.3g}"


def _spell(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
