"""From a study to tasks: every row `study run` asks for, made by inserting and nothing else."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.anatomy import OF_SUBJECT, STRONGEST_FIRST, map_label
from pipeline.params import digest
from schemas import anatomy, dataset, recording, session, windows
from schemas._revisions import superseded

from ..archive.find import refuse_secrets
from ..archive.found import SourceError, told_path
from .beside import beside, files_with_invalid, missing_session_file
from .conditions import condition_labels
from .spec import Data, StudyError, StudySpec


@dataclass
class Members:
    """The windows of a study: task and label set by session and probe, and what was left out."""

    windows: dict[str, str | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def enter_study(spec: StudySpec) -> None:
    """The Study row; the same file twice is one row, another content under its name is refused.

    Raises
    ------
    StudyError
        If the name belongs to another content.
    SourceError
        If a recording's URL holds a password or a signature.
    """
    from datetime import UTC, datetime
    from importlib.metadata import version

    refuse_secrets(spec.data.recordings)
    values = spec.to_json()
    key = {"study": spec.study.name}
    for row in (dataset.Study & key).to_dicts():
        if row["study_digest"] == digest(values):
            return
        stored = row["toml"]
        changed = [name for name in values if stored.get(name) != values[name]]
        raise StudyError(
            f"study {spec.study.name!r} is in the database with other content in {changed}; "
            "give this one another name"
        )
    dataset.Study.insert1(
        {
            **key,
            "study_title": spec.study.title[:255] or spec.study.name,
            "question": spec.study.question[:1024] or None,
            "toml": values,
            "study_digest": digest(values),
            "package_version": version("fieldbase"),
            "study_added": datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        }
    )


def remember(study: str, table: str, member: str, name: str | None = None) -> None:
    """Note that `study` wants this task."""
    row = {"study": study, "member_table": table, "member": member, "member_name": name}
    dataset.StudyMember.insert1(row, skip_duplicates=True)


def wanted(study: str, table: str) -> list[dict[str, str]]:
    """Tasks of one table that `study` wants, with the names it gave them."""
    rows = dataset.StudyMember & {"study": study, "member_table": table}
    return rows.to_dicts(order_by="member_name, member")


def not_here(data: Data, error: SourceError) -> SourceError:
    """What is said where the recordings cannot be found, with how to get them."""
    return SourceError(f"{error}. {data.obtain}" if data.obtain else str(error))


def request_windows(spec: StudySpec, files: list[str]) -> Members:
    """Ask for windows of every session (and probe) in the ingested `files`, with its labels."""
    members = Members()
    params = windows.WindowParamSet.register(None, spec.windows)
    if "lfp" in spec.data.modalities:
        params |= windows.LfpParamSet.register(None, spec.lfp)
    if spec.uses_bins:
        params |= windows.BinParamSet.register(None, spec.bins)
    for file in files:
        for sources in find_sources(spec.data, {"nwb_file": file}, members.notes):
            if "lfp" in sources:
                members.notes += missing_session_file(sources["session"], members.notes)
            name = ask_windows(params, sources)
            label_set = labels_of(spec.data, sources, members.notes)
            members.windows[name] = label_set
            remember(spec.study.name, "windows_task", name)
    if not members.windows:
        raise StudyError(
            f"none of the {len(files)} files has {' and '.join(spec.data.modalities)} to cut "
            "windows from:\n  " + "\n  ".join(members.notes or ["no file was read without error"])
        )
    return members


def request_dataset(spec: StudySpec, members: Members) -> str:
    """Ask for the dataset of these windows and for its split; the key of the split."""
    scheme = spec.data.labels
    content = {name: members.windows[name] for name in sorted(members.windows)}
    row = {"scheme": scheme}
    if spec.data.regions is not None:
        row["counted_regions"] = list(spec.data.regions)
    mark = digest({"members": content, "name": spec.study.name, **row})
    row |= {"dataset": mark, "dataset_name": spec.study.name}
    dataset.Dataset.insert1(row, skip_duplicates=True)
    dataset.DatasetMember.insert(
        [{"dataset": mark, "windows": name, "label_set": ls} for name, ls in content.items()],
        skip_duplicates=True,
    )
    for label_set in {ls for ls in content.values() if ls is not None}:
        anatomy.LabelTask.insert1({"label_set": label_set, "scheme": scheme}, skip_duplicates=True)
    params = dataset.SplitParamSet.register(None, spec.split)
    split = dataset.SplitTask.ensure(dataset=mark, **params)["split"]
    _forget_other_splits(spec.study.name, split, content)
    remember(spec.study.name, "split_task", split)
    return split


def _forget_other_splits(study: str, split: str, content: dict[str, str | None]) -> None:
    """Let go of what an earlier run asked for when the study's recordings were others.

    Its results stay in the tables, but they are no longer the study's: folds of two splits must
    not be pooled, one may have trained on what the other holds out.
    """
    if all(row["member"] == split for row in wanted(study, "split_task")):
        return
    for row in (dataset.StudyMember & {"study": study} & "member_table <> 'nwb_file'").keys():
        if row["member_table"] != "windows_task" or row["member"] not in content:
            (dataset.StudyMember & row).delete_quick()


def find_sources(data: Data, file: dict[str, str], notes: list[str]) -> list[dict[str, Any]]:
    """What one windows task each reads: LFP series, units, behaviour or features."""
    label = _label(file)
    if "features" in data.modalities:
        rows = (recording.FeatureSeries & file).to_dicts(order_by="session")
        return [{"session": r["session"], "features": r} for r in rows]
    hears = "lfp" in data.modalities
    series = _series(data, file, notes) if hears else []
    if hears and not series:
        return []
    # a file without units is no recording of spikes, but may be the LFP beside them
    units = beside(recording.Unit, file, alone=not hears) if "spikes" in data.modalities else []
    behavior = _behavior(data, file)
    if "spikes" in data.modalities and not units:
        notes.append(f"{label}: no units" + (", nor beside it in its session" if hears else ""))
        return []
    if "behavior" in data.modalities and behavior is None:
        notes.append(f"{label}: no behaviour series with {data.behavior!r} in its path")
        return []
    extra = {"units": units[0] if units else None, "behavior": behavior}
    if not hears:
        return [{"session": units[0]["session"], **extra}] if units else []
    return [{"session": one["session"], "lfp": one, **extra} for one in series]


def _series(data: Data, file: dict[str, str], notes: list[str]) -> list[dict[str, Any]]:
    """LFP series of a file that hold something; wide-band ones only where they are asked for."""
    label = _label(file)
    series = (recording.LfpSeries & file).to_dicts(order_by="series")
    usable = [s for s in series if data.series is None or data.series in s["series_path"]]
    usable = [s for s in usable if not data.only or _chosen(s, data.only)]
    if not any(s["lfp_kind"] == "wideband" for s in usable) or data.series is None:
        lfp = [s for s in usable if s["lfp_kind"] == "lfp"]
        usable = lfp or usable
    if not usable:
        wanted = f" with {data.series!r}" if data.series else ""
        elsewhere = "; files beside it have some" if beside(recording.LfpSeries, file) else ""
        notes.append(f"{label}: no LFP series{wanted}{elsewhere}")
    for one in [s for s in usable if s["all_zero"]]:
        notes.append(f"{label}: {one['series_path']} holds nothing but zeros; left out")
    return [one for one in usable if not one["all_zero"]]


def _chosen(series: dict[str, Any], only: tuple[str, ...]) -> bool:
    """Whether a series is one of those that count; letters are compared without their case."""
    name = (session.Session & {"session": series["session"]}).fetch1("session_id").lower()
    pairs = [text.lower().rpartition("/") for text in only]
    path = series["series_path"].lower()
    return any(which in name and text in path for which, _, text in pairs)


def _behavior(data: Data, file: dict[str, str]) -> dict[str, Any] | None:
    if "behavior" not in data.modalities:
        return None
    rows = beside(
        recording.BehaviorSeries,
        file,
        keep=lambda row: (data.behavior or "") in row["behavior_path"],
    )
    return rows[0] if rows else None


LINKS = {
    "lfp": (windows.WindowsLfp, ("nwb_file", "series")),
    "units": (windows.WindowsUnits, ("nwb_file",)),
    "behavior": (windows.WindowsBehavior, ("nwb_file", "behavior_series")),
    "features": (windows.WindowsFeatures, ("nwb_file", "session")),
}


def ask_windows(params: dict[str, str], sources: dict[str, Any]) -> str:
    """The windows task that reads `sources`, inserted if it is new."""
    chosen = {
        kind: {name: sources[kind][name] for name in names}
        for kind, (_, names) in LINKS.items()
        if sources.get(kind) is not None
    }
    values = {
        table.__name__: (table & params).fetch1(f"{table.key}_digest")
        for table in (windows.WindowParamSet, windows.LfpParamSet, windows.BinParamSet)
        if table.key in params
    }
    content = {"session": sources["session"], "sources": chosen, "params": values}
    invalid = files_with_invalid(sources["lfp"]) if sources.get("lfp") else []
    mark = digest(content | ({"invalid": invalid} if invalid else {}))
    row = {"windows": mark, "session": sources["session"], **params}
    windows.WindowsTask.insert1(row, skip_duplicates=True)
    for kind, names in chosen.items():
        LINKS[kind][0].insert1({"windows": mark, **names}, skip_duplicates=True)
    links = [{"windows": mark, "nwb_file": file} for file in invalid]
    windows.WindowsInvalid.insert(links, skip_duplicates=True)
    return mark


def labels_of(data: Data, sources: dict[str, Any], notes: list[str]) -> str | None:
    """The label set that counts: of regions, or of what the animal is where a study asks that."""
    name, series = sources["session"], sources.get("lfp")
    if data.conditions is None:
        return best_labels(data, name, series)
    places = data.model_copy(update={"labels": data.conditions.regions, "conditions": None})
    return condition_labels(name, best_labels(places, name, series), data.conditions, notes)


def best_labels(data: Data, name: str, series: dict[str, Any] | None = None) -> str | None:
    """The session's label set that names most channels in the scheme; stronger evidence first.

    Of an LFP series only its own channels count: where each probe has a file of its own, so do
    the labels.
    """
    if data.labels is None:
        return None
    probes = None if series is None else _probes_of(series)
    species = (session.Session * session.Subject & {"session": name}).fetch1("species")
    ranked = []
    sets = (recording.LabelSet & {"session": name}).to_dicts()
    old = superseded(row["nwb_file"] for row in sets if row["nwb_file"])
    for row in [row for row in sets if row["nwb_file"] not in old]:
        if row["evidence"] == OF_SUBJECT:  # says nothing of a place
            continue
        if data.label_origin is not None and data.label_origin != row["origin"]:
            continue
        entries = recording.LabelEntry & {"label_set": row["label_set"]}
        named = [
            probe
            for probe, text in zip(*entries.to_arrays("probe", "cleaned"), strict=True)
            if map_label(text, data.labels, species).region is not None
        ]
        here = len(named) if probes is None else sum(probe in probes for probe in named)
        if here:
            rank = STRONGEST_FIRST.index(row["evidence"])
            ranked.append((rank, -here, -len(named), row["origin"], row["label_set"]))
    return min(ranked)[-1] if ranked else None


def _probes_of(series: dict[str, Any]) -> set[str]:
    """Probes whose channels the columns of an LFP series are."""
    columns = recording.LfpColumn & {name: series[name] for name in ("nwb_file", "series")}
    return set(columns.to_arrays("probe"))


def _label(file: dict[str, str]) -> str:
    row = (session.NwbFile & file).fetch1()
    return told_path(Path(row["path"]).name, row["mapping"], row["file_kind"])
