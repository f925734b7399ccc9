"""A file of vectors made elsewhere, read as if it were a recording."""

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from . import recording
from ._sources import source_of

LEFT_OUT = "{n} of {total} rows lack a feature (NaN or infinity) and are left out"
WHO = ("source", "subject", "session")


def summarise(path: Path, mapping: dict[str, Any] | None):
    """One file summary per session of the file, and the shape of its vectors.

    Raises
    ------
    ReadError
        If the file cannot be read by the mapping.
    """
    table = _read(path, mapping)
    summaries, shapes = [], []
    for (source, subject, session), rows in _sessions(table.rows):
        first = not summaries  # the file's warning is said once, not by every session
        summaries.append(
            _summary(source, subject, session, rows, _left_out(table) if first else [])
        )
        shapes.append(
            {
                "n_vectors": len(rows),
                "n_features": table.features.shape[1],
                "feature_source": source,
                "feature_subject": subject,
                "feature_session": session,
            }
        )
    return summaries, shapes


def cut_features(asked: dict[str, Any]) -> dict[str, Any]:
    """The windows of one session: vectors by (window, channel)."""
    series = asked["features"]
    table = _read(Path(source_of(series["file"])), series["file"]["mapping"])
    named = _named(table.rows)
    asked_for = [series[f"feature_{column}"] for column in WHO]
    mine = (named == asked_for).all(axis=1).to_numpy()
    rows, vectors = table.rows[mine].reset_index(drop=True), table.features[mine]
    sites = _sites(rows)
    where = rows.apply(lambda row: sites[_place(row)], axis=1).to_numpy()
    names, window = np.unique(rows["window"].to_numpy(), return_inverse=True)
    shape = (len(names), len(sites))
    features = np.zeros((*shape, vectors.shape[1]), np.float32)
    features[window, where] = vectors
    reasons = np.ones(shape, np.uint8)  # nan: no vector there
    reasons[window, where] = 0
    starts = np.arange(len(names), dtype=float)
    if rows["start_s"].notna().all():
        starts = rows["start_s"].groupby(window).min().to_numpy(float)
    known = recording.Channel & {"session": series["session"]}
    channels = known.proj().to_dicts(order_by="channel")
    return {
        "window_start_s": starts,
        "reasons": reasons,
        "features": features,
        "lfp": None,
        "lfp_rate_out": None,
        "window_notes": [],
        "sites": channels,
    }


def _read(path: Path, mapping: dict[str, Any] | None):
    from pipeline.evaluation.features_file import FeatureMapping, read_feature_file
    from pipeline.nwb import ReadError

    if mapping is None:
        raise ReadError(
            "mapping",
            f"{path.name} holds vectors, but nothing says which column is what",
            "give a mapping: fieldbase ingest embeddings FILE --mapping FILE.toml",
        )
    try:
        return read_feature_file(path, FeatureMapping.from_json(mapping))
    except (ValueError, KeyError, OSError, BadZipFile) as error:
        said = str(error.args[0] if isinstance(error, KeyError) else error)
        raise ReadError("features", said, "correct the file or its mapping") from error


def _sessions(rows: pd.DataFrame):
    named = _named(rows)
    yield from rows.groupby([named[column] for column in WHO], sort=True)


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """Who was recorded, in words, for every row: the columns in `WHO`."""
    filled = rows[list(WHO)].fillna({"source": "elsewhere", "subject": "unnamed"})
    return filled.astype(str).apply(lambda column: column.str[:255])


def _sites(rows: pd.DataFrame) -> dict[tuple[str, str], int]:
    places = sorted({_place(row) for _, row in rows.iterrows()})
    return {place: number for number, place in enumerate(places)}


def _place(row) -> tuple[str, str]:
    return str(row["probe"]), str(row["channel"])


def _left_out(table) -> list[str]:
    total = table.dropped + len(table.rows)
    return [LEFT_OUT.format(n=table.dropped, total=total)] if table.dropped else []


def _summary(
    source: str, subject: str, session: str, rows: pd.DataFrame, warnings: list[str]
) -> dict[str, Any]:
    from pipeline.nwb import FileSummary

    sites = _sites(rows)
    region = {_place(row): row["region"] for _, row in rows.iterrows()}
    channels = [
        {
            "probe": probe,
            "channel": number,
            "location_raw": region[probe, name] if isinstance(region[probe, name], str) else None,
            "location": region[probe, name] if isinstance(region[probe, name], str) else None,
            "label_source": "column of the feature file",
        }
        for (probe, name), number in sites.items()
    ]
    summary = FileSummary(
        layout="features",
        identifier=session,
        session_id=session,
        lab=source,
        subject={"subject_id": subject},
        probes=[{"probe": probe} for probe in sorted({probe for probe, _ in sites})],
        channels=channels,
        warnings=warnings,
    )
    return summary.to_json()
