"""Windows of LFP: where they begin, what is in them, and why some are rejected."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from pydantic import Field

from ..params import Params
from ..recording import REASONS
from .artifacts import OUTSIDE, artifact_windows, label_channels
from .destripe import detect_ibl
from .geometry import Geometry
from .lfp import Chain, LfpParams, build_chain
from .readers import LfpSource, runs
from .stages import Run, bridge_missing

CODE = {name: np.uint8(code) for code, name in enumerate(REASONS)}


class WindowParams(Params):
    """Where windows begin, how long they are, and what is rejected."""

    length_s: float = Field(3.0, gt=0, description="length of a window (s)")
    stride_s: float | None = Field(None, gt=0, description="from start to start (s); None: length")
    start_s: float | None = Field(None, description="not before (s); None: the first sample")
    stop_s: float | None = Field(None, description="not beyond (s); None: the last sample")
    max_windows: int | None = Field(None, ge=1, description="None: as many as fit")
    placement: Literal["consecutive", "spread"] = Field(
        "consecutive", description="which of those that fit: the first, or evenly over all"
    )
    artifact_uv: float | None = Field(None, gt=0, description="reject beyond this peak (µV)")
    artifact_ratio: float | None = Field(
        10.0, gt=1, description="reject beyond this multiple of the channel's median peak"
    )


@dataclass(frozen=True)
class LfpWindows:
    """Windows of one LFP series.

    Attributes
    ----------
    start_s
        Time of the first sample of each window (s, session clock).
    data
        Voltage (µV) after the chain; zeros where a window could not be read at all.
    rate
        Measured sampling rate after decimation (Hz).
    reasons
        Index into `REASONS` for each (window, channel); 0 is kept.
    labels
        0 good, 1 dead, 2 noisy, 3 outside the brain, for each channel.
    notes
        Steps of the chain that were left out, and why there are no windows, if there are none.
    """

    start_s: Float[np.ndarray, " window"]
    data: Float32[np.ndarray, "window time channel"]
    rate: float
    reasons: UInt8[np.ndarray, "window channel"]
    labels: UInt8[np.ndarray, " channel"]
    notes: list[str] = field(default_factory=list)

    @property
    def valid(self) -> Bool[np.ndarray, "window channel"]:
        """Pairs that were kept."""
        return self.reasons == 0


def window_starts(
    params: WindowParams, first_s: float, last_s: float
) -> Float[np.ndarray, " window"]:
    """Starts (s) of the windows that fit between two times."""
    start = first_s if params.start_s is None else max(params.start_s, first_s)
    stop = last_s if params.stop_s is None else min(params.stop_s, last_s)
    stride = params.stride_s or params.length_s
    fitting = max(0, int(np.floor((stop - start - params.length_s) / stride + 1e-6)) + 1)
    which = np.arange(fitting)
    if params.max_windows is not None and fitting > params.max_windows:
        if params.placement == "spread":
            which = np.linspace(0, fitting - 1, params.max_windows).round().astype(int)
        which = which[: params.max_windows]
    return start + which * stride


def cut_lfp_windows(
    source: LfpSource,
    lfp_params: LfpParams,
    window_params: WindowParams,
    *,
    bad_channels: Bool[np.ndarray, " channel"] | None = None,
    invalid_intervals: Sequence[tuple[float, float]] = (),
    geometry: Geometry | None = None,
) -> LfpWindows:
    """Cut windows from a recording after the preprocessing chain.

    Only the windows and what the filters need around them are read, a block at a time.

    Parameters
    ----------
    bad_channels
        Channels the file calls bad.
    invalid_intervals
        Stretches (s) in which the recording is not to be used; a window that touches one is
        rejected, as is one that spans a break in the clock.
    """
    last_s = source.time_of(source.n_samples - 1) + 1 / source.rate
    asked = window_starts(window_params, source.time_of(0), last_s)
    labels = find_labels(source, lfp_params, asked, window_params.length_s, bad_channels, geometry)
    cutter = _Cutter(source, lfp_params, labels, geometry, asked, window_params.length_s)
    cutter.fill()
    reasons = cutter.reasons(invalid_intervals)
    found = artifact_windows(
        cutter.peaks(),
        reasons == 0,
        limit_uv=window_params.artifact_uv,
        ratio=window_params.artifact_ratio,
    )
    reasons[found] = CODE["artifact"]
    notes = list(cutter.notes)
    if len(asked) == 0:
        notes.append(
            f"no window of {window_params.length_s:g} s fits: the recording spans "
            f"{source.time_of(0):g} to {last_s:g} s, windows were asked for from "
            f"{window_params.start_s} to {window_params.stop_s}"
        )
    return LfpWindows(cutter.start_s, cutter.data, cutter.rate, reasons, labels, notes)


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


class _Cutter:
    """Fills an array of windows, block after block, and watches the samples as recorded."""

    def __init__(
        self,
        source: LfpSource,
        params: LfpParams,
        labels: np.ndarray,
        geometry: Geometry | None,
        asked: np.ndarray,
        length_s: float,
    ) -> None:
        self.source, self.params = source, params
        self.runs = runs(source)
        self.chains = [
            build_chain(
                Run(source, *run, observe=self._observe), params, labels=labels, geometry=geometry
            )
            for run in self.runs
        ]
        self.labels, self.length_s = labels, length_s
        self.notes = self.chains[0].notes
        self.rate = float(self.chains[0].last.rate)
        self.n = round(length_s * self.rate)
        self.start_s = asked.copy()
        shape = (len(asked), source.n_channels)
        self.data = np.zeros((len(asked), self.n, source.n_channels), np.float32)
        self.missing, self.low = np.zeros(shape, bool), np.full(shape, np.inf)
        self.high = np.full(shape, -np.inf)
        self.place = [self._locate(t) for t in asked]  # (run, sample after decimation) or None
        self._settle_starts()

    def _locate(self, t: float) -> tuple[int, int] | None:
        sample = self.source.sample_at(t)
        if abs(self.source.time_of(sample) - t) > 1.5 / self.source.rate:
            return None
        for r, (first, last) in enumerate(self.runs):
            if first <= sample < last:
                k = round((sample - first) / self.chains[r].factor)
                return (r, k) if k + self.n <= self.chains[r].last.n_samples else None
        return None

    def _settle_starts(self) -> None:
        spans = np.full((len(self.place), 2), -1)
        for w, where in enumerate(self.place):
            if where is not None:
                first, factor = self.runs[where[0]][0], self.chains[where[0]].factor
                spans[w] = first + where[1] * factor, first + (where[1] + self.n) * factor
                self.start_s[w] = self.source.time_of(int(spans[w, 0]))
        self.spans = spans  # recorded samples of each window

    def fill(self) -> None:
        for r, chain in enumerate(self.chains):
            mine = [w for w, where in enumerate(self.place) if where is not None and where[0] == r]
            for group in self._groups(mine, chain):
                a = self.place[group[0]][1]
                b = max(self.place[w][1] for w in group) + self.n
                block = chain.last.read(a, b)
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

    def reasons(
        self, invalid: Sequence[tuple[float, float]]
    ) -> UInt8[np.ndarray, "window channel"]:
        """Reason of each pair; the first of `REASONS` that applies."""
        unread = np.array([where is None for where in self.place], bool)
        for begin, end in invalid:
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
