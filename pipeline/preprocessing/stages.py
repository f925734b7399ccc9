"""The links of the chain: each reads what it needs from the one before, and a little more.

Every stage answers ``read(start, stop)`` for any stretch of its samples by asking its parent for
that stretch plus the length of its own memory. Memory is bounded by the stretch, whatever the
length of the file, and the result does not depend on how it was cut.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64

from .filtering import FIR_ZERO_CROSSINGS, decimate, filter_both_ways
from .readers import LfpSource

RAW_VALUES_AT_ONCE = 4_000_000
"""Values of the undecimated signal held at one time."""

Block = Float32[np.ndarray, "time channel"]
Observer = Callable[[int, np.ndarray], None]


@runtime_checkable
class Stage(Protocol):
    """A signal that can be read piece by piece (µV)."""

    rate: float
    n_samples: int
    n_channels: int

    def read(self, start: int, stop: int) -> Block: ...


class Run:
    """One unbroken stretch of a recording; missing samples are bridged, and reported first.

    Parameters
    ----------
    source
        The recording.
    first, last
        Its first sample here, and the one past the last.
    observe
        Called with the recording's sample number and the samples as they are in the file.
    """

    def __init__(
        self, source: LfpSource, first: int, last: int, observe: Observer | None = None
    ) -> None:
        self.source, self.first, self.observe = source, first, observe
        self.rate, self.n_channels = source.rate, source.n_channels
        self.n_samples = last - first

    def read(self, start: int, stop: int) -> Block:
        raw = self.source.read(self.first + start, self.first + stop)
        if self.observe is not None:
            self.observe(self.first + start, raw)
        return bridge_missing(raw)


def bridge_missing(raw: Block) -> Block:
    """Replace NaN and infinity by a straight line between their neighbours; 0 if all are.

    One missing sample would otherwise spread over the whole block in a recursive filter.
    """
    finite = np.isfinite(raw)
    if finite.all():
        return raw
    bridged = raw.copy()
    at = np.arange(len(raw))
    for channel in np.flatnonzero(~finite.all(axis=0)):
        here = finite[:, channel]
        line = np.interp(at[~here], at[here], raw[here, channel]) if here.any() else 0.0
        bridged[~here, channel] = line
    return bridged


class Decimated:
    """Every `factor`-th sample of the parent after an anti-alias filter."""

    def __init__(self, parent: Stage, factor: int) -> None:
        self.parent, self.factor = parent, factor
        self.rate, self.n_channels = parent.rate / factor, parent.n_channels
        self.n_samples = -(-parent.n_samples // factor)

    def read(self, start: int, stop: int) -> Block:
        out = np.empty((stop - start, self.n_channels), np.float32)
        step = max(256, RAW_VALUES_AT_ONCE // (self.factor * self.n_channels))
        for a in range(start, stop, step):
            b = min(a + step, stop)
            out[a - start : b - start] = decimate(self._padded(a, b), self.factor, b - a)
        return out

    def _padded(self, start: int, stop: int) -> Block:
        half = FIR_ZERO_CROSSINGS * self.factor
        a, b = start * self.factor - half, (stop - 1) * self.factor + half + 1
        inside = self.parent.read(max(a, 0), min(b, self.parent.n_samples))
        missing = (max(-a, 0), max(b - self.parent.n_samples, 0))
        return np.pad(inside, (missing, (0, 0)), mode="edge") if any(missing) else inside


@dataclass
class Filtered:
    """The parent through second-order sections, forwards and backwards."""

    parent: Stage
    sos: Float64[np.ndarray, "section 6"]
    padding: int

    def __post_init__(self) -> None:
        self.rate, self.n_channels = self.parent.rate, self.parent.n_channels
        self.n_samples = self.parent.n_samples

    def read(self, start: int, stop: int) -> Block:
        a, b = max(start - self.padding, 0), min(stop + self.padding, self.n_samples)
        return filter_both_ways(self.parent.read(a, b), self.sos)[start - a : stop - a]


@dataclass
class Mapped:
    """The parent through a function of one block that needs no memory (references)."""

    parent: Stage
    function: Callable[[Block], Block]

    def __post_init__(self) -> None:
        self.rate, self.n_channels = self.parent.rate, self.parent.n_channels
        self.n_samples = self.parent.n_samples

    def read(self, start: int, stop: int) -> Block:
        return self.function(self.parent.read(start, stop))


@dataclass
class Padded(Mapped):
    """The parent through a function of one block that spoils `padding` samples at its ends."""

    padding: int

    def read(self, start: int, stop: int) -> Block:
        a, b = max(start - self.padding, 0), min(stop + self.padding, self.n_samples)
        return self.function(self.parent.read(a, b))[start - a : stop - a]
