"""One score: its value, what chance gives, how many samples, how sure; or why there is none."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class ScoreRow:
    """A number as the tables store it; ``(metric, level, detail)`` is unique among one result's.

    Attributes
    ----------
    metric
        ``accuracy``, ``balanced_accuracy``, ``co_bps``, ``silhouette``, ...
    level
        What one sample is (``window``, ``channel``, ``unit``) or which part of the result this
        is (``pooled``, ``fold``).
    value
        None where undefined; ``reason`` then says why.
    chance
        What a guess earns on the same samples; None where chance has no meaning.
    n
        Samples behind the value.
    low, high
        Interval ends; None where there are too few groups to resample.
    reason
        Why a value or an interval is missing, or what an interval resamples when not subjects.
    detail
        The class, the cell or the fold a row is about; empty for the whole.
    """

    metric: str
    level: str
    value: float | None
    chance: float | None
    n: int
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    detail: str = ""

    def __post_init__(self):
        for name in ("value", "chance", "low", "high"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise ValueError(f"{self.metric}.{name} is {number}; use None with a reason")
        if self.value is None and not self.reason:
            raise ValueError(f"{self.metric} has no value and no reason")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, one per column."""
        return asdict(self)


def score_frame(rows: Iterable[ScoreRow]) -> pd.DataFrame:
    """The rows as a table, one column per attribute."""
    rows = list(rows)
    frame = pd.DataFrame([r.to_dict() for r in rows], columns=list(ScoreRow.__dataclass_fields__))
    frame["reason"] = pd.Series([row.reason for row in rows], dtype=object)  # None, not NaN
    return frame


def as_labels(values: Iterable[object]) -> np.ndarray:
    """Object array of str or None; NaN, the empty text and ``unknown`` become None."""
    labels = [
        None if v is None or v != v or str(v) in ("", "unknown", "nan") else str(v) for v in values
    ]
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array
