"""One file's summary becomes rows: what ``Ingestion.make`` does."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.nwb import (
    ContentChanged,
    FileSummary,
    ReadError,
    TransientReadError,
    read_summary_isolated,
)
from pipeline.params import digest

from . import recording, session
from ._merge import insert_or_merge
from ._names import clip, safe_name, storable
from ._sources import source_of

MEMORY = int(os.environ.get("FIELDBASE_READ_MEMORY", 4 << 30))
DEADLINE_S = float(os.environ.get("FIELDBASE_READ_DEADLINE", 600))
CHUNK = 2000  # rows per INSERT


def read(key: dict[str, Any]) -> dict[str, Any]:
    """Read the file in a child process: its summary, or why there is none.

    Raises
    ------
    FileNotFoundError
        If this machine does not have the file. That says nothing of the file, so no row is made
        and another machine, or this one with its roots put right, can read it.
    TransientReadError, ContentChanged
        If the network failed, or what lies there is not what was registered: no row, likewise.
    """
    file = (session.NwbFile & key).fetch1()
    started = time.monotonic()
    found: dict[str, Any] = {"summary": None, "stage": None, "message": None, "way_out": None}
    try:
        source = source_of(file)
        if file["file_kind"] == "features":
            from ._features import summarise

            found["summary"], found["features"] = summarise(Path(source), file["mapping"])
        elif file["file_kind"] == "lfpack":
            from pipeline.lfpack import Insertion, read_packed_summary

            insertion, limits = Insertion.from_json(file["mapping"]), (MEMORY, DEADLINE_S)
            found["summary"] = [read_packed_summary(source, insertion, *limits).to_json()]
        else:
            summary = read_summary_isolated(source, memory_bytes=MEMORY, deadline_s=DEADLINE_S)
            found["summary"] = [summary.to_json()]
    except (TransientReadError, ContentChanged):
        raise
    except ReadError as error:
        found |= {"stage": error.stage, "message": error.message, "way_out": error.way_out}
    return found | {"file": file, "seconds": time.monotonic() - started}


def store(table, key: dict[str, Any], found: dict[str, Any]) -> None:
    """Insert the Ingestion row and everything the file holds, in the running transaction."""
    summaries = [FileSummary.from_json(storable(value)) for value in found["summary"] or ()]
    warnings = [text for summary in summaries for text in summary.warnings]
    status = "error" if found["summary"] is None else "warnings" if warnings else "ok"
    first = summaries[0] if summaries else None
    table.insert1(
        {
            **key,
            "ingestion_status": status,
            "layout": first.layout if first else None,
            "nwb_version": clip(first.nwb_version, 16) if first else None,
            "stage": clip(found["stage"], 32),
            "message": clip(found["message"], 2047),
            "way_out": clip(found["way_out"], 1023),
            "warnings": warnings,
            "n_lfp": sum(len(s.lfp) for s in summaries),
            "n_channels": sum(len(s.channels) for s in summaries),
            "n_units": sum(len(s.units) for s in summaries),
            "n_trials": sum(len(s.trials) for s in summaries),
            "n_behavior": sum(len(s.behavior) for s in summaries),
            "read_seconds": found["seconds"],
        }
    )
    for number, summary in enumerate(summaries):
        where = _store_summary(key, found["file"], summary)
        if found.get("features"):
            recording.FeatureSeries.insert1({**where, **found["features"][number]})


def _store_summary(
    key: dict[str, Any], file: dict[str, Any], summary: FileSummary
) -> dict[str, Any]:
    where, conflicts = _store_session(file, summary)
    base = {**key, **where}
    names = {probe.probe: safe_name(probe.probe or "probe") for probe in summary.probes}
    for channel in summary.channels:
        names.setdefault(channel.probe, safe_name(channel.probe or "probe"))
    conflicts += insert_or_merge(recording.ProbeInsertion, _probe_rows(base, summary, names))
    conflicts += insert_or_merge(recording.Channel, _channel_rows(base, summary, names))
    recording.IngestionSession.insert1({**base, "conflicts": conflicts})
    _store_series(base, summary, names)
    _store_labels(base, summary, names)
    return base


def _store_session(file, summary: FileSummary) -> tuple[dict[str, str], list[dict]]:
    named = file["source_hint"] or summary.lab or summary.institution or summary.layout
    if summary.layout in ("features", "lfpack") and summary.lab not in (None, "elsewhere"):
        named = summary.lab  # one file may hold several laboratories
    source = safe_name(named)
    subject_id = summary.subject.subject_id or "unnamed"
    session_id = summary.session_id or summary.identifier or Path(file["path"]).stem
    subject = safe_name(subject_id)
    where = {"session": _session_key(source, subject, subject_id, session_id)}
    conflicts = insert_or_merge(
        session.Source, [{"source": source, "source_name": clip(named, 255)}]
    )
    about = summary.subject
    conflicts += insert_or_merge(
        session.Subject,
        [
            {
                "source": source,
                "subject": subject,
                "subject_id": clip(subject_id, 255),
                "species": clip(about.species, 128),
                "sex": clip(about.sex, 16),
                "age": clip(about.age, 64),
                "genotype": clip(about.genotype, 255),
                "subject_description": clip(about.description, 1024),
                "synthetic_subject": summary.synthetic,
            }
        ],
    )
    conflicts += insert_or_merge(
        session.Session,
        [
            {
                **where,
                "source": source,
                "subject": subject,
                "session_id": clip(session_id, 255),
                "session_start": _utc(summary.session_start),
                "session_description": clip(summary.session_description, 1024),
                "synthetic": summary.synthetic,
            }
        ],
    )
    return where, conflicts


def _session_key(source: str, subject: str, subject_id: str, session_id: str) -> str:
    """``<source>_<subject>_<session>``, and a hash in it where another session has that name."""
    parts = [source] if session_id.startswith(subject_id) else [source, subject_id]
    name = safe_name("_".join([*parts, session_id]))
    who = {"source": source, "subject": subject, "session_id": clip(session_id, 255)}
    for row in (session.Session & {"session": name}).to_dicts():
        if any(row[field] != value for field, value in who.items()):
            return safe_name("\n".join([source, subject_id, session_id]))
    return name


def _utc(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):  # no date, or one that leaves the calendar in UTC
        return None
    return moment.replace(microsecond=0) if moment.year >= 1000 else None


def _probe_rows(base, summary: FileSummary, names) -> list[dict]:
    described = {probe.probe: probe for probe in summary.probes}
    rows = []
    for name, safe in names.items():
        probe = described.get(name)
        rows.append(
            {
                **base,
                "probe": safe,
                "probe_name": clip(name or "probe", 255),
                "device": clip(probe.device, 255) if probe else None,
                "probe_description": clip(probe.description, 1024) if probe else None,
                "n_shanks": probe.shanks if probe else None,
            }
        )
    return rows


def _channel_rows(base, summary: FileSummary, names) -> list[dict]:
    plain = ("index_on_probe", "shank", "x", "y", "z", "rel_x", "rel_y", "depth_um", "bad")
    return [
        {
            **base,
            "probe": names[site.probe],
            "channel": site.channel,
            **{name: getattr(site, name) for name in plain},
            "coordinate_frame": clip(site.coordinate_frame, 128),
            "coordinate_unit": site.coordinate_unit,
        }
        for site in summary.channels
    ]


def _store_series(base, summary: FileSummary, names) -> None:
    sites = {site.channel: names[site.probe] for site in summary.channels}
    for lfp in summary.lfp:
        series = safe_name(lfp.series)
        recording.LfpSeries.insert1({**base, "series": series, **_lfp_columns(lfp)})
        columns = [
            {**base, "series": series, "lfp_column": i, "probe": sites[site], "channel": site}
            for i, site in enumerate(lfp.channel_ids)
        ]
        recording.LfpColumn.insert(columns)
    recording.Unit.insert(
        [
            {
                **base,
                "unit": unit.unit,
                "probe": sites.get(unit.channel),
                "channel": unit.channel if unit.channel in sites else None,
                "n_spikes": unit.n_spikes,
                "firing_rate_hz": unit.rate_hz,
                "quality": clip(unit.quality, 64),
                "unit_region": clip(unit.region_raw, 255),
            }
            for unit in summary.units
        ]
    )
    for start in range(0, len(summary.trials), CHUNK):
        recording.Trial.insert(
            [
                {
                    **base,
                    "trial_table": safe_name(trial.table),
                    "trial": trial.trial,
                    "trial_start_s": trial.start_s,
                    "trial_stop_s": trial.stop_s,
                    "trial_values": trial.values,
                }
                for trial in summary.trials[start : start + CHUNK]
            ]
        )
    recording.BehaviorSeries.insert([_behavior_row(base, item) for item in summary.behavior])
    recording.InvalidInterval.insert(
        [
            {
                **base,
                "invalid_interval": i,
                "invalid_start_s": item.start_s,
                "invalid_stop_s": item.stop_s,
                "scope": safe_name(item.scope),
                "label": clip(item.label, 255),
            }
            for i, item in enumerate(summary.invalid)
        ]
    )


def _lfp_columns(lfp) -> dict[str, Any]:
    return {
        "series_path": clip(lfp.series, 512),
        "lfp_kind": lfp.kind,
        "n_samples": lfp.n_samples,
        "n_lfp_channels": lfp.n_channels,
        "rate_declared": lfp.rate_declared,
        "lfp_rate_hz": lfp.rate_measured or lfp.rate_declared,
        "lfp_start_s": lfp.start_s,
        "lfp_stop_s": lfp.stop_s,
        "lfp_unit": clip(lfp.unit, 32),
        "conversion": lfp.conversion,
        "offset": lfp.offset,
        "dtype": lfp.dtype,
        "chunks": lfp.chunks,
        "gaps": lfp.gaps,
        "all_zero": lfp.all_zero,
        "lfp_digest": lfp.digest,
    }


def _behavior_row(base, item) -> dict[str, Any]:
    return {
        **base,
        "behavior_series": safe_name(item.series),
        "behavior_path": clip(item.series, 512),
        "n_behavior_samples": item.n_samples,
        "behavior_rate_hz": item.rate,
        "behavior_unit": clip(item.unit, 64),
        "variables": item.columns,
        "behavior_start_s": item.start_s,
        "behavior_stop_s": item.stop_s,
    }


def _store_labels(base, summary: FileSummary, names) -> None:
    kinds: dict[tuple[str, str], list[dict]] = {}
    for site in summary.channels:
        where = {"probe": names[site.probe], "channel": site.channel}
        origin = (site.label_source or "location", site.evidence)
        entry = {**where, "raw": clip(site.location_raw, 255), "cleaned": clip(site.location, 255)}
        kinds.setdefault(origin, []).append(entry)
        for column, text in site.extra_labels.items():
            entry = {**where, "raw": clip(text, 255), "cleaned": clip(text, 255)}
            kinds.setdefault((column, "unknown"), []).append(entry)
    for (origin, evidence), entries in kinds.items():
        add_labels(base, origin, evidence, entries)


def add_labels(base: dict[str, Any], origin: str, evidence: str, entries: list[dict]) -> str:
    """Store one origin's labels of a session; the key of the label set."""
    where = {"session": base["session"]}
    mark = digest({**base, "origin": origin, "evidence": evidence, "entries": entries})
    recording.LabelSet.insert1(
        {
            **where,
            "nwb_file": base.get("nwb_file"),
            "label_set": mark,
            "origin": clip(origin, 255),
            "evidence": evidence,
            "n_labels": sum(entry["cleaned"] is not None for entry in entries),
            "added": datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        },
        skip_duplicates=True,
    )
    recording.LabelEntry.insert(
        [{**where, "label_set": mark, **entry} for entry in entries], skip_duplicates=True
    )
    return mark
