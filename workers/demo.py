"""From nothing to a finished report: a synthetic laboratory, recorded and located."""

import shutil
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import schemas
from pipeline.synthetic import write_lab

from .study.report import write_report
from .study.run import run_study
from .study.spec import StudyError, read_study

SUBJECTS, CHANNELS, SECONDS, SEED = 4, 32, 60.0, 2


def run_demo(
    folder: Path, *, device: str, say: Callable[[str], None], on_epoch: Callable | None = None
) -> Path:
    """Simulate, ingest, train, embed, predict, analyse; the path of the report.

    Parameters
    ----------
    folder
        Gets the recordings, the study file and the report; a finished part is not made again.
    """
    folder = folder.expanduser().resolve()
    recordings = folder / "recordings"
    if not any(recordings.glob("*.nwb")):
        say(f"simulating {SUBJECTS} recordings (synthetic: no animal) in {recordings}")
        fresh = folder / "recordings.part"
        shutil.rmtree(fresh, ignore_errors=True)
        write_lab(
            fresh,
            layout="allen",
            subjects=SUBJECTS,
            channels=CHANNELS,
            duration_s=SECONDS,
            seed=SEED,
        )
        _flatten(fresh, recordings)
    study = folder / "demo.toml"
    if not study.exists():
        with as_file(files("workers") / "demo.toml") as shipped:
            shutil.copy(shipped, study)
    schemas.activate()
    spec = read_study(study)
    done = run_study(spec, base=folder, device=device, say=say, on_epoch=on_epoch)
    for table, errors in done.failed.items():
        raise StudyError(f"the demo failed in {table}: {errors[0][1]}")
    return write_report(spec, folder / "report.html")


def _flatten(fresh: Path, target: Path) -> None:
    """Move the files of a finished laboratory into one folder."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(fresh.rglob("*.nwb")):
        path.rename(target / path.name)
    shutil.rmtree(fresh)
