"""From a windows task to arrays: what ``Windows.make`` does."""

from typing import Any

import numpy as np

from pipeline.recording import REASONS

from . import recording, session, windows
from ._digests import digest_arrays
from ._sources import COLUMNS, source_of

ARRAYS = ("window_start_s", "reasons", "lfp", "spikes", "behavior", "features")
"""What ``content_digest`` covers, in its order."""


def request(key: dict[str, Any]) -> dict[str, Any]:
    """What was asked for and where it lies: names and parameters, no arrays."""
    task = (windows.WindowsTask & key).fetch1()
    asked: dict[str, Any] = {"task": task}
    for kind, link, table in (
        ("lfp", windows.WindowsLfp, recording.LfpSeries),
        ("units", windows.WindowsUnits, recording.Ingestion),
        ("behavior", windows.WindowsBehavior, recording.BehaviorSeries),
        ("features", windows.WindowsFeatures, recording.FeatureSeries),
    ):
        rows = (link & key).to_dicts()
        asked[kind] = None
        if rows:
            row = (table & rows[0]).to_dicts()[0]
            file = (session.NwbFile & {"nwb_file": row["nwb_file"]}).fetch1()
            path = {name: file[name] for name in COLUMNS}
            asked[kind] = {**{k: v for k, v in row.items() if k != "warnings"}, "file": path}
    left_out = recording.InvalidInterval & (windows.WindowsInvalid & key).proj()
    names = ("invalid_start_s", "invalid_stop_s", "scope")
    asked["invalid"] = [{n: r[n] for n in names} for r in left_out.to_dicts(order_by="KEY")]
    return asked


def cut(asked: dict[str, Any]) -> dict[str, Any]:
    """Read, preprocess and cut: the arrays of one Windows row and the rows of its parts."""
    task = asked["task"]
    params = windows.WindowParamSet.get(task)
    if asked["features"] is not None:
        from ._features import cut_features

        made = cut_features(asked)
    elif asked["lfp"] is not None:
        made = _cut_lfp(asked, params)
    else:
        made = _tile(asked, params)
    if task["bin_params"] is not None:
        made |= _binned(asked, made["window_start_s"], params.length_s)
    return made | {"content_digest": digest_arrays({name: made.get(name) for name in ARRAYS})}


def store(table, key: dict[str, Any], made: dict[str, Any]) -> None:
    """Insert the row and its parts."""
    row = {name: made[name] for name in made if name not in ("sites", "cells")}
    reasons = made["reasons"]
    table.insert1(
        {
            **key,
            **row,
            "n_windows": len(reasons),
            "n_kept": int((reasons == 0).sum()),
        }
    )
    table.Site.insert([{**key, "site": i, **site} for i, site in enumerate(made["sites"])])
    table.Cell.insert([{**key, "cell": i, **cell} for i, cell in enumerate(made.get("cells", ()))])
    counts = np.bincount(reasons.ravel(), minlength=len(REASONS))
    table.Rejected.insert(
        [
            {**key, "reason": REASONS[code], "n_rejected": int(count)}
            for code, count in enumerate(counts)
            if code and count
        ]
    )


def _cut_lfp(asked: dict[str, Any], params) -> dict[str, Any]:
    from pipeline.preprocessing import cut_lfp_windows

    series = asked["lfp"]
    where = {"nwb_file": series["nwb_file"], "series": series["series"]}
    sites = recording.LfpColumn * recording.Channel.proj("bad", "rel_x", "rel_y", "shank") & where
    columns = sites.to_dicts(order_by="lfp_column")
    chain = windows.LfpParamSet.get(asked["task"])
    with _open_lfp(series["file"], series["series_path"]) as lfp:
        cut_windows = cut_lfp_windows(
            lfp,
            chain,
            params,
            bad_channels=np.array([bool(column["bad"]) for column in columns]),
            invalid_intervals=_invalid(asked["invalid"], columns),
            geometry=_geometry(columns),
        )
    return {
        "window_start_s": cut_windows.start_s,
        "reasons": cut_windows.reasons,
        "lfp": cut_windows.data,
        "lfp_rate_out": cut_windows.rate,
        "window_notes": cut_windows.notes,
        "sites": [{n: c[n] for n in ("session", "probe", "channel")} for c in columns],
    }


def _open_lfp(file: dict[str, Any], series_path: str):
    """A series of a registered file, ready to be read."""
    if file["file_kind"] == "lfpack":
        from pipeline.lfpack import open_packed_lfp

        return open_packed_lfp(source_of(file), file["mapping"]["recording"])
    from pipeline.nwb import open_lfp

    return open_lfp(source_of(file), series_path)


def _geometry(columns: list[dict[str, Any]]):
    from pipeline.preprocessing import Geometry

    x = np.array([np.nan if c["rel_x"] is None else c["rel_x"] for c in columns])
    y = np.array([np.nan if c["rel_y"] is None else c["rel_y"] for c in columns])
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    shank = np.array([c["shank"] or 0 for c in columns])
    return Geometry(x, y, shank, neuropixels=1 if len(columns) == 384 else None)


def _invalid(
    left_out: list[dict[str, Any]], columns: list[dict[str, Any]]
) -> list[tuple[float, float]]:
    """Those of the task's invalid intervals that concern all probes or one of these."""
    probes = {column["probe"] for column in columns}
    return sorted(
        {
            (row["invalid_start_s"], row["invalid_stop_s"])
            for row in left_out
            if row["scope"] == "all" or row["scope"] in probes
        }
    )


def _tile(asked: dict[str, Any], params) -> dict[str, Any]:
    """Windows without LFP: over the span in which units fire."""
    from pipeline.preprocessing import window_starts

    times = [t for t in _spikes(asked).times if len(t)]
    first = min(float(t[0]) for t in times) if times else 0.0
    last = max(float(t[-1]) for t in times) if times else 0.0
    starts = window_starts(params, first, last)
    return {
        "window_start_s": starts,
        "reasons": np.zeros((len(starts), 0), np.uint8),
        "lfp": None,
        "lfp_rate_out": None,
        "window_notes": [] if len(starts) else [f"spikes span {first:g} to {last:g} s: no window"],
        "sites": [],
    }


def _spikes(asked: dict[str, Any]):
    from pipeline.nwb import read_spikes

    file = asked["units"]["file"]
    return read_spikes(source_of(file))


def _binned(asked: dict[str, Any], starts: np.ndarray, length_s: float) -> dict[str, Any]:
    from pipeline.nwb import read_behavior
    from pipeline.preprocessing import bin_spikes, resample_behavior

    bins = windows.BinParamSet.get(asked["task"])
    made: dict[str, Any] = {}
    if asked["units"] is not None:
        spikes = _spikes(asked)
        made["spikes"] = bin_spikes(spikes.times, starts, length_s, bins.bin_s)
        file = asked["units"]["nwb_file"]
        made["cells"] = [{"nwb_file": file, "unit": int(unit)} for unit in spikes.units["unit"]]
    if asked["behavior"] is not None:
        series = asked["behavior"]
        times, values, _ = read_behavior(source_of(series["file"]), series["behavior_path"])
        made["behavior"] = resample_behavior(
            times, values, starts, length_s, bins.bin_s, max_gap_s=bins.max_gap_s
        )
    return made
