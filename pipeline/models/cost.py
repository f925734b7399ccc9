"""What a model costs, from its parameters alone."""

from itertools import pairwise

from .parameters import CONV_KERNEL, CONV_STRIDE, Lfp2VecParams
from .spectral_parameters import BrainBertParams, SimclrParams, SpectrogramMlpParams

TRAINING = 3
"""Forward and backward against forward alone."""


def forward_flop(params: object, window_s: float) -> float:
    """Floating-point operations of one window of one channel, forward; 0 for linear baselines.

    Products of matrices and convolutions are counted, a multiplication and an addition each.
    Models of whole windows count as baselines: they are small.
    """
    match params:
        case Lfp2VecParams():
            return _lfp2vec(params, window_s)
        case BrainBertParams():
            n = params.frames
            return 2 * (n * params.bins * params.hidden + _layers(params, n))
        case SimclrParams():
            widths = (params.frames * params.bins, *params.widths)
            return 2.0 * sum(a * b for a, b in pairwise(widths))
        case SpectrogramMlpParams():
            return 2.0 * params.frames * params.bins * params.head_dim
    return 0.0


def _lfp2vec(params: Lfp2VecParams, window_s: float) -> float:
    n, width, total = round(window_s * params.model_rate), 1, 0.0
    for kernel, stride, out in zip(CONV_KERNEL, CONV_STRIDE, params.conv_dim, strict=True):
        n = max((n - kernel) // stride + 1, 0)
        total += n * kernel * width * out
        width = out
    hidden = params.hidden
    total += n * width * hidden  # projection of the stem
    total += n * params.position_kernel * hidden * hidden / params.position_groups
    return 2 * (total + _layers(params, n))


def _layers(params: Lfp2VecParams | BrainBertParams, n: int) -> float:
    """Multiplications in all transformer layers over n tokens."""
    hidden = params.hidden
    layer = n * (4 * hidden**2 + 2 * hidden * params.feedforward) + 2 * n**2 * hidden
    return float(params.layers * layer)
