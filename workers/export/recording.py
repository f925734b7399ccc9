"""A copy of a recording with the regions that stored predictions name in its electrode table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.nwb import write_regions
from schemas import prediction, recording, session, training, windows
from schemas._roots import data_roots, root_of
from schemas._sources import source_of

from ..locate import MODEL_WATERMARK, RECORDING_WATERMARK
from .study import ExportError, refuse_existing


def export_recording(
    name: str, target: Path, *, model: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Path:  # fmt: skip
    """Copy an NWB file and add the regions of its channels; nothing is computed.

    Parameters
    ----------
    name
        Path or URL of a registered file, or a session of which one file has predictions.
    model
        Registered model whose answers are written; None takes the only one there is.

    Raises
    ------
    ExportError
        If there is no such recording, none or several models answered, or the target is there.
    """
    target = Path(target)
    refuse_existing(target)
    answered = _answered(_files(name), name)
    file, answers = _choose_file(answered, name)
    chosen, predictions = _choose_model(answers, model, name)
    row = (session.NwbFile & {"nwb_file": file}).fetch1()
    target.parent.mkdir(parents=True, exist_ok=True)
    regions = _regions(predictions)
    marks = _watermark(predictions)
    path = write_regions(source_of(row), target, regions, model=chosen, watermark=marks)
    say(f"{len(regions)} channels by {chosen}")
    return path


def _files(name: str) -> list[str]:
    """Registered NWB files that a path, URL, or session stands for."""
    spoken = (recording.IngestionSession & {"session": name}).to_arrays("nwb_file")
    if len(spoken):
        return sorted(set(spoken))
    place: dict[str, Any] = {"root": None, "path": name}
    if "://" not in name:
        path = Path(name).expanduser().resolve()
        known = [folder.resolve() for folder in data_roots().values()]
        inside = any(path.is_relative_to(folder) for folder in known)
        place = dict(zip(("root", "path"), root_of(path), strict=True)) if inside else {"root": ""}
    rows = (session.NwbFile & {"path": place.get("path", name)}).to_dicts()
    found = [row for row in rows if row["root"] == place["root"] and row["file_kind"] == "nwb"]
    if not found:
        raise ExportError(f"{name} is no session and no registered file; ingest it first")
    latest = max(found, key=lambda row: row["revision"])
    return [latest["nwb_file"]]


def _answered(files: list[str], name: str) -> dict[str, list[dict[str, Any]]]:
    """Finished predictions of regions, by file."""
    asked = [{"nwb_file": file} for file in files]
    tasks = (
        prediction.PredictionTask
        * prediction.Prediction.proj("output")
        * windows.WindowsLfp.proj("nwb_file", "series")
        * training.TrainingTask.proj("model", "split", "fold", "seed")
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in (tasks & asked & {"output": "classes"}).to_dicts(order_by="prediction"):
        found.setdefault(row["nwb_file"], []).append(row)
    if not found:
        raise ExportError(
            f"no stored prediction names regions of {name}; `fieldbase locate` makes one"
        )
    return found


def _choose_file(answered: dict[str, list[dict[str, Any]]], name: str):
    if len(answered) > 1:
        paths = [(session.NwbFile & {"nwb_file": file}).fetch1("path") for file in sorted(answered)]
        raise ExportError(f"{len(answered)} files of {name} have predictions: name one of {paths}")
    return next(iter(answered.items()))


def _choose_model(answers: list[dict[str, Any]], model: str | None, name: str):
    """Name of a model, and its newest answer for each series."""
    names = {
        row["training"]: row["registered_model"] for row in training.RegisteredModel().to_dicts()
    }
    by_model: dict[str, dict[str, str]] = {}
    for row in answers:
        called = names.get(row["training"], row["training"][:12])
        by_model.setdefault(called, {})[row["series"]] = row["prediction"]
    wanted = model
    if wanted is None:
        named = [one for one in by_model if one in names.values()] or list(by_model)
        if len(named) > 1:
            raise ExportError(f"{len(named)} models answered about {name}: choose of {named}")
        wanted = named[0]
    if wanted not in by_model:
        raise ExportError(f"{wanted!r} has no answer about {name}; there are {sorted(by_model)}")
    return wanted, sorted(by_model[wanted].values())


def _regions(predictions: list[str]) -> dict[int, tuple[str | None, float | None]]:
    """Region and confidence by electrode id."""
    asked = [{"prediction": one} for one in predictions]
    rows = (prediction.Prediction.ChannelPrediction & asked).to_dicts(order_by="channel")
    return {row["channel"]: (row["predicted"], row["confidence"]) for row in rows}


def _watermark(predictions: list[str]) -> str | None:
    """What has to stand beside regions that come from, or are about, simulated data."""
    asked = [{"prediction": one} for one in predictions]
    told = (
        (prediction.PredictionTask & asked)
        * training.Training.proj("synthetic_training")
        * windows.WindowsTask.proj("session")
        * session.Session.proj("synthetic")
    ).to_dicts()
    if any(row["synthetic"] for row in told):
        return RECORDING_WATERMARK
    return MODEL_WATERMARK if any(row["synthetic_training"] for row in told) else None
