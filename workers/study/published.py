"""What a paper says, and ours of the same measure."""

from collections.abc import Collection, Iterable
from typing import Any

import pandas as pd

from pipeline.analyses.report_paper import LEVELS, OURS
from schemas._published import READ_OUT

from .leading import LED, MEAN, MEASURE, ONE, POOLED, leading
from .spec import Published, StudySpec

STATED = {"pooled": (POOLED,), "mean over sessions": (MEAN,), "": (POOLED, MEAN)}
"""What of ours may stand beside a value that is pooled, a mean, or not said to be either."""


def statistics_beside(one: Published, ours: Collection[tuple[str, str, str]]) -> tuple[str, ...]:
    """Which of our statistics stand beside a published value.

    Parameters
    ----------
    ours
        Level, metric and statistic of all that we have: a value of which it is not stated is
        beside our mean only where there is one.
    """
    if one.level in READ_OUT.values() or one.detail:
        return (ONE,)
    if not one.statistic and (one.level, one.metric, MEAN) not in ours:
        return (POOLED,)
    return STATED[one.statistic]


def paper_of(one: Published) -> dict[str, Any]:
    """A published value as a row has it."""
    return {
        "paper": one.value, "paper_n": one.n, "paper_spread": one.spread, "origin": one.origin,
        "paper_statistic": one.statistic,
    }  # fmt: skip


def beside_paper(spec: StudySpec, scores: pd.DataFrame) -> pd.DataFrame:
    """One row per published value of a study and statistic of ours that may stand beside it.

    Columns as `report_paper.measure_tables` takes them, the side being "ours".
    """
    means = {(one.level, one.metric) for one in spec.published if one.may_be_mean}
    found = leading(scores, means).to_dict("records") if spec.published else []
    ours = {(row["level"], row["metric"], row["statistic"]) for row in found}
    by_key = {tuple(row[name] for name in MEASURE): row for row in found}
    made = []
    for one in spec.published:
        for statistic in statistics_beside(one, ours):
            key = (one.model, one.level, one.metric, one.detail, statistic)
            mine = by_key.get(key, {})
            ours = {f"ours_{what}": mine.get(what) for what in OURS}
            made.append(
                {**dict(zip(MEASURE, key, strict=True)), "arm": "", **paper_of(one), **ours}
            )
    made.sort(key=lambda row: (_place(LED, row["metric"]), _place(LEVELS, row["level"])))
    return pd.DataFrame(made)


def _place(order: Iterable[str], name: str) -> int:
    """Where a name stands, others behind: raw accuracy is behind balanced ones, all by itself."""
    known = list(order)
    return known.index(name) if name in known else len(known)
