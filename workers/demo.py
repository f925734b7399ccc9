"""From nothing to a finished report and a located recording, in a synthetic laboratory."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from pipeline.synthetic import LabParams, write_sessions

from .located import Located
from .study.progress import Step
from .study.report import write_report
from .study.run import run_study
from .study.spec import StudyError, read_study

LAB = LabParams(layout="allen", subjects=5, channels=48, duration_s=40.0, seed=8)
"""The first seed at which all four subjects of the study have all four regions.

The fifth subject is never in the study: it is what `locate` is shown on.
"""


@dataclass(frozen=True)
class Demo:
    """What a demo leaves in its folder.

    Attributes
    ----------
    report
        The study's page.
    study
        The study's TOML file.
    recording
        The probe file of the mouse that no model heard.
    located
        What `locate` said about it.
    """

    report: Path
    study: Path
    recording: Path
    located: Located

    @property
    def agreement(self) -> tuple[int, int, int]:
        """Channels named as simulated, channels named, and channels with a simulated region."""
        table = self.located.channels
        known = table[table["region_file"].notna()]
        named = known[known["region_pred"] != "unknown"]
        return int((named["region_pred"] == named["region_file"]).sum()), len(named), len(known)


def run_demo(
    folder: Path,
    *,
    device: str,
    say: Callable[[str], None],
    on_epoch: Callable[[Step], None] | None = None,
    lab: LabParams = LAB,
) -> Demo:
    """Simulate, ingest, train, embed, predict, analyse, report, locate.

    Parameters
    ----------
    folder
        Gets the recordings, the study file, the report and the located recording; a part that
        is there is not made again.
    """
    from .locate import locate

    folder = folder.expanduser().resolve()
    recordings, new = folder / "recordings", folder / "new-mouse"
    if not any(recordings.glob("*.nwb")) or not any(new.glob("*.nwb")):
        say(f"simulating {lab.subjects} recordings (synthetic: no animal) in {folder}")
        _record(lab, recordings, new)
    study = folder / "demo.toml"
    if not study.exists():
        with as_file(files("workers") / "demo.toml") as shipped:
            shutil.copy(shipped, study)
    spec = read_study(study)
    done = run_study(spec, base=folder, device=device, say=say, on_epoch=on_epoch)
    for table, errors in done.failed.items():
        raise StudyError(f"the demo failed in {table}: {errors[0][1]}")
    say("writing the report")
    page = write_report(spec, folder / "report.html")
    recording = next(new.glob("*_ecephys.nwb"))
    say("locating a mouse that no model has heard")
    located = locate(
        str(recording), model=spec.study.registered, out=folder / "located", device=device
    )
    return Demo(page, study, recording, located)


def _record(lab: LabParams, recordings: Path, new: Path) -> None:
    """Write the laboratory; its last subject apart from the others."""
    fresh = recordings.with_name("recordings.part")
    shutil.rmtree(fresh, ignore_errors=True)
    for number, paths in enumerate(write_sessions(fresh, lab)):
        target = new if number == lab.subjects - 1 else recordings
        target.mkdir(parents=True, exist_ok=True)
        for path in paths:
            path.rename(target / path.name)
    shutil.rmtree(fresh)
