"""From which confidence to answer, so that at most a stated share of the answers is wrong."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field

from ..evaluation.intervals import Clusters, IntervalParams, resample
from ..evaluation.risk import RiskParams, choose_threshold
from ..evaluation.scores import ScoreRow, as_labels
from ..params import Params
from .postprocess import UNKNOWN


class Abstention(Params):
    """The least confidence of an answer, and what it did where it was chosen."""

    asked: RiskParams
    least: float | None = Field(description="confidence of an answer; None: nothing is answered")
    coverage: float = Field(description="share of validation channels that it answers")
    risk: float | None = Field(description="share of those answers that are wrong; None: none is")
    n: int = Field(description="validation channels with a label and an answer")
    n_subjects: int = Field(description="validation subjects they are of")
    n_heard: int = Field(
        0, description="of these subjects, how many lend other windows to training"
    )

    @property
    def limit(self) -> float:
        """The least confidence; infinite where nothing is answered."""
        return float("inf") if self.least is None else self.least

    def refusal(self, confidence: float) -> str:
        """Why a channel this sure is not answered."""
        if self.least is None:
            return f"no confidence keeps errors at {self.asked.target:g} on validation subjects"
        return (
            f"confidence {confidence:.2f} below {self.least:.2f}, "
            f"chosen for {self.asked.target:g} wrong at most"
        )

    def told(self) -> str:
        """In a sentence: what was asked, what was chosen, on how many."""
        target, said = self.asked.target, f"{self.n:,} channels of {self.n_subjects} validation "
        said += "subject" + "s" * (self.n_subjects != 1)
        said += f" ({self.n_heard} trained too, with other windows)" if self.n_heard else ""
        if self.least is None:
            return f"at most {target:.1%} wrong was asked; no confidence keeps that on {said}"
        kept = "on these channels" if self.asked.confidence is None else (
            f"with {self.asked.confidence:.0%} confidence if channels were independent"
        )  # fmt: skip
        return (
            f"at most {target:.1%} wrong was asked, {kept}; answered from confidence "
            f"{self.least:.3f}, chosen on {said}, where {self.coverage:.1%} are answered and "
            f"{self.risk:.1%} of these wrong"
        )


def learn_abstention(
    answers: pd.DataFrame, truth: Sequence[str | None], subjects: Iterable[str], params: RiskParams
) -> Abstention | None:
    """The threshold that keeps the risk asked on validation subjects; None without a channel.

    Parameters
    ----------
    answers
        Of ``channel_predictions`` with no least confidence: ``region``, ``confidence``.
    truth
        Region of each channel, also one that the model has no name for (an answer is then wrong);
        None where nothing is known.
    subjects
        Whose channel each is. Never a tested one.
    """
    truth, who = as_labels(truth), np.array(list(subjects), dtype=object)
    said, sure = answers["region"].to_numpy(object), answers["confidence"].to_numpy(float)
    known = np.array([one is not None for one in truth], dtype=bool)
    known &= (said != UNKNOWN) & np.isfinite(sure)
    if not known.any():
        return None
    found = choose_threshold(sure[known], (said == truth)[known], params)
    nothing = found.reason is not None
    return Abstention(
        asked=params,
        least=None if nothing else found.least,
        coverage=found.coverage,
        risk=None if nothing else found.risk,
        n=found.n,
        n_subjects=len(set(who[known])),
    )


def score_abstention(
    answers: Iterable[object],
    truth: Iterable[object],
    groups: Clusters,
    target: float,
    *,
    level: str,
    interval: IntervalParams | None = None,
) -> list[ScoreRow]:
    """Share of labelled channels answered, and of these answers wrong, on held-out subjects.

    Parameters
    ----------
    answers
        Region of each channel, None or ``unknown`` where it is refused.
    truth
        Its label; answering a channel of a region that no answer names is an error.
    target
        The risk that was asked.

    Returns
    -------
    Rows ``risk`` (chance: naming the commonest region always) and ``coverage``.
    """
    truth, said = as_labels(truth), as_labels(answers)
    known = np.array([one is not None for one in truth], dtype=bool)
    about = {"level": level, "detail": f"asked {target:g}", "chance": None}
    if not known.any():
        reason = f"none of {len(truth)} channels has a label"
        return [ScoreRow(metric=m, value=None, n=0, reason=reason, **about)
                for m in ("risk", "coverage")]  # fmt: skip
    truth, said, groups = truth[known], said[known], groups.take(known)
    answered = np.array([one is not None for one in said], dtype=bool)
    columns = np.stack([answered & (said != truth), answered, np.ones(len(truth))], axis=1)
    totals = groups.total(columns.astype(float))

    def statistic(sums: Float[np.ndarray, "draw column"]) -> np.ndarray:
        wrong, given, n = sums.T
        risk = np.divide(wrong, given, out=np.full(len(given), np.nan), where=given > 0)
        return np.stack([risk, given / np.maximum(n, 1)], axis=1)

    value = statistic(totals.sum(axis=0)[None])[0]
    ends = resample(groups, totals, statistic, interval or IntervalParams())
    names = truth[answered]
    commonest = max((np.sum(names == name) for name in set(names)), default=0)
    chance = 1 - commonest / len(names) if len(names) else None
    rows = []
    for i, (metric, n) in enumerate((("risk", int(answered.sum())), ("coverage", len(truth)))):
        if not np.isfinite(value[i]):
            reason = "nothing is answered"
            rows.append(ScoreRow(metric=metric, value=None, n=n, reason=reason, **about))
            continue
        low, high, reason = _ends(ends, i, groups)
        more = {**about, "chance": chance if metric == "risk" else None}
        rows.append(ScoreRow(metric=metric, value=float(value[i]), n=n, low=low, high=high,
                             reason=reason, **more))  # fmt: skip
    return rows


def _ends(ends, i: int, groups: Clusters) -> tuple[float | None, float | None, str | None]:
    if isinstance(ends, str):
        return None, None, ends
    low, high = float(ends[0][i]), float(ends[1][i])
    if not np.isfinite(low):
        return None, None, "no interval: undefined in every draw"
    return low, high, groups.note
