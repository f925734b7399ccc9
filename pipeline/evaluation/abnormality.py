"""How diseased each region looks: shares of windows, tested by permuting who is diseased."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from jaxtyping import Bool

from .intervals import IntervalParams, cluster, resample
from .scores import ScoreRow

EVERYWHERE = "all regions"
LEVEL = "session"
MOST_PERMUTATIONS = 20_000
"""More arrangements of subjects than these are drawn at random."""


@dataclass(frozen=True)
class Arrangements:
    """Who is called diseased: the real arrangement first, then the others.

    Attributes
    ----------
    diseased
        One row per arrangement, one column per subject.
    possible
        How many there are; ``diseased`` may be a random share of them.
    """

    diseased: Bool[np.ndarray, "arrangement subject"]
    possible: int

    @property
    def smallest(self) -> float:
        """The least p there can be: only the real arrangement is as far out."""
        return 1 / len(self.diseased)


def abnormality(
    called: pd.DataFrame, *, interval: IntervalParams | None = None, seed: int = 0
) -> list[ScoreRow]:
    """Share of windows called diseased per region, in diseased animals and in controls.

    The unit is the session: its share is one number per region, and sessions count alike. What
    is permuted is which subjects are diseased, all sessions of one moving together. The answers
    stay as they are, models are not fitted again: it is a test of answers against conditions.

    Parameters
    ----------
    called
        One row per held-out window: ``subject``, ``session``, ``region`` (None where unknown),
        ``diseased`` (bool, what the animal is) and ``called`` (bool, what the model says).
    interval
        Of the share in diseased animals: resamples those animals.

    Returns
    -------
    list of ScoreRow
        Per region and for all of them: ``abnormality`` (share in diseased sessions; chance is
        the share in controls), ``abnormality_difference`` (its interval is what permuting gives),
        ``abnormality_p`` (chance is the least p there can be), and ``abnormality_session``.

    Raises
    ------
    ValueError
        If a subject is both diseased and a control.
    """
    interval = interval or IntervalParams()
    condition = called.groupby("subject")["diseased"].agg(["min", "max"])
    torn = condition.index[condition["min"] != condition["max"]].tolist()
    if torn:
        raise ValueError(f"subject {', '.join(map(str, torn))} is both diseased and a control")
    rows: list[ScoreRow] = []
    known = called[called["region"].notna()]
    parts = [(EVERYWHERE, called), *known.groupby("region", sort=True)]
    for region, part in parts:
        sessions = part.groupby(["subject", "session"], sort=True)
        shares = sessions["called"].agg(["mean", "size"]).reset_index()
        shares["diseased"] = sessions["diseased"].first().to_numpy(bool)
        rows += _region_rows(str(region), shares, interval, seed)
    return rows


def _region_rows(
    region: str, shares: pd.DataFrame, interval: IntervalParams, seed: int
) -> list[ScoreRow]:
    n, told = int(shares["size"].sum()), {True: "diseased", False: "control"}
    rows = []
    for row in shares.to_dict("records"):
        detail = f"{region}; {told[row['diseased']]}; {row['session']}"
        rows.append(ScoreRow("abnormality_session", LEVEL, row["mean"], None, row["size"],
                             reason="one session", detail=detail))  # fmt: skip
    if shares["diseased"].nunique() < 2:
        reason = f"no session of a {told[not shares['diseased'].iloc[0]]} animal has the region"
        return [*rows, ScoreRow("abnormality", LEVEL, None, None, n, reason=reason, detail=region)]
    ill, well = shares[shares["diseased"]], shares[~shares["diseased"]]
    low, high, why = _resampled(ill, interval)
    rows.append(ScoreRow("abnormality", LEVEL, float(ill["mean"].mean()),
                         float(well["mean"].mean()), n, low, high, why, region))  # fmt: skip
    return rows + _permuted(region, shares, n, interval, seed)


def _resampled(ill: pd.DataFrame, interval: IntervalParams):
    groups = cluster(ill["subject"])
    totals = groups.total(np.column_stack([ill["mean"], np.ones(len(ill))]))
    ends = resample(groups, totals, lambda sums: sums[:, :1] / sums[:, 1:], interval)
    if isinstance(ends, str):
        return None, None, ends
    return float(ends[0][0]), float(ends[1][0]), None


def _permuted(
    region: str, shares: pd.DataFrame, n: int, interval: IntervalParams, seed: int
) -> list[ScoreRow]:
    """The difference under every arrangement of who is diseased."""
    subject, names = pd.factorize(shares["subject"])
    real = np.zeros(len(names), bool)
    real[subject[shares["diseased"]]] = True
    every = arrangements(real, seed)
    ill = every.diseased[:, subject]
    mean = shares["mean"].to_numpy(float)
    apart = (ill @ mean) / ill.sum(axis=1) - (~ill @ mean) / (~ill).sum(axis=1)
    p = float((np.abs(apart) >= abs(apart[0]) - 1e-12).mean())
    tail = 50 * (1 - interval.confidence)
    low, high = (float(q) for q in np.percentile(apart, (tail, 100 - tail)))
    counted = f"{len(apart)} of {every.possible} ways to say which {int(real.sum())} of "
    told = f"{counted}{len(names)} subjects are diseased"
    return [
        ScoreRow("abnormality_difference", LEVEL, float(apart[0]), 0.0, n, low, high,
                 f"range over {told}", region),
        ScoreRow("abnormality_p", LEVEL, p, every.smallest, n,
                 reason=f"two-sided, {told}", detail=region),
    ]  # fmt: skip


def arrangements(
    real: Bool[np.ndarray, " subject"], seed: int = 0, most: int = MOST_PERMUTATIONS
) -> Arrangements:
    """Every way to call as many subjects diseased as are, the real one first; or a random share."""
    n, ill = len(real), int(real.sum())
    possible = comb(n, ill)
    if possible <= most:
        others = [row for row in _choices(n, ill) if not (row == real).all()]
    else:
        rng = np.random.default_rng(seed)
        others = [rng.permutation(real) for _ in range(most - 1)]
    return Arrangements(np.array([real, *others]), possible)


def _choices(n: int, k: int) -> Iterator[np.ndarray]:
    for chosen in combinations(range(n), k):
        row = np.zeros(n, bool)
        row[list(chosen)] = True
        yield row
