"""Where the channels of one series sit on their probe."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer


@dataclass(frozen=True)
class Geometry:
    """Positions of the channels of one LFP series, in column order.

    Attributes
    ----------
    x_um, y_um
        Across and along the shank (µm); y grows from the tip.
    shank
        Shank number of each channel.
    neuropixels
        Generation (1 or 2), None for any other probe. Only a full bank of 384 channels of
        generation 1 gets the correction for its multiplexed converters.
    """

    x_um: Float[np.ndarray, " channel"]
    y_um: Float[np.ndarray, " channel"]
    shank: Integer[np.ndarray, " channel"]
    neuropixels: int | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.x_um).all() or not np.isfinite(self.y_um).all():
            raise ValueError(
                "a geometry needs x and y (µm) of every channel; some are NaN: pass None instead"
            )
