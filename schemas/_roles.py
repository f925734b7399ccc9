"""Which of a recording's windows play which part in a fold."""

import numpy as np

from pipeline.preprocessing.splits import Assignment, select_windows
from pipeline.recording import WindowSet

from . import dataset
from ._load import load_windows


def member_windows(split: str, name: str) -> WindowSet:
    """A member of the dataset that was split: all its windows, with the labels that count."""
    joined = dataset.DatasetMember * dataset.SplitTask.proj("dataset") * dataset.Dataset
    row = (joined & {"split": split, "windows": name}).fetch1()
    return load_windows(
        name, scheme=row["scheme"], label_set=row["label_set"], regions=row["counted_regions"]
    )


def role_masks(split: str, fold: int, windowset: WindowSet) -> dict[str, np.ndarray]:
    """For each role the windows have in a fold: which of them (bool, one per window)."""
    key = {"split": split, "fold": fold, "windows": windowset.windows}
    masks: dict[str, np.ndarray] = {}
    for row in (dataset.SplitAssignment & key).to_dicts():
        part = Assignment(
            row["windows"], row["role"], row["block_start_s"], row["block_stop_s"],
            row["max_windows"],
        )  # fmt: skip
        mask = select_windows(windowset.start_s, windowset.window_s, part)
        masks[row["role"]] = masks.get(row["role"], np.zeros(len(windowset), bool)) | mask
    return masks
