"""Whether a model says one region of everything: of a whole probe that is seldom true."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pydantic import Field

from ..params import Params


class OneAnswerParams(Params):
    """From where on one answer is warned about."""

    share: float = Field(0.9, gt=0, lt=1, description="windows with one leading region, beyond")
    confidence: float = Field(0.5, ge=0, le=1, description="mean probability of it, at least")


@dataclass(frozen=True)
class OneAnswer:
    """The region that leads most often.

    Attributes
    ----------
    share
        Of rows (window, channel) that it leads.
    confidence
        Mean of its probability over those rows.
    n
        Rows in all.
    warned
        Whether one answer of so much is to be warned about.
    """

    region: str
    share: float
    confidence: float
    n: int
    warned: bool

    @property
    def warning(self) -> str:
        """What to say of it."""
        return (
            f"{self.share:.0%} of {self.n:,} windows of channels are answered {self.region}, at a "
            f"mean confidence of {self.confidence:.2f}: either the probe lies in it alone, or the "
            "model does not hear this recording; confidence is not to be trusted"
        )


def find_one_answer(
    proba: Float[np.ndarray, "row class"],
    classes: Sequence[str],
    params: OneAnswerParams | None = None,
) -> OneAnswer | None:
    """The leading region of most rows; None without a row that has probabilities.

    Parameters
    ----------
    proba
        Class probabilities of one (window, channel); a row with NaN is left out.
    """
    params = params or OneAnswerParams()
    rows = proba[np.isfinite(proba).all(axis=1)]
    if not len(rows):
        return None
    leading = rows.argmax(axis=1)
    most = int(np.bincount(leading, minlength=rows.shape[1]).argmax())
    mine = leading == most
    share, sure = float(mine.mean()), float(rows[mine, most].mean(dtype=float))
    warned = share > params.share and sure >= params.confidence
    return OneAnswer(classes[most], share, sure, len(rows), warned)
