"""Verbs of the panel *use*: demo, locate, study."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .show import out, print_json, print_rows, say, show, training_progress

PANEL = "Use"
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[str, typer.Option(help="Where models run: auto, cpu, cuda.")]
Study = Annotated[Path, typer.Argument(metavar="FILE", help="A study's TOML file.")]
Twin = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Run its twin instead, on recordings simulated in FOLDER."),
]
Only = Annotated[list[str] | None, typer.Option(help="Only this variant; may be repeated.")]


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
    file: Annotated[str, typer.Argument(help="An NWB file, a URL, FILE.h5::RECORDING.")],
    model: Annotated[
        str | None,
        typer.Option(help="A registered model's name, or a training's DIGEST or DIGEST@STUDY."),
    ] = None,
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


def plan(file: Study, twin: Twin = None, only: Only = None, json: Json = False) -> None:
    """What running the study would read and compute."""
    import schemas

    from ..archive.asked import Asked
    from ..archive.found import SourceError
    from ..study.cost import plan_study

    experiment, base = _read(file, twin, only)
    schemas.activate()
    planned, errors, asked = [], [], Asked()
    for spec in experiment.specs:
        try:
            planned.append(plan_study(spec, base=base, asked=asked))
        except SourceError as error:
            errors.append(error)
            planned.append({"study": spec.study.name, "error": str(error)})
    if len(errors) == len(planned):
        raise errors[0]
    if json:
        print_json(planned if len(planned) > 1 else planned[0])
        return
    _show_recordings(planned)
    for one in planned:
        if "error" in one:
            out.print(f"study {one['study']}: {one['error']}", markup=False)
            continue
        rows = [[k, *v] for k, v in one["jobs"].items()]
        print_rows(f"study {one['study']}", ["table", "to make", "there"], rows)
        for text in one["notes"]:
            out.print(text, markup=False)


def _show_recordings(planned: list[dict[str, Any]]) -> None:
    """Recordings that are not all here, once for all studies; a size not known is null."""
    rows = {
        (r["name"], r["probe"] or r["path"]): r
        for one in planned for r in one.get("recordings", ())
    }  # fmt: skip
    if all(row["state"] == "found" for row in rows.values()):
        return
    shown = [
        [name, what or "null", row["subject"] or "null",
         "null" if row["bytes"] is None else row["bytes"], row["state"]]
        for (name, what), row in rows.items()
    ]  # fmt: skip
    print_rows("recordings", ["name", "probe or file", "subject", "bytes", "state"], shown)


def run(
    file: Study,
    twin: Twin = None,
    only: Only = None,
    device: Device = "auto",
    wait: Annotated[
        bool, typer.Option("--wait", help="Compute nothing here: ask, and wait for workers.")
    ] = False,
    json: Json = False,
) -> None:
    """Make every row a study asks for, beside what workers make; twice does nothing twice."""
    import schemas

    from ..study.run import run_study

    (experiment, base), device = _read(file, twin, only), _device(device, needed=not wait)
    schemas.activate()
    done = {}
    for spec in experiment.specs:
        with training_progress() as on_epoch:
            done[spec.study.name] = run_study(
                spec, base=base, device=device, wait=wait, say=say, on_epoch=on_epoch
            )
    if json:
        told = {k: {"made": v.made, "failed": v.failed, "notes": v.notes} for k, v in done.items()}
        print_json(told if len(told) > 1 else next(iter(told.values())))
    else:
        for name, outcome in done.items():
            _show_outcome(name, outcome)
    if any(outcome.failed for outcome in done.values()):
        raise typer.Exit(1)


def _show_outcome(name: str, done: Any) -> None:
    print_rows(f"study {name}", ["table", "made"], sorted(done.made.items()))
    for text in done.notes:
        out.print(f"note: {text}", markup=False)
    for table, errors in done.failed.items():
        for key, message in errors:
            out.print(f"failed: {table} {next(iter(key.values()))}: {message}", markup=False)


def report(
    file: Study,
    twin: Twin = None,
    only: Only = None,
    to: Annotated[Path | None, typer.Option(help="The HTML file to write.")] = None,
) -> None:
    """Write the study's report: one self-contained HTML file, or one and a page over several.

    A study with published values has a page, too, that sets them beside ours.
    """
    import schemas

    from ..study.compare import write_experiment
    from ..study.report import write_report

    experiment, _ = _read(file, twin, only)
    schemas.activate()
    target = to or Path(f"{experiment.name}.html")
    alone = len(experiment.members) == 1 and not experiment.members[0].arm
    if alone and not experiment.published:
        pages = [write_report(experiment.specs[0], target)]
    else:
        pages = write_experiment(experiment, target)
    out.print(f"report: {pages[0]}")


def _read(file: Path, twin: Path | None, only: list[str] | None) -> tuple[Any, Path]:
    """The experiment in a file, and the folder its recordings are relative to."""
    from ..study.experiment import read_experiment, simulate

    experiment = read_experiment(file, twin=twin is not None, only=only or ())
    if twin is None:
        return experiment, file.resolve().parent
    simulate(experiment, twin, say)
    return experiment, twin.resolve()


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
