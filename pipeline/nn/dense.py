"""Linear layers prepared once for inference in one of three number formats."""

import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Precision = Literal["fp32", "bf16", "int8"]
Dense = Callable[[Tensor], Tensor]


def dense(weight: Tensor, bias: Tensor | None, precision: Precision) -> Dense:
    """A function ``(window, row, in) -> (window, row, out)`` with weights already converted.

    Raises
    ------
    ValueError
        If int8 is asked for and this torch or processor has no int8 kernels.
    """
    if precision == "int8":
        return _int8(weight, bias)
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    weight = weight.detach().to(dtype)
    bias = None if bias is None else bias.detach().to(dtype)
    return lambda x: F.linear(x, weight, bias)


def _int8(weight: Tensor, bias: Tensor | None) -> Dense:
    """Weights rounded per output channel, activations per call: give it one window at a time."""
    engine = next((e for e in ("onednn", "x86") if e in _engines()), None)
    if engine is None or weight.device.type != "cpu":
        raise ValueError(
            f"int8 needs a CPU with onednn or x86 kernels, here is {weight.device} with "
            f"{_engines()}; ask for fp32 or bf16"
        )
    weight = weight.detach().float()
    scale = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12).double()
    zero = torch.zeros(len(weight), dtype=torch.long)
    before = torch.backends.quantized.engine
    try:
        torch.backends.quantized.engine = engine
        with warnings.catch_warnings():  # torch moves this to torchao, which is no dependency
            warnings.simplefilter("ignore")
            rounded = torch.quantize_per_channel(weight, scale, zero, 0, torch.qint8)
        packed = torch.ops.quantized.linear_prepack(
            rounded, None if bias is None else bias.detach().float()
        )
    finally:
        torch.backends.quantized.engine = before
    apply = torch.ops.quantized.linear_dynamic
    return lambda x: apply(x, packed, False)


def _engines() -> list[str]:
    return torch.backends.quantized.supported_engines
