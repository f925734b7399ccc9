"""Filling windows with what comes out of the chain, and noting what went into it."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from ..recording import REASONS
from .artifacts import OUTSIDE
from .equalise import Equaliser
from .geometry import Geometry
from .lfp import Chain, LfpParams, build_chain, find_equaliser
from .readers import LfpSource, runs
from .stages import Run

CODE = {name: np.uint8(code) for code, name in enumerate(REASONS)}


class Cutter:
    """Fills an array of windows, block after block, and watches the samples as recorded."""

    def __init__(
        self,
        source: LfpSource,
        params: LfpParams,
        labels: np.ndarray,
        geometry: Geometry | None,
        asked: np.ndarray,
        length_s: float,
        invalid: Sequence[tuple[float, float]] = (),
    ) -> None:
        self.source, self.params, self.geometry = source, params, geometry
        self.runs = runs(source)
        self.chains: dict[int, Chain] = {}
        self.labels, self.length_s = labels, length_s
        self.invalid = invalid
        self.equaliser = self._equaliser(asked)
        self.notes, self.factor = self._chain(0).notes, self._chain(0).factor
        self.rate = float(self._chain(0).last.rate)
        self.n = round(length_s * self.rate)
        self.start_s = asked.copy()
        shape = (len(asked), source.n_channels)
        self.data = np.zeros((len(asked), self.n, source.n_channels), np.float32)
        self.missing, self.low = np.zeros(shape, bool), np.full(shape, np.inf)
        self.high = np.full(shape, -np.inf)
        self.place = [self._locate(t) for t in asked]  # (run, sample after decimation) or None
        self._settle_starts()

    def _equaliser(self, asked: np.ndarray) -> Equaliser | None:
        """Measured where windows were asked for, as bad channels are."""
        if len(asked) == 0:
            return None
        span_s = float(asked[0]), float(asked[-1]) + self.length_s
        return find_equaliser(
            self.source, self.params, labels=self.labels, geometry=self.geometry,
            span_s=span_s, invalid=self.invalid,
        )  # fmt: skip

    def _chain(self, r: int) -> Chain:
        if r not in self.chains:
            run = Run(self.source, *self.runs[r], observe=self._observe)
            self.chains[r] = build_chain(
                run, self.params, labels=self.labels, geometry=self.geometry,
                equaliser=self.equaliser,
            )  # fmt: skip
        return self.chains[r]

    def _locate(self, t: float) -> tuple[int, int] | None:
        sample = self.source.sample_at(t)
        if not abs(self.source.time_of(sample) - t) <= 1.5 / self.source.rate:  # NaN is nowhere
            return None
        r = max(bisect_right(self.runs, sample, key=lambda run: run[0]) - 1, 0)
        k = round((sample - self.runs[r][0]) / self.factor)
        return (r, k) if k + self.n <= self._chain(r).last.n_samples else None

    def _settle_starts(self) -> None:
        spans = np.full((len(self.place), 2), -1)
        for w, where in enumerate(self.place):
            if where is not None:
                first = self.runs[where[0]][0] + where[1] * self.factor
                spans[w] = first, first + self.n * self.factor
                begins = self.source.time_of(first)
                self.start_s[w] = begins if np.isfinite(begins) else self.start_s[w]
        self.spans = spans  # recorded samples of each window

    def fill(self) -> None:
        """Read every window that can be read."""
        for r in sorted({where[0] for where in self.place if where is not None}):
            mine = [w for w, where in enumerate(self.place) if where is not None and where[0] == r]
            for group in self._groups(mine, self._chain(r)):
                a = self.place[group[0]][1]
                b = max(self.place[w][1] for w in group) + self.n
                block = self._chain(r).last.read(a, b)
                for w in group:
                    k = self.place[w][1] - a
                    self.data[w] = block[k : k + self.n]

    def _groups(self, windows: list[int], chain: Chain) -> list[list[int]]:
        """Windows to read in one go: near each other, and together no longer than a block."""
        longest = max(self.n, round(self.params.block_s * chain.last.rate))
        groups: list[list[int]] = []
        for w in windows:
            k = self.place[w][1]
            near = groups and k - self.place[groups[-1][-1]][1] - self.n <= 2 * chain.padding
            if near and k + self.n - self.place[groups[-1][0]][1] <= longest:
                groups[-1].append(w)
            else:
                groups.append([w])
        return groups

    def _observe(self, first: int, raw: np.ndarray) -> None:
        last = first + len(raw)
        for w in np.flatnonzero((self.spans[:, 0] < last) & (self.spans[:, 1] > first)):
            a, b = max(self.spans[w, 0], first), min(self.spans[w, 1], last)
            part = raw[a - first : b - first]
            self.missing[w] |= ~np.isfinite(part).all(axis=0)
            self.low[w] = np.fmin(self.low[w], np.fmin.reduce(part, axis=0))
            self.high[w] = np.fmax(self.high[w], np.fmax.reduce(part, axis=0))

    def reasons(self) -> UInt8[np.ndarray, "window channel"]:
        """Reason of each pair; the first of `REASONS` that applies."""
        unread = np.array([where is None for where in self.place], bool)
        for begin, end in self.invalid:
            unread |= (self.start_s < end) & (self.start_s + self.length_s > begin)
        reasons = np.zeros(self.missing.shape, np.uint8)
        reasons[:, (self.labels == 1) | (self.labels == 2)] = CODE["bad_channel"]
        reasons[:, self.labels == OUTSIDE] = CODE["outside"]
        reasons[unread] = CODE["invalid_interval"]
        reasons[self.low == self.high] = CODE["zero"]
        reasons[self.missing] = CODE["nan"]
        return reasons

    def peaks(self) -> Float32[np.ndarray, "window channel"]:
        """Largest distance from the window's mean (µV)."""
        found = np.zeros(self.missing.shape, np.float32)
        for w, window in enumerate(self.data):
            found[w] = np.abs(window - window.mean(axis=0)).max(axis=0)
        return found
