"""Windows of LFP: where they begin, what is in them, and why some are rejected."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from pydantic import Field

from ..nwb.errors import ReadError
from ..params import Params
from .artifacts import artifact_windows
from .cutting import CODE, Cutter
from .geometry import Geometry
from .labels import find_labels
from .lfp import LfpParams
from .readers import LfpSource


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


MOST_WINDOWS = 1_000_000
"""Windows of one recording: five weeks of windows of three seconds."""


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
    """Starts (s) of the windows that fit between two times.

    Raises
    ------
    ReadError
        If they are more than anyone has recorded.
    """
    start = first_s if params.start_s is None else max(params.start_s, first_s)
    stop = last_s if params.stop_s is None else min(params.stop_s, last_s)
    stride = params.stride_s or params.length_s
    if not np.isfinite(stop - start):
        raise ReadError(
            "windows", f"a recording from {start:g} to {stop:g} s has no length",
            "mend its first and last timestamp, or leave the series out",
        )  # fmt: skip
    fitting = max(0, int(np.floor((stop - start - params.length_s) / stride + 1e-6)) + 1)
    n = fitting if params.max_windows is None else min(fitting, params.max_windows)
    if n > MOST_WINDOWS:
        raise ReadError(
            "windows", f"{n:,} windows fit between {start:g} and {stop:g} s; {MOST_WINDOWS:,} at "
            "most are cut", "set max_windows or stop_s, or mend timestamps that jump",
        )  # fmt: skip
    if n < fitting and params.placement == "spread":
        return start + np.linspace(0, fitting - 1, n).round() * stride
    return start + np.arange(n) * stride


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

    Raises
    ------
    ReadError
        If windows of this length hold no samples, or are more than anyone has recorded.
    """
    if window_params.length_s * min(source.rate, lfp_params.target_rate_hz or source.rate) < 2:
        raise ReadError(
            "windows", f"a window of {window_params.length_s:g} s holds less than two samples of "
            f"{source.rate:g} Hz", "ask for longer windows, or leave the series out",
        )  # fmt: skip
    last_s = source.time_of(source.n_samples - 1) + 1 / source.rate
    asked = window_starts(window_params, source.time_of(0), last_s)
    labels = find_labels(source, lfp_params, asked, window_params.length_s, bad_channels, geometry)
    length_s = window_params.length_s
    cutter = Cutter(source, lfp_params, labels, geometry, asked, length_s, invalid_intervals)
    cutter.fill()
    reasons = cutter.reasons()
    found = artifact_windows(
        cutter.peaks(),
        reasons == 0,
        limit_uv=window_params.artifact_uv,
        ratio=window_params.artifact_ratio,
    )
    reasons[found] = CODE["artifact"]
    if len(asked) == 0:
        spans = f"the recording spans {source.time_of(0):g} to {last_s:g} s"
        limits = window_params.start_s, window_params.stop_s
        if any(limit is not None for limit in limits):
            start, stop = ("…" if limit is None else f"{limit:g}" for limit in limits)
            spans += f", windows were asked for from {start} to {stop} s"
        cutter.notes.append(f"no window of {window_params.length_s:g} s fits: {spans}")
    return LfpWindows(cutter.start_s, cutter.data, cutter.rate, reasons, labels, cutter.notes)
