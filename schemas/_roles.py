"""Which of a recording's windows play which part in a fold."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pipeline.preprocessing.splits import Assignment, select_windows
from pipeline.recording import WindowSet

from . import dataset
from ._load import load_each
from ._tables import among


def member_windows(split: str, name: str) -> WindowSet:
    """A member of the dataset that was split: all its windows, with the labels that count."""
    return members_windows(split, [name])[name]


def members_windows(split: str, names: Iterable[str]) -> dict[str, WindowSet]:
    """The same of several members, by name."""
    joined = dataset.DatasetMember * dataset.SplitTask.proj("dataset") * dataset.Dataset
    asked = among([{"windows": name} for name in names])
    rows = (joined & {"split": split} & asked).to_dicts()
    if not rows:
        raise LookupError(f"split {split} has none of the windows asked for")
    about = {"scheme": rows[0]["scheme"], "regions": rows[0]["counted_regions"]}
    return load_each({row["windows"]: row["label_set"] for row in rows}, **about)


def role_masks(split: str, fold: int, windowset: WindowSet) -> dict[str, np.ndarray]:
    """For each role the windows have in a fold: which of them (bool, one per window)."""
    key = {"split": split, "fold": fold, "windows": windowset.windows}
    return masks_of((dataset.SplitAssignment & key).to_dicts(), windowset)


def masks_of(parts: list[dict[str, Any]], windowset: WindowSet) -> dict[str, np.ndarray]:
    """The same of a fold's rows of SplitAssignment; those of other windows are passed over."""
    masks: dict[str, np.ndarray] = {}
    for row in parts:
        if row["windows"] != windowset.windows:
            continue
        part = Assignment(
            row["windows"], row["role"], row["block_start_s"], row["block_stop_s"],
            row["max_windows"],
        )  # fmt: skip
        mask = select_windows(windowset.start_s, windowset.window_s, part)
        masks[row["role"]] = masks.get(row["role"], np.zeros(len(windowset), bool)) | mask
    return masks


def subjects_of(split: str, fold: int, roles: Sequence[str]) -> set[str]:
    """Subjects, each behind its source, of whom a fold gives windows one of these roles."""
    from . import session, windows

    parts = dataset.SplitAssignment * windows.WindowsTask.proj("session") * session.Session
    mine = parts & {"split": split, "fold": fold} & [{"role": role} for role in roles]
    return {f"{row['source']}/{row['subject']}" for row in mine.to_dicts()}
