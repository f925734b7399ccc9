"""What a study would read and compute, before it does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas import recording, session

from ..archive.found import Found, SourceError, total_bytes
from ..archive.packs import BETWEEN, survey_of
from ..archive.standing import Standing
from ..ingest import stand
from .effort import Counted, spell_effort
from .models import answers, ssl_first
from .plan import not_here, wanted
from .spec import StudySpec

LOOK_INTO = 20
"""Files on this machine that nobody has read yet and that are opened to count their channels."""


@dataclass(frozen=True)
class Recorded:
    """What a study's files hold, as far as is known without reading a signal."""

    subjects: int
    members: int
    signals: list[Counted]


def plan_study(spec: StudySpec, *, base: Path) -> dict[str, Any]:
    """Files and bytes to read, jobs per table, and what they cost; inserts nothing.

    Jobs are exact for what has been ingested. Of other files on this machine the first few are
    opened (headers only); the rest, and URLs, count as one recording each, and a note says so.
    Of remote files the length is asked for and nothing read, nor are the model's weights.
    """
    notes: list[str] = []
    standings = _resolve(spec, base, notes)
    files = [one.found for one in standings]
    read = {one.row["nwb_file"] for one in standings if one.row and one.row["read"]}
    keys = [{"nwb_file": one.row["nwb_file"]} for one in standings if one.row]
    new = [one.found for one in standings if one.row is None or not one.row["read"]]
    for one in standings:
        if one.state == "changed":
            notes.append(
                f"{one.found.source} changed since it was registered: what was read then counts"
            )
    there = _ingested(keys, spec)
    ahead = _unread(new, spec, notes)
    subjects, members = there.subjects + ahead.subjects, there.members + ahead.members
    folds = _folds(spec, subjects, members)
    jobs = {
        "Ingestion": (len(new), len(read)),
        "Windows": _left(spec, "windows", members),
        **{name: _left(spec, key, n) for name, key, n in _asked(spec, folds, members)},
    }
    notes += _lone_probes([one.found for one in standings])
    size, unknown = total_bytes(files)
    notes.insert(0, f"{len(files)} files, {size / 2**20:,.1f} MiB, {folds} folds")
    if unknown:
        notes.append(f"{unknown} files are URLs of unknown size")
    notes += spell_effort(spec, [*there.signals, *ahead.signals], folds, subjects)
    return {"study": spec.study.name, "files": len(files), "bytes": size, "jobs": jobs,
            "notes": notes}  # fmt: skip


def _resolve(spec: StudySpec, base: Path, notes: list[str]) -> list[Standing]:
    """Every recording that can be found; the notes say which cannot, and why.

    Raises
    ------
    SourceError
        If none can.
    """
    found: dict[str, Standing] = {}
    missing: list[SourceError] = []
    for pattern in spec.data.recordings:
        try:
            subjects = spec.data.subjects
            for one in stand(
                [pattern], base=base, mapping=_mapping(spec), subjects=subjects, say=notes.append
            ):
                found.setdefault(one.found.source, one)
        except SourceError as error:
            missing.append(error)
    if not found:
        raise not_here(spec.data, missing[0]) from missing[0]
    notes += [f"not resolved, and left out of these figures: {error}" for error in missing]
    return list(found.values())


def _ingested(keys: list[dict[str, str]], spec: StudySpec) -> Recorded:
    rows = (recording.IngestionSession * session.Session & keys).to_dicts()
    subjects = len({(row["source"], row["subject"]) for row in rows})
    if "features" in spec.data.modalities:
        return Recorded(subjects, len(recording.FeatureSeries & keys), [])
    if "lfp" not in spec.data.modalities:
        return Recorded(subjects, len(set((recording.Unit & keys).to_arrays("nwb_file"))), [])
    series = (recording.LfpSeries & keys).to_dicts()
    found = [Counted(row["n_lfp_channels"], _length(row)) for row in series]
    return Recorded(subjects, len(series), found)


def _length(row: dict[str, Any]) -> float:
    known = row["lfp_stop_s"] is not None and row["lfp_start_s"] is not None
    return row["lfp_stop_s"] - row["lfp_start_s"] if known else 0.0


def _mapping(spec: StudySpec) -> dict[str, Any] | None:
    return None if spec.data.mapping is None else spec.data.mapping.to_json()


def _unread(files: list[Found], spec: StudySpec, notes: list[str]) -> Recorded:
    from pipeline.nwb import ReadError, read_summary_isolated
    from schemas._ingest import DEADLINE_S, MEMORY

    packed = [one for one in files if one.file_kind == "lfpack"]
    names, members, signals, blind = _packed(packed), len(packed), _packed_signals(packed, notes), 0
    for place, one in enumerate([one for one in files if one.file_kind != "lfpack"]):
        source = one.source
        if one.remote or place >= LOOK_INTO or not source.endswith(".nwb"):
            names.add(_subject(one))
            members, blind = members + 1, blind + 1
            continue
        try:
            found = read_summary_isolated(source, memory_bytes=MEMORY, deadline_s=DEADLINE_S)
        except ReadError as error:
            notes.append(f"{Path(source).name} cannot be read and would be left out: {error}")
            continue
        lfp = "lfp" in spec.data.modalities
        names.add(found.subject.subject_id if found.subject else source)
        members += len(found.lfp) if lfp else 1
        signals += [Counted(s.n_channels, s.stop_s - s.start_s) for s in found.lfp if lfp]
    if blind:
        notes.append(
            f"{blind} of the files are not read yet: each counts as one recording, of a subject of "
            "its own unless its folder in the archive says whose it is"
        )
    return Recorded(len(names), members, signals)


def _packed(files: list[Found]) -> set[str]:
    """Whose the recordings of packed files are."""
    return {str(one.mapping.get("subject") or one.source) for one in files}


def _packed_signals(files: list[Found], notes: list[str]) -> list[Counted]:
    """Channels and length (s) of each recording of packed files, by their headers."""
    from pipeline.nwb import ReadError

    found = []
    for path in dict.fromkeys(one.source.rpartition(BETWEEN)[0] for one in files):
        try:
            held = survey_of(path)
        except ReadError as error:
            notes.append(f"{Path(path).name} cannot be read and would be left out: {error}")
            continue
        asked = [one for one in files if one.source.startswith(path + BETWEEN)]
        for one in asked:
            header = held.get(one.mapping["recording"])
            if header is not None:
                found.append(Counted(header.n_channels, header.n_samples / header.rate))
    return found


def _lone_probes(files: list[Found]) -> list[str]:
    """A note if session files are missing, by the names of Allen's files in the archive."""
    stems = {one.path.partition("_probe-")[0] for one in files if "_probe-" in one.path}
    paths = {one.path for one in files}
    there = [{"path": f"{stem}.nwb"} for stem in stems]
    paths |= set((session.NwbFile & there).to_arrays("path")) if there else set()
    alone = sorted(stem for stem in stems if f"{stem}.nwb" not in paths)
    if not alone:
        return []
    return [
        f"{len(alone)} sessions come without their session file, which says what times are invalid "
        f"({alone[0].rpartition('/')[2]}.nwb{', …' * (len(alone) > 1)}); ingest these, too"
    ]


def _subject(one: Found) -> str:
    """Whom a file is about as far as its name tells: DANDI's folders are subjects."""
    if one.asset is not None and one.path.count("/") > 1:
        return one.path.rpartition("/")[0]
    return one.source


def _asked(spec: StudySpec, folds: int, members: int) -> list[tuple[str, str, int]]:
    """Table, key and number of jobs of what follows the windows."""
    wants = spec.analyses
    tested = members if spec.split and spec.split.by == "time" else max(1, members // max(folds, 1))
    runs = [(model, seed) for model in spec.model for seed in model.seeds]
    saying = [model for model, _ in runs if answers(model)]
    embeds = bool(wants.linear_probes or wants.silhouettes)
    chains = {
        (model.values.digest, seed, *(stage.digest for stage in model.stages[: at + 1]))
        for model, seed in runs
        for at in range(len(model.stages))
    }
    once = spec.split is not None and spec.split.pretrain == "disjoint"
    alike = {
        (model.values.digest, seed, *(stage.digest for stage in model.stages[: at + 1]))
        for model, seed in runs
        for at in range(ssl_first(model) if once else 0)
    }
    pooled = 1 if "region" in wants.linear_probes and folds > 1 else 0
    scored = len(saying) if wants.evaluate else 0
    alone = {"permuted_labels", "phase_randomised", "abnormality"}
    beside = len(alone & set(wants.controls)) * scored
    beside += len(runs) if "relabelled" in wants.controls and wants.linear_probes else 0
    return [
        ("Training", "training", folds * len(chains - alike) + len(alike)),
        ("Embedding", "embedding", folds * len(runs) * members if embeds else 0),
        ("Prediction", "prediction", folds * len(saying) * tested),
        ("Evaluation", "evaluation", scored * (folds + 1)),
        ("LinearProbe", "linear_probe", len(runs) * (folds * len(wants.linear_probes) + pooled)),
        ("Silhouette", "silhouette", len(runs) * folds * len(wants.silhouettes)),
        ("Control", "control", beside + bool(scored and spec.data.labels and folds)),
    ]


def _folds(spec: StudySpec, subjects: int, members: int) -> int:
    if spec.split is None:
        return 0
    if spec.split.folds == "fixed":
        return 1
    if spec.split.by == "time" or spec.split.folds == "k-fold":
        return spec.split.k
    groups = subjects if spec.split.by == "subject" else members
    return max(0, groups - spec.split.pretrain_subjects)


def _left(spec: StudySpec, key: str, total: int) -> tuple[int, int]:
    """Jobs to make and jobs there, of one table."""
    from schemas import analysis, embedding, prediction, training, windows

    table = {
        "windows": windows.Windows, "training": training.Training,
        "embedding": embedding.Embedding, "prediction": prediction.Prediction,
        "evaluation": analysis.Evaluation, "linear_probe": analysis.LinearProbe,
        "silhouette": analysis.Silhouette, "control": analysis.Control,
    }[key]  # fmt: skip
    asked = {row["member"] for row in wanted(spec.study.name, f"{key}_task")}
    there = len(table & [{key: name} for name in asked]) if asked else 0
    return max(total, len(asked)) - there, there
