"""What a model says of a labelled probe."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64


@dataclass(frozen=True)
class ScoredProbe:
    """What the model says of one probe, and its labels: for fitting on subjects not tested.

    Attributes
    ----------
    log_probs
        Mean log probability of each class over the channel's windows; NaN for a bad channel.
    labels
        Region of each channel, None where nothing is known.
    depth_um
        Along the shank (µm), growing from the tip.
    subject
        Whose probe it is.
    """

    log_probs: Float64[np.ndarray, "channel class"]
    labels: Sequence[str | None]
    depth_um: Float64[np.ndarray, " channel"]
    shank: Int64[np.ndarray, " channel"]
    subject: str = ""
