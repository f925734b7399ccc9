"""How often answers are wrong when the unsure ones are left out, and where to draw that line."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from pydantic import Field

from ..params import Params


class RiskParams(Params):
    """What error rate is asked of the answers given."""

    target: float = Field(0.05, gt=0, lt=1, description="largest share of wrong answers")
    confidence: float | None = Field(
        None, gt=0, lt=1, description="of keeping the target; None: on the samples at hand"
    )
    lines: int = Field(20, ge=1, description="tried with a confidence, evenly over coverage")


@dataclass(frozen=True)
class Threshold:
    """From which confidence to answer, and what that did where it was chosen.

    Attributes
    ----------
    least
        Least confidence of an answer; infinite where no line keeps the target.
    coverage, risk
        Share of samples answered, and share of those wrong (NaN if none is).
    reason
        Why nothing is answered; None otherwise.
    """

    least: float
    coverage: float
    risk: float
    n: int
    reason: str | None = None


def risk_coverage(
    confidence: Float[np.ndarray, " sample"], right: Bool[np.ndarray, " sample"]
) -> pd.DataFrame:
    """One line per distinct confidence, from the highest: answer from there on.

    Returns
    -------
    ``least`` (confidence), ``answered``, ``wrong`` (counts), ``coverage``, ``risk`` (shares).

    Source: El-Yaniv and Wiener 2010, J. Mach. Learn. Res. 11:1605.
    """
    order = np.argsort(-confidence, kind="stable")
    sure, wrong = confidence[order], np.cumsum(~right[order])
    last = (
        np.flatnonzero(np.append(sure[1:] != sure[:-1], True)) if len(sure) else np.array([], int)
    )
    answered = last + 1
    return pd.DataFrame(
        {
            "least": sure[last],
            "answered": answered,
            "wrong": wrong[last],
            "coverage": answered / max(len(sure), 1),
            "risk": wrong[last] / answered,
        }
    )


def area_under_risk(
    confidence: Float[np.ndarray, " sample"], right: Bool[np.ndarray, " sample"]
) -> float:
    """Mean risk over coverage; ties share their risk evenly. NaN without samples.

    Source: Geifman and El-Yaniv 2019, ICLR.
    """
    curve = risk_coverage(confidence, right)
    if curve.empty:
        return float("nan")
    return float(np.average(curve["risk"], weights=np.diff(curve["coverage"], prepend=0.0)))


def choose_threshold(
    confidence: Float[np.ndarray, " sample"],
    right: Bool[np.ndarray, " sample"],
    params: RiskParams | None = None,
) -> Threshold:
    """The line that answers most while at most ``params.target`` of the answers are wrong.

    With ``params.confidence`` a few lines are tried from the surest down, and the first whose
    binomial bound exceeds the target ends the search, so that the whole search keeps the
    confidence. The bound takes samples as independent, which channels of one probe are not.

    Parameters
    ----------
    confidence, right
        Of validation subjects, never of those tested.

    Source: Angelopoulos et al. 2022, arXiv 2110.01052 (fixed-sequence testing);
    Clopper and Pearson 1934, Biometrika 26:404.
    """
    params = params or RiskParams()
    curve, n = risk_coverage(confidence, right), len(confidence)
    if params.confidence is None:
        kept = curve["risk"] <= params.target
    else:
        kept = curve.index.isin(_certain_lines(curve, params))
    if not kept.any():
        best = f"{curve['risk'].min():.3f}" if n else "unknown"
        reason = f"no confidence keeps errors at {params.target:g}; the least among {n} is {best}"
        return Threshold(float("inf"), 0.0, float("nan"), n, reason)
    line = curve[kept].iloc[-1]
    return Threshold(float(line["least"]), float(line["coverage"]), float(line["risk"]), n)


def _certain_lines(curve: pd.DataFrame, params: RiskParams) -> list[int]:
    """Rows of the lines that keep the target with confidence, in the order they are tried."""
    at = np.searchsorted(curve["coverage"], np.arange(1, params.lines + 1) / params.lines - 1e-9)
    lines = curve.loc[np.unique(at)] if len(curve) else curve
    kept = []
    for row, wrong, answered in zip(lines.index, lines["wrong"], lines["answered"], strict=True):
        if _upper_bound(0, answered, params.confidence) > params.target:
            continue  # too few to pass even without an error
        if _upper_bound(wrong, answered, params.confidence) > params.target:
            break
        kept.append(row)
    return kept


def _upper_bound(wrong: int, answered: int, confidence: float | None) -> float:
    from scipy.stats import beta  # slow to import

    return 1.0 if wrong == answered else float(beta.ppf(confidence, wrong + 1, answered - wrong))
