"""What a study would read and compute, before it does."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas import recording, session

from ..archive.asked import Asked, hurried
from ..archive.found import ArchiveAway, Found, SourceError, total_bytes
from ..archive.standing import Standing
from ..ingest import stand
from .effort import Counted, spell_effort
from .listed import Listed, read_catalogue
from .models import ALONE, answers, ssl_first
from .plan import not_here, wanted
from .spec import StudySpec
from .unread import Recorded, count_unread


@dataclass
class Resolved:
    """What became of a study's recordings.

    Attributes
    ----------
    standings
        Files that were found, by source.
    unanswered
        What the catalogue lists of names that the archive did not answer about.
    rows
        One for each file found, listed or missing: ``name, probe, path, subject, bytes, etag,
        state``.
    """

    standings: dict[str, Standing] = field(default_factory=dict)
    unanswered: list[Listed] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def plan_study(spec: StudySpec, *, base: Path, asked: Asked | None = None) -> dict[str, Any]:
    """Files and bytes to read, jobs per table, and what they cost; inserts nothing.

    Jobs are exact for what has been ingested. Of other files on this machine the first few are
    opened (headers only); the rest, and URLs, count as one recording each, and a note says so.
    Of remote files the length is asked for and nothing read, nor are the model's weights. Where
    the archive does not answer, the catalogue beside the study counts, without a size.

    Parameters
    ----------
    asked
        What the archive was asked for other studies, and is not asked again.

    Raises
    ------
    SourceError
        If no recording is there, and none is listed.
    """
    notes: list[str] = []
    catalogue = read_catalogue(base)
    with hurried():
        found = _resolve(spec, base, catalogue, asked or Asked(), notes)
    standings = list(found.standings.values())
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
    ahead = count_unread(new, found.unanswered, spec, catalogue, notes)
    subjects, members = there.subjects + ahead.subjects, there.members + ahead.members
    folds = _folds(spec, subjects, members)
    listed = len({(one.name, one.path) for one in found.unanswered})
    jobs = {"Ingestion": (len(new) + listed, len(read))}
    if members:
        jobs["Windows"] = _left(spec, "windows", members)
        jobs |= {name: _left(spec, key, n) for name, key, n in _asked(spec, folds, members)}
    else:
        notes.append("no recording is known yet: what would be computed cannot be counted")
    notes += _lone_probes([one.found for one in standings])
    size, unknown = total_bytes(files)
    notes.insert(0, f"{len(files)} files, {size / 2**20:,.1f} MiB, {folds} folds")
    if listed:
        notes.insert(1, f"{listed} files more by the catalogue, of unknown size and content")
    if unknown:
        notes.append(f"{unknown} files are URLs of unknown size")
    notes += spell_effort(spec, [*there.signals, *ahead.signals], folds, subjects)
    return {"study": spec.study.name, "files": len(files), "bytes": None if listed else size,
            "jobs": jobs, "notes": notes, "recordings": found.rows}  # fmt: skip


def _resolve(
    spec: StudySpec, base: Path, catalogue: dict[str, list[Listed]], asked: Asked, notes: list[str]
) -> Resolved:
    """Every recording that can be found; the notes say which cannot, and why."""
    made = Resolved()
    missing: list[SourceError] = []
    silent: list[tuple[str, ArchiveAway]] = []
    for name in spec.data.recordings:
        try:
            found = stand(
                [name], base=base, mapping=_mapping(spec), subjects=spec.data.subjects,
                asked=asked, say=notes.append,
            )  # fmt: skip
        except ArchiveAway as error:
            silent.append((name, error))
            listed = catalogue.get(name, [])
            made.unanswered += listed
            made.rows += [_row(name, one, "not asked") for one in listed or [None]]
        except SourceError as error:
            missing.append(error)
            made.rows.append(_row(name, None, "not there"))
        else:
            made.rows += [_row(name, one.found, "found") for one in found]
            for one in found:
                made.standings.setdefault(one.found.source, one)
    if missing and not made.standings and not silent:
        raise not_here(spec.data, missing[0]) from missing[0]
    told = [*missing[:-1], *(not_here(spec.data, error) for error in missing[-1:])]
    notes += [f"not resolved, and left out of these figures: {error}" for error in told]
    notes += _tell_silent(silent, catalogue)
    return made


def _row(name: str, one: Found | Listed | None, state: str) -> dict[str, Any]:
    """A recording as the plan lists it: what is not known of it is None."""
    if isinstance(one, Listed) and one.flaw:
        state = f"{state}; {one.flaw}"
    names = ("path", "subject", "bytes", "etag")
    told = {key: getattr(one, key, None) for key in names}
    return {"name": name, "probe": getattr(one, "probe", None), **told, "state": state}


def _tell_silent(
    silent: list[tuple[str, ArchiveAway]], catalogue: dict[str, list[Listed]]
) -> list[str]:
    """What is said of names that the archive was to resolve and did not."""
    if not silent:
        return []
    told = [f"not resolved: {silent[0][1]}"]
    others = [name for name, _ in silent[1:]]
    if others:
        told.append(f"for the same reason not resolved: {', '.join(others)}")
    unlisted = [name for name, _ in silent if name not in catalogue]
    if unlisted:
        told.append(
            f"no catalogue lists {', '.join(unlisted)}: not counted in these figures, jobs and "
            "hours included"
        )
    return told


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
    alone = {*ALONE, "abnormality"}
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
