"""Run a study: ask, populate, ask for the next, populate. Twice does nothing twice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas import analysis, anatomy, dataset, embedding, prediction, recording, training, windows
from schemas._tables import among

from ..archive.asked import Asked
from ..archive.find import find
from ..archive.found import ArchiveAway
from ..ingest import SourceError, register
from ..making import make_rows
from ..register import register_study_model
from . import models, plan
from .progress import Step, count_epochs, epochs_left
from .spec import StudyError, StudySpec

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What came of a run: rows made and jobs that failed, by table, and what was left out.

    With `wait`, workers make the rows and the run waits for them.
    """

    made: dict[str, int] = field(default_factory=dict)
    failed: dict[str, list[tuple[dict[str, Any], str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    wait: bool = False


def run_study(
    spec: StudySpec, *, base: Path, device: str = "cpu", wait: bool = False,
    say: Say = lambda text: None,
    on_epoch: Callable[[Step], None] | None = None,
) -> Outcome:  # fmt: skip
    """Make every row a study asks for.

    Parameters
    ----------
    base
        Folder that relative recordings are relative to.
    device
        Where models are trained and asked: ``cpu``, ``cuda``.
    wait
        Compute nothing here: ask, and wait for workers.
    on_epoch
        Told after each epoch how far all trainings are.

    Raises
    ------
    StudyError
        If there is nothing to compute from, or an early stage failed altogether.
    """
    outcome = Outcome(wait=wait)
    plan.enter_study(spec)
    files = register_recordings(spec, base=base, notes=outcome.notes, say=say)
    _populate(recording.Ingestion, [{"nwb_file": f} for f in files], outcome, say)
    members = plan.request_windows(spec, files)
    outcome.notes += members.notes
    _populate(windows.Windows, [{"windows": name} for name in members.windows], outcome, say)
    _leave_out_failed(members, outcome)
    if spec.split is None or not spec.model:
        return outcome
    split = plan.request_dataset(spec, members)
    label_sets = [{"label_set": ls} for ls in members.windows.values() if ls is not None]
    if spec.data.labels is not None and not label_sets:
        raise StudyError(
            f"no channel of any recording has a label in the scheme {spec.data.labels}"
        )
    scheme = {"scheme": spec.data.labels}
    _populate(anatomy.ChannelLabel, [{**ls, **scheme} for ls in label_sets], outcome, say)
    _populate(dataset.Split, [{"split": split}], outcome, say)
    if not len(dataset.Split & {"split": split}):
        why = outcome.failed.get("Split", [({}, "its windows are not all there")])[0][1]
        raise StudyError(f"the data could not be split: {why}")
    models.request_trainings(spec, split)
    options: dict[str, Any] = {"device": device}
    if on_epoch is not None:
        tasks = plan.wanted(spec.study.name, "training_task")
        total = epochs_left([row["member"] for row in tasks])
        options["on_epoch"] = count_epochs(total, on_epoch)
    for _ in range(max(len(model.stages) for model in spec.model)):
        _wanted(spec, training.Training, "training", outcome, say, options)
    models.request_answers(spec, split)
    _wanted(spec, embedding.Embedding, "embedding", outcome, say, {"device": device})
    _wanted(spec, prediction.Prediction, "prediction", outcome, say, {"device": device})
    models.request_analyses(spec, split)
    for table in (
        analysis.Evaluation, analysis.LinearProbe, analysis.Silhouette, analysis.Control,
    ):  # fmt: skip
        _wanted(spec, table, table.tasks.key, outcome, say, {"device": device})
    _register(spec, outcome, say)
    return outcome


def register_recordings(
    spec: StudySpec, *, base: Path, notes: list[str], say: Say = lambda text: None
) -> list[str]:
    """Keys of the files that a study's recordings stand for, as the study's; nothing is read.

    Of recordings that it may lack, those that are not there are left out, and ``notes`` says so.

    Raises
    ------
    SourceError
        If another one is not there, or the archive does not answer.
    """
    data, asked, lacking = spec.data, Asked(), set()
    for name in data.may_lack:
        try:
            find([name], base=base, subjects=data.subjects, asked=asked)
        except ArchiveAway:
            raise
        except SourceError as error:
            lacking.add(name)
            notes.append(f"left out, as the study allows: {error}")
            say(notes[-1])
    there = [name for name in data.recordings if name not in lacking]
    try:
        files = register(
            there, base=base, lab=data.lab, mapping=data.mapping, subjects=data.subjects,
            notes=notes, asked=asked, say=say,
        )  # fmt: skip
    except SourceError as error:
        raise plan.not_here(data, error) from error
    say(f"{len(files)} files")
    for file in files:
        plan.remember(spec.study.name, "nwb_file", file)
    return files


def _register(spec: StudySpec, outcome: Outcome, say: Say) -> None:
    """Name the study's best model for `locate`; a name that cannot be given costs no result."""
    name = spec.study.registered
    if name is None:
        return
    known = len(training.RegisteredModel & {"registered_model": name})
    try:
        card = register_study_model(spec.study.name, name)
    except (LookupError, ValueError) as error:  # a StudyError is a ValueError
        outcome.notes.append(str(error))
        return
    if not known:
        outcome.made["RegisteredModel"] = 1
        say(f"model {name} registered for `fieldbase locate`: {card['study_model']}")


def _leave_out_failed(members: plan.Members, outcome: Outcome) -> None:
    """A recording whose windows could not be cut costs itself, not the study."""
    asked = [{"windows": name} for name in members.windows]
    usable = set((windows.Windows & asked & "n_windows > 0").to_arrays("windows"))
    told = {key["windows"]: text for key, text in outcome.failed.get("Windows", ())}
    for name in set(members.windows) - usable:
        session = (windows.WindowsTask & {"windows": name}).fetch1("session")
        outcome.notes.append(f"{session}: {told.get(name, 'no window fits')}; left out")
        del members.windows[name]
    if not members.windows:
        raise StudyError("no recording has windows:\n  " + "\n  ".join(outcome.notes))


def _wanted(spec, table, key: str, outcome: Outcome, say: Say, options: dict[str, Any]) -> None:
    tasks = plan.wanted(spec.study.name, f"{key}_task")
    _populate(table, [{key: row["member"]} for row in tasks], outcome, say, options)


def _populate(table, keys, outcome: Outcome, say: Say, options: dict[str, Any] | None = None):
    name = table.__name__
    if not keys:
        return
    left = len(table().key_source & among(keys)) - len(table & among(keys))
    if left <= 0:
        return
    say(f"{name}: {left} to make")
    done = make_rows(table, keys, options=options, wait=outcome.wait, say=say)
    outcome.made[name] = outcome.made.get(name, 0) + done.made
    if done.failed:
        outcome.failed.setdefault(name, []).extend(done.failed)
        for key, message in done.failed:
            say(f"{name} {next(iter(key.values()))}: {message}")
