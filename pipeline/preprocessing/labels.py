"""Which channels are not to be trusted: what the file says, and what the signal shows."""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from .artifacts import label_channels
from .destripe import detect_ibl
from .geometry import Geometry
from .lfp import LfpParams
from .readers import LfpSource
from .stages import bridge_missing


def find_labels(
    source: LfpSource,
    params: LfpParams,
    starts: Float[np.ndarray, " window"],
    length_s: float,
    bad_channels: Bool[np.ndarray, " channel"] | None,
    geometry: Geometry | None,
) -> UInt8[np.ndarray, " channel"]:
    """Label channels 0 good, 1 dead, 2 noisy, 3 outside: from the file, the signal, or both.

    IBL's detector serves where destriping is asked for and the sites are known; elsewhere a
    comparison with the other channels, which does not know what is outside the brain.
    """
    labels = np.zeros(source.n_channels, np.uint8)
    if params.bad_channels != "given" and len(starts):
        snippets = _snippets(source, params, starts, length_s)
        if params.destripe == "ibl" and geometry is not None:
            labels = detect_ibl(snippets, rate=source.rate)
        elif source.n_channels > 2:
            labels = label_channels(
                snippets, dead_ratio=params.dead_ratio, noisy_ratio=params.noisy_ratio
            )
    if params.bad_channels != "detected" and bad_channels is not None:
        labels[bad_channels & (labels == 0)] = 2
    return labels


def _snippets(
    source: LfpSource, params: LfpParams, starts: np.ndarray, length_s: float
) -> list[np.ndarray]:
    n = min(max(8, round(params.snippet_s * source.rate)), source.n_samples)
    centres = np.linspace(starts[0], starts[-1] + length_s, params.snippets + 2)[1:-1]
    firsts = {min(source.sample_at(t), source.n_samples - n) for t in centres}
    return [bridge_missing(source.read(a, a + n)) for a in sorted(firsts)]
