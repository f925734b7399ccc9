"""Lanes: which tables a worker fills, and which of their jobs a study wants."""

from collections.abc import Iterable
from typing import Any

import datajoint as dj

import schemas
from schemas import dataset
from schemas._tables import computed_tables

LANES = {
    "io": ("Ingestion",),
    "cpu": (
        "ChannelLabel", "Windows", "Split", "Evaluation", "LinearProbe", "Silhouette", "Control",
        "LabelScore",
    ),
    "gpu": ("Training", "Embedding", "Prediction"),
}  # fmt: skip
"""Reading files; arithmetic on signals and results; models. A table is in one lane."""


class LaneError(ValueError):
    """A lane, a study or a device that a worker cannot work on."""


def parse_lanes(texts: Iterable[str]) -> tuple[str, ...]:
    """Names of lanes from ``io``, ``io,cpu`` or ``all``, in the order jobs flow.

    Raises
    ------
    LaneError
        If there is no such lane.
    """
    asked = {name.strip() for text in texts for name in text.split(",")}
    wrong = asked - {*LANES, "all"}
    if wrong or not asked:
        raise LaneError(
            f"no lane {', '.join(sorted(wrong)) or 'given'}; there are {', '.join(LANES)}, and all"
        )
    return tuple(lane for lane in LANES if lane in asked or "all" in asked)


def tables_of(lanes: Iterable[str]) -> list[tuple[str, type[dj.Table]]]:
    """Name and class of the tables of these lanes, in foreign-key order."""
    wanted = {name for lane in lanes for name in LANES[lane]}
    return [(name, table) for name, table in computed_tables() if table.__name__ in wanted]


def jobs_of_study(study: str, table: type[dj.Table]) -> list[dict[str, Any]]:
    """Keys of `table` that a study wants, as far as it has asked by now.

    Raises
    ------
    LaneError
        If there is no such study.
    """
    if not dataset.Study & {"study": study}:
        known = sorted(dataset.Study.to_arrays("study"))
        raise LaneError(f"no study {study!r} in the database; there are {known[:10]}")
    if table is schemas.anatomy.ChannelLabel:
        return _labels_of(study)
    (parent,) = table().parents(primary=True, as_objects=True)
    member = parent.table_name.lstrip("#_~")
    rows = dataset.StudyMember & {"study": study, "member_table": member}
    (column,) = parent.primary_key
    return [{column: name} for name in rows.to_arrays("member")]


def _labels_of(study: str) -> list[dict[str, Any]]:
    splits = dataset.StudyMember & {"study": study, "member_table": "split_task"}
    names = [{"split": name} for name in splits.to_arrays("member")]
    chosen = dataset.DatasetMember * dataset.Dataset & (dataset.SplitTask & names).proj("dataset")
    rows = (chosen & "label_set is not null" if names else ()) or ()
    return [{"label_set": row["label_set"], "scheme": row["scheme"]} for row in rows]
