"""A training written down for other processes: model, windows, parameters. Arrays stay maps."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..models import FoundationModel
from ..recording import WindowSet
from .batches import POSITION
from .checkpoint import load_checkpoint, save_checkpoint, write_json
from .parameters import FitParams

JOB, START = "job.json", "start"
ARRAYS = ("start_s", "valid", "lfp", "spikes", "behavior", "features")
FACTS = ("windows", "session", "subject", "source", "window_s", "rate", "bin_s", "synthetic")


@dataclass(frozen=True)
class Job:
    """What every process of a training is told.

    Attributes
    ----------
    folder
        Where the state and the checkpoint of the training go.
    device
        ``cpu`` or ``cuda``: then each process takes the GPU of its local rank.
    rows
        How many rows of a batch a process computes together; None all of its part.
    """

    params: FitParams
    seed: int
    device: str
    folder: Path
    rows: int | None = None
    resume: bool = True


def write_job(
    place: Path,
    job: Job,
    model: FoundationModel,
    train: Sequence[WindowSet],
    validation: Sequence[WindowSet],
) -> None:
    """Write everything the processes need into an emptied folder."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    save_checkpoint(place / START, model, {})
    sets = {
        role: [_write_windows(place, f"{role}-{i}", w) for i, w in enumerate(windowsets)]
        for role, windowsets in (("train", train), ("validation", validation))
    }
    write_json(place / JOB, {**_facts(job), **sets})


def rewrite_job(place: Path, job: Job) -> None:
    """Tell the processes of the next try something else about the same model and windows."""
    told = json.loads((place / JOB).read_text())
    write_json(place / JOB, {**told, **_facts(job)})


def read_job(
    place: Path,
) -> tuple[Job, FoundationModel, list[WindowSet], list[WindowSet]]:
    """The job, its model as it was before the first step, training and validation windows."""
    told = json.loads((place / JOB).read_text())
    job = Job(
        params=FitParams.from_json(told["params"]),
        seed=told["seed"],
        device=told["device"],
        folder=Path(told["folder"]),
        rows=told["rows"],
        resume=told["resume"],
    )
    train, validation = (
        [_read_windows(place, each) for each in told[role]] for role in ("train", "validation")
    )
    return job, load_checkpoint(place / START), train, validation


def _facts(job: Job) -> dict[str, Any]:
    return {
        "params": job.params.to_json(),
        "seed": job.seed,
        "device": job.device,
        "folder": str(job.folder.absolute()),
        "rows": job.rows,
        "resume": job.resume,
    }


def _write_windows(place: Path, name: str, windowset: WindowSet) -> dict[str, Any]:
    columns = [c for c in ("region", "probe", *POSITION) if c in windowset.channels]
    windowset.channels[columns].to_parquet(place / f"{name}.channels.parquet")
    if windowset.units is not None:
        names = windowset.units.get("region", [None] * len(windowset.units))
        pd.DataFrame({"region": list(names)}).to_parquet(place / f"{name}.units.parquet")
    arrays = {field: getattr(windowset, field) for field in ARRAYS}
    written = {
        field: _write_array(place / f"{name}.{field}.npy", array)
        for field, array in arrays.items()
        if array is not None
    }
    return {
        "name": name,
        "facts": {field: _plain(getattr(windowset, field)) for field in FACTS},
        "arrays": written,
    }


def _read_windows(place: Path, told: dict[str, Any]) -> WindowSet:
    units = place / f"{told['name']}.units.parquet"
    facts = {k: float("nan") if v is None else v for k, v in told["facts"].items()}
    return WindowSet(
        **facts,
        **{field: _read_array(where) for field, where in told["arrays"].items()},
        channels=pd.read_parquet(place / f"{told['name']}.channels.parquet"),
        units=pd.read_parquet(units) if units.exists() else None,
    )


def _write_array(path: Path, array: np.ndarray) -> dict[str, Any]:
    """Where the array lies: in the file it is a map of, else in one written here."""
    if isinstance(array, np.memmap) and not isinstance(array.base, np.ndarray):
        where = {"offset": array.offset, "order": "C" if array.flags.c_contiguous else "F"}
        shape = {"shape": list(array.shape), "dtype": array.dtype.str}
        return {"map": str(Path(array.filename).absolute()), **where, **shape}
    np.save(path, array)
    return {"npy": str(path.absolute())}


def _read_array(where: dict[str, Any]) -> np.ndarray:
    if "npy" in where:
        return np.load(where["npy"], mmap_mode="r")
    return np.memmap(
        where["map"],
        dtype=np.dtype(where["dtype"]),
        mode="r",
        offset=where["offset"],
        shape=tuple(where["shape"]),
        order=where["order"],
    )


def _plain(value: Any) -> Any:
    """NaN as None; NumPy numbers as Python's."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value
