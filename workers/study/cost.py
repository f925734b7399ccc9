"""What a study would read and compute, before it does."""

from pathlib import Path
from typing import Any

from schemas import recording, session

from ..ingest import describe, find_sources
from .plan import wanted
from .spec import StudySpec


def plan_study(spec: StudySpec, *, base: Path) -> dict[str, Any]:
    """Files and bytes to read, jobs per table, and windows to train on; inserts nothing.

    Jobs are exact for what has been ingested; files that nobody has read yet are counted as one
    recording of one subject each, and a note says so.
    """
    sources = find_sources(spec.data.recordings, base=base)
    files = [describe(s, lab=spec.data.lab, mapping=spec.data.mapping) for s in sources]
    keys = [{"nwb_file": row["nwb_file"]} for row in files]
    read = (recording.Ingestion & keys).to_dicts()
    unread = len(files) - len(read)
    notes = []
    if unread:
        notes.append(
            f"{unread} of {len(files)} files are not read yet: counted as one subject each"
        )
    subjects = _subjects(keys) + unread
    members = _members(keys, spec) + unread
    folds = _folds(spec, subjects, members)
    trainings = folds * sum(len(m.seeds) * len(m.stages) for m in spec.model)
    finals = folds * sum(len(m.seeds) for m in spec.model)
    probes = bool(spec.analyses.linear_probes or spec.analyses.silhouettes)
    jobs = {
        "Ingestion": (unread, len(read)),
        "Windows": _left(spec, "windows", members),
        "Training": _left(spec, "training", trainings),
        "Embedding": _left(spec, "embedding", finals * members if probes else 0),
        "Prediction": _left(spec, "prediction", finals * max(1, members // max(folds, 1))),
    }
    known = [row["bytes"] for row in files if row["bytes"] is not None]
    total = sum(known)
    notes.insert(0, f"{len(files)} files, {total / 2**20:,.1f} MiB on disk, {folds} folds")
    if len(known) < len(files):
        notes.append(f"{len(files) - len(known)} files are URLs of unknown size")
    epochs = sum(stage.epochs * len(m.seeds) for m in spec.model for stage in m.stages)
    notes.append(f"{trainings} trainings, {epochs * folds} epochs in all")
    return {"study": spec.study.name, "files": len(files), "bytes": total, "jobs": jobs,
            "notes": notes}  # fmt: skip


def _subjects(keys: list[dict[str, str]]) -> int:
    rows = (recording.IngestionSession * session.Session & keys).to_dicts()
    return len({(row["source"], row["subject"]) for row in rows})


def _members(keys: list[dict[str, str]], spec: StudySpec) -> int:
    if "features" in spec.data.modalities:
        return len(recording.FeatureSeries & keys)
    if "lfp" in spec.data.modalities:
        return len(recording.LfpSeries & keys)
    files = (recording.Unit & keys).to_arrays("nwb_file")
    return len(set(files))


def _folds(spec: StudySpec, subjects: int, members: int) -> int:
    if spec.split is None:
        return 0
    if spec.split.folds == "fixed":
        return 1
    if spec.split.by == "time" or spec.split.folds == "k-fold":
        return spec.split.k
    return subjects if spec.split.by == "subject" else members


def _left(spec: StudySpec, key: str, total: int) -> tuple[int, int]:
    """Jobs to make and jobs there, of one table."""
    from schemas import embedding, prediction, training, windows

    table = {
        "windows": windows.Windows, "training": training.Training,
        "embedding": embedding.Embedding, "prediction": prediction.Prediction,
    }[key]  # fmt: skip
    asked = [{key: row["member"]} for row in wanted(spec.study.name, f"{key}_task")]
    there = len(table & asked) if asked else 0
    return max(total - there, len(asked) - there, 0), there
