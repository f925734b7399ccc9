"""The verb remove: what goes with a file, session, subject, training or study, and away with it."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from .show import print_json, print_rows, say, show

Kind = StrEnum("Kind", ["file", "session", "subject", "training", "study"])


def remove(
    kind: Annotated[Kind, typer.Argument(help="What is to be removed.")],
    name: Annotated[
        str,
        typer.Argument(
            help="A file's path as `ingest` shows it, a session's or subject's id, a study's name, "
            "a training's digest or STUDY/MODEL."
        ),
    ],
    apply: Annotated[bool, typer.Option("--apply", "--yes", help="Remove what is listed.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what goes with a file, session, subject, training or study; remove it with --apply."""
    import schemas

    from ..remove import plan_removal
    from ..remove import remove as run_removal

    schemas.activate(create=False)
    plan = run_removal(kind.value, name, say=say) if apply else plan_removal(kind.value, name)
    if json:
        print_json(plan.to_json() | {"removed": apply})
        return
    _show(plan)
    count = f"{sum(plan.rows.values())} rows, {len(plan.objects)} objects, {plan.n_bytes} bytes"
    show(f"{'removed' if apply else 'to remove'}: {count}")
    if not apply:
        show("nothing was removed; `--apply` removes")


def _show(plan: Any) -> None:
    show(plan.told)
    if plan.rows:
        print_rows("", ["table", "rows"], list(plan.rows.items()))
    for one in plan.studies:
        show(f"study {one['study']} loses {one['tasks']} of {one['of']} tasks")
    for text in _told("training", [name[:12] for name in plan.trainings]):
        show(text)
    for text in _told("registered model", plan.models):
        show(text)
    for path in plan.read_again:
        show(f"{path} shares probes with it and is read again")
    for text in plan.labels:
        show(f"labels given by hand go: {text}")
    for text in plan.notes:
        show(text)
    for text in plan.in_use:
        show(f"in use: {text}")


def _told(what: str, names: list[str]) -> list[str]:
    listed = f"{', '.join(names[:8])}{', …' * (len(names) > 8)}"
    return [f"{what}s that go: {listed}"] if names else []
