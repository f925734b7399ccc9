"""What the command prints: tables and progress for people, JSON for programs.

No password leaves through here, whatever a message quotes.
"""

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from pipeline.redact import redact


class _Console(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        """As `rich.console.Console.print`, without the passwords in a text."""
        super().print(*(redact(o) if isinstance(o, str) else o for o in objects), **options)


out = _Console(highlight=False)
err = _Console(stderr=True, highlight=False)


def complain(text: str) -> None:
    """One message on standard error."""
    err.print("[red]fieldbase:[/]", end=" ")
    err.print(text, markup=False, soft_wrap=True)


def show(text: str) -> None:
    """One line of the answer on standard output, never broken: it may be a line to copy."""
    out.print(text, markup=False, soft_wrap=True)


def say(text: str) -> None:
    """One line of progress on standard error, where it does not disturb what is piped."""
    err.print(text, markup=False, style="dim", soft_wrap=True)


def keep_secrets() -> None:
    """Take passwords out of what is logged, and of the traceback of an error nobody expected."""
    make = logging.getLogRecordFactory()

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make(*args, **kwargs)
        made.msg, made.args = redact(made.getMessage()), ()
        return made

    def tell(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    logging.setLogRecordFactory(record)
    sys.excepthook = tell


def print_json(value: Any) -> None:
    """JSON on standard output; dates and paths as text."""
    print(redact(json.dumps(value, indent=1, default=str)))


def print_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table of text on standard output."""
    out.print(table_of(title, columns, rows))


def table_of(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table of text."""
    headers = [Column(name, overflow="fold" if name == "path" else "ellipsis") for name in columns]
    table = Table(*headers, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*[_cell(value) for value in row])
    return table


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape(f"{value:.3g}" if isinstance(value, float) else redact(str(value)))


@contextmanager
def progress(doing: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar over `total` things; yields what is called with the name of each before it is done."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=err, transient=True,
    ) as shown:  # fmt: skip
        bar = shown.add_task(doing, total=total, completed=-1)

        def on_next(name: str) -> None:
            place = escape(name.rpartition("/")[2])
            shown.update(bar, advance=1, description=f"{doing} {place}")

        yield on_next


@contextmanager
def training_progress() -> Iterator[Callable[[Any], None]]:
    """A bar over all trainings; yields what ``run_study`` calls after each epoch."""
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"),
        TimeElapsedColumn(), console=err, transient=True,
    ) as progress:  # fmt: skip
        bar = progress.add_task("working", total=None, left="")

        def on_epoch(step: Any) -> None:
            ended = step.done >= step.total
            loss = step.record.train_loss
            progress.update(
                bar, completed=step.done, total=None if ended else step.total,
                description="working" if ended
                else f"training: epoch {step.done} of {step.total}, loss {loss:.3f}",
                left="" if ended else f"about {_spell(step.seconds_left)} of training left",
            )  # fmt: skip

        yield on_epoch


def _spell(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
