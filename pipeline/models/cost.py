"""What a model costs, from its parameters alone."""

from .parameters import CONV_KERNEL, CONV_STRIDE, Lfp2VecParams

TRAINING = 3
"""Forward and backward against forward alone."""


def forward_flop(params: object, window_s: float) -> float:
    """Floating-point operations of one window of one channel, forward; 0 for the baselines.

    Products of matrices and convolutions are counted, a multiplication and an addition each.
    Models of whole windows count as baselines: they are small.
    """
    return _lfp2vec(params, window_s) if isinstance(params, Lfp2VecParams) else 0.0


def _lfp2vec(params: Lfp2VecParams, window_s: float) -> float:
    n, width, total = round(window_s * params.model_rate), 1, 0.0
    for kernel, stride, out in zip(CONV_KERNEL, CONV_STRIDE, params.conv_dim, strict=True):
        n = max((n - kernel) // stride + 1, 0)
        total += n * kernel * width * out
        width = out
    hidden = params.hidden
    total += n * width * hidden  # projection of the stem
    total += n * params.position_kernel * hidden * hidden / params.position_groups
    layer = n * (4 * hidden**2 + 2 * hidden * params.feedforward) + 2 * n**2 * hidden
    return 2 * (total + params.layers * layer)
