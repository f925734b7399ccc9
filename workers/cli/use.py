"""Verbs of the panel *use*: demo, locate, study."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .show import out, print_json, print_rows, say, show, training_progress

PANEL = "Use"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[str, typer.Option(help="Where models run: auto, cpu, cuda.")]
Study = Annotated[Path, typer.Argument(metavar="FILE", help="A study's TOML file.")]


def add_to(app: typer.Typer) -> None:
    """Add these verbs to the command."""
    app.command(rich_help_panel=PANEL)(demo)
    app.command(rich_help_panel=PANEL)(locate)
    studies = typer.Typer(no_args_is_help=True, help="Plan, run or report a study.")
    studies.command()(plan)
    studies.command()(run)
    studies.command()(report)
    app.add_typer(studies, name="study", rich_help_panel=PANEL)


def demo(
    folder: Annotated[Path, typer.Option("--to", help="Where recordings and report go.")] = Path(
        "fieldbase-demo"
    ),
    device: Device = "auto",
    install: Annotated[
        bool, typer.Option(help="Let pip install torch and transformers where they are missing.")
    ] = True,
) -> None:
    """From nothing to a finished report, on a synthetic laboratory."""
    from .. import extras

    if install:
        extras.install("torch", say)
    on = _device(device)
    import schemas

    from ..demo import run_demo

    schemas.activate()
    say("about three minutes on two cores, once; a part that is there is not made again")
    with training_progress() as on_epoch:
        made = run_demo(folder, device=on, say=say, on_epoch=on_epoch)
    for text in tell_demo(made):
        show(text)


def locate(
    file: Annotated[str, typer.Argument(help="An NWB file or URL.")],
    model: Annotated[str | None, typer.Option(help="A registered model's name.")] = None,
    to: Annotated[Path | None, typer.Option(help="Folder for picture and CSV.")] = None,
    write_nwb: Annotated[
        bool, typer.Option("--write-nwb", help="Also write a copy with the regions.")
    ] = False,
    allow_synthetic: Annotated[
        bool, typer.Option(help="Let a model trained on synthetic data answer; watermarked.")
    ] = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """A region and a confidence for each channel and unit, or "unknown"."""
    import schemas

    from ..locate import locate as run_locate

    schemas.activate()
    found = run_locate(
        file, model=model, out=to, write_nwb=write_nwb, allow_synthetic=allow_synthetic,
        device=_device(device, needed=False), say=say,
    )  # fmt: skip
    if json:
        print_json(found.to_json())
    else:
        found.print(out)


def plan(file: Study, json: Json = False) -> None:
    """What running the study would read and compute."""
    import schemas

    from ..study.cost import plan_study
    from ..study.spec import read_study

    schemas.activate()
    planned = plan_study(read_study(file), base=file.resolve().parent)
    if json:
        print_json(planned)
        return
    rows = [[k, *v] for k, v in planned["jobs"].items()]
    print_rows(f"study {planned['study']}", ["table", "to make", "there"], rows)
    for text in planned["notes"]:
        out.print(text, markup=False)


def run(
    file: Study,
    device: Device = "auto",
    wait: Annotated[
        bool, typer.Option("--wait", help="Compute nothing here: ask, and wait for workers.")
    ] = False,
    json: Json = False,
) -> None:
    """Make every row a study asks for, beside what workers make; twice does nothing twice."""
    import schemas

    from ..study.run import run_study
    from ..study.spec import read_study

    spec, device = read_study(file), _device(device, needed=not wait)
    schemas.activate()
    with training_progress() as on_epoch:
        done = run_study(
            spec, base=file.resolve().parent, device=device, wait=wait, say=say, on_epoch=on_epoch
        )
    if json:
        print_json({"made": done.made, "failed": done.failed, "notes": done.notes})
    else:
        print_rows(f"study {spec.study.name}", ["table", "made"], sorted(done.made.items()))
        for text in done.notes:
            out.print(f"note: {text}", markup=False)
        for table, errors in done.failed.items():
            for key, message in errors:
                out.print(f"failed: {table} {next(iter(key.values()))}: {message}", markup=False)
    if done.failed:
        raise typer.Exit(1)


def report(
    file: Study,
    to: Annotated[Path | None, typer.Option(help="The HTML file to write.")] = None,
) -> None:
    """Write the study's report: one self-contained HTML file."""
    import schemas

    from ..study.report import write_report
    from ..study.spec import read_study

    schemas.activate()
    spec = read_study(file)
    page = write_report(spec, to or Path(f"{spec.study.name}.html"))
    out.print(f"report: {page}")


def tell_demo(made: Any) -> list[str]:
    """Where things lie, and what to do next."""
    right, named, known = made.agreement
    return [
        "",
        f"report:   {made.report}",
        f"located:  {made.located.pictures[0]}",
        f"          a mouse no model has heard: {named} of {known} channels named, {right} of them "
        "as simulated",
        "All of it is synthetic: no animal was recorded.",
        "",
        "Next:",
        f"  fieldbase locate {made.recording}",
        f"  fieldbase study run {made.study}    (copy it to start a study of your own)",
        '  python: import schemas; schemas.activate(); schemas.scores("demo")',
        "  fieldbase status",
    ]


def _device(name: str, *, needed: bool = True) -> str:
    """The device to run on; a machine without torch is told so before anything is computed."""
    from ..extras import is_installed, need

    if needed:
        need("torch", "transformers")
    if name != "auto":
        return name
    if not is_installed("torch"):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
