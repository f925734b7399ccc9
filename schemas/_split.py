"""Folds of a dataset as rows: what ``Split.make`` does."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.params import digest

from . import dataset, session, windows
from ._cache import open_array
from ._names import safe_name


def split(table, key: dict[str, Any]) -> None:
    """Assign every member's windows to roles and insert the folds."""
    from pipeline.preprocessing import assign_split

    task = (dataset.SplitTask & key).fetch1()
    params = dataset.SplitParamSet.get(task)
    members = _members(task["dataset"], also=params.by)
    folds = assign_split(members, _by_key(params, set(members["lab"])))
    subject = dict(zip(members["windows"], members["subject"], strict=True))
    rows = [
        {
            **key,
            "fold": fold.fold,
            "windows": part.windows,
            "role": part.role,
            "block": number,
            "block_start_s": part.start_s,
            "block_stop_s": part.stop_s,
            "max_windows": part.max_windows,
        }
        for fold in folds
        for number, part in enumerate(fold.assignments)
    ]
    table.insert1({**key, "n_folds": len(folds), "assignment_digest": assignment_digest(rows)})
    dataset.SplitFold.insert(
        [
            {
                **key,
                "fold": fold.fold,
                "fold_name": fold.name[:128],
                "transductive": fold.transductive,
                "within_subject": not {
                    subject[part.windows] for part in fold.of("train", "support")
                }.isdisjoint(subject[part.windows] for part in fold.of("test")),
            }
            for fold in folds
        ]
    )
    dataset.SplitAssignment.insert(rows)


def _by_key(params, labs: set[str]):
    """Laboratories may be named as the files write them, whatever their keys became."""
    if params.by != "lab":
        return params
    keys = {
        name: tuple(lab if lab in labs else safe_name(lab) for lab in getattr(params, name))
        for name in ("test", "train")
    }
    return params.model_copy(update=keys)


def assignment_digest(rows: list[dict[str, Any]]) -> str:
    """sha256 of assignments, whatever their order."""
    return digest(sorted(rows, key=lambda row: (row["fold"], row["windows"], row["block"])))


def _members(name: str, *, also: str = "") -> pd.DataFrame:
    joined = dataset.DatasetMember.proj() * windows.WindowsTask.proj(
        "session", "window_params"
    ) * windows.Windows.proj("n_windows", "window_start_s") * session.Session.proj(
        "subject", "source"
    ) & {"dataset": name}
    rows = joined.to_dicts()
    wanted = len(dataset.DatasetMember & {"dataset": name})
    if len(rows) != wanted:
        raise LookupError(
            f"{wanted - len(rows)} of {wanted} members have no windows yet; populate Windows first"
        )
    for row in rows:
        starts = np.asarray(open_array(row.pop("window_start_s")), float)
        length_s = windows.WindowParamSet.get(row).length_s
        row["t_start"] = float(starts[0]) if len(starts) else np.nan
        row["t_stop"] = float(starts[-1]) + length_s if len(starts) else np.nan
        row["subject"] = f"{row['source']}/{row['subject']}"  # ids are unique within a lab only
        row["lab"] = row.pop("source")
    names = ["windows", "session", "subject", "lab", "n_windows", "t_start", "t_stop"]
    table = pd.DataFrame(rows)
    if also == "species":
        subjects = (session.Subject & _subject_keys(rows)).to_dicts()
        told = {f"{row['source']}/{row['subject']}": row["species"] for row in subjects}
        table["species"] = [told[name] or "species not told" for name in table["subject"]]
        names.append("species")
    if also == "insertion":
        table["insertion"] = _insertions(table)
        names.append("insertion")
    return table[names].sort_values("windows", ignore_index=True)


def _insertions(table: pd.DataFrame) -> list[str]:
    """Session and LFP series of each row's windows; windows of no LFP are their session's."""
    links = windows.WindowsLfp & [{"windows": name} for name in table["windows"]]
    series = dict(zip(*links.to_arrays("windows", "series"), strict=True))
    pairs = zip(table["windows"], table["session"], strict=True)
    return [f"{where}/{series[name]}" if name in series else where for name, where in pairs]


def _subject_keys(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    pairs = {tuple(row["subject"].split("/", 1)) for row in rows}
    return [{"source": source, "subject": subject} for source, subject in sorted(pairs)]
