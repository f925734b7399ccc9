"""The preprocessing chain: released or raw voltage in, what models read out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import Field, model_validator

from ..params import Params
from ..recording import Lfp
from .artifacts import DEAD, NOISY, OUTSIDE
from .destripe import destripe_ibl, has_converter_delays
from .equalise import Equalised, Equaliser, learn_equaliser
from .filtering import (
    FIR_ZERO_CROSSINGS,
    butterworth,
    decimation_factor,
    settling_samples,
)
from .geometry import Geometry
from .readers import LfpSource, runs
from .referencing import bipolar, bipolar_partners, common_average, common_median
from .stages import Decimated, Filtered, Mapped, Padded, Run, Stage

WIDE_BAND_HZ = 5000.0
"""Above this rate a recording is wide-band and is decimated to the LF rate before destriping."""

LF_RATE_HZ = 2500.0
"""Rate of Neuropixels' LF band."""


class LfpParams(Params):
    """How recorded voltage becomes LFP. Steps that cannot apply are left out and noted."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"equalise_to_hz", "equalise_resolution_hz", "equalise_stretches"}
    )
    destripe: Literal["none", "ibl"] = Field("none", description="IBL destriping of the LF band")
    highpass_hz: float | None = Field(0.5, gt=0, description="high-pass corner (Hz); None: as is")
    lowpass_hz: float | None = Field(300.0, gt=0, description="low-pass corner (Hz); None: as is")
    order: int = Field(3, ge=1, le=8, description="Butterworth order, run forwards and backwards")
    reference: Literal["none", "median", "average", "bipolar"] = "none"
    target_rate_hz: float | None = Field(1250.0, gt=0, description="decimate to no less (Hz)")
    equalise_to_hz: float | None = Field(
        None, gt=0, description="last, bring the probe's typical spectrum to a fixed one up to "
        "here (Hz), no signal beyond; None: as is",
    )  # fmt: skip
    equalise_resolution_hz: float = Field(
        8.0, gt=0, le=50, description="how finely that spectrum is followed (Hz)"
    )
    equalise_stretches: int = Field(
        16, ge=1, description="of four seconds, at most so many to measure it on"
    )
    bad_channels: Literal["given", "detected", "both"] = Field(
        "both", description="the file's flags, what the signal shows, or either"
    )
    snippets: int = Field(8, ge=1, description="stretches looked at for bad channels")
    snippet_s: float = Field(0.5, gt=0, description="length of one such stretch (s)")
    dead_ratio: float = Field(0.05, gt=0, description="dead below this share of the usual SD")
    noisy_ratio: float = Field(5.0, gt=1, description="noisy above this multiple of usual jumps")
    tolerance: float = Field(1e-4, gt=0, lt=0.1, description="what a cut may leave of the past")
    block_s: float = Field(30.0, gt=0, description="stretch filtered at one time (s)")

    @model_validator(mode="after")
    def _band(self) -> "LfpParams":
        low, high = self.highpass_hz, self.lowpass_hz
        if low is not None and high is not None and low >= high:
            raise ValueError(f"high-pass {low:g} Hz is not below low-pass {high:g} Hz")
        if None not in (self.equalise_to_hz, high) and self.equalise_to_hz > high:
            raise ValueError(
                f"nothing to equalise up to {self.equalise_to_hz:g} Hz: lowpass_hz is {high:g}"
            )
        if self.destripe == "ibl" and (low is None or high is None):
            raise ValueError("destripe='ibl' filters: give highpass_hz and lowpass_hz (0.5, 300)")
        if self.destripe == "ibl" and self.reference != "none":
            raise ValueError("destripe='ibl' already removes the median: set reference='none'")
        return self


@dataclass
class Chain:
    """The stages that apply to one recording, and what was left out.

    Attributes
    ----------
    factor
        Decimation, as a whole number of recorded samples.
    padding
        Samples (at the chain's rate) read beyond each end of a stretch.
    notes
        Steps that were left out, with the reason.
    """

    last: Stage
    factor: int = 1
    padding: int = 0
    notes: list[str] = field(default_factory=list)


def build_chain(
    run: Run,
    params: LfpParams,
    *,
    labels: UInt8[np.ndarray, " channel"],
    geometry: Geometry | None = None,
    equaliser: Equaliser | None = None,
) -> Chain:
    """Put together the stages of `params` that apply to one unbroken stretch.

    Parameters
    ----------
    labels
        0 good, 1 dead, 2 noisy, 3 outside the brain; only good channels enter a reference.
    geometry
        Sites of the channels; without it neither destriping nor a bipolar reference applies.
    equaliser
        What `find_equaliser` learned of the whole recording; without it nothing is equalised.
    """
    chain = Chain(run)
    destriped = params.destripe == "ibl" and _add_destripe(chain, params, labels, geometry)
    _add_decimation(chain, params.target_rate_hz)
    if not destriped:
        _add_filters(chain, params)
    _add_reference(chain, params.reference, labels, geometry)
    if equaliser is not None:
        chain.notes.extend(equaliser.notes)
        if equaliser.taps is not None:
            chain.last = Equalised(chain.last, equaliser.taps)
            chain.padding += len(equaliser.taps) // 2
    return chain


def find_equaliser(
    source: LfpSource,
    params: LfpParams,
    *,
    labels: UInt8[np.ndarray, " channel"],
    geometry: Geometry | None = None,
    span_s: tuple[float, float],
    invalid: Sequence[tuple[float, float]] = (),
) -> Equaliser | None:
    """What equalises a recording, measured within a span (s); None where it is not asked for.

    Good channels count, outside of `invalid` stretches (s).
    """
    if params.equalise_to_hz is None:
        return None

    def build(run: Run) -> tuple[Stage, int]:
        chain = build_chain(run, params, labels=labels, geometry=geometry)
        return chain.last, chain.factor

    return learn_equaliser(
        source,
        build,
        labels == 0,
        to_hz=params.equalise_to_hz,
        resolution_hz=params.equalise_resolution_hz,
        stretches=params.equalise_stretches,
        span_s=span_s,
        invalid=invalid,
    )


def preprocess_lfp(
    source: LfpSource,
    params: LfpParams,
    *,
    good: Bool[np.ndarray, " channel"] | None = None,
    geometry: Geometry | None = None,
    start_s: float | None = None,
    stop_s: float | None = None,
) -> Iterator[Lfp]:
    """Run the chain over a stretch of a recording, block after block.

    Blocks follow each other without overlap; a break in the clock ends a block.

    Parameters
    ----------
    good
        Channels that enter the reference; all by default.
    start_s, stop_s
        Stretch (s, session clock); the whole recording by default.
    """
    labels = np.zeros(source.n_channels, np.uint8)
    if good is not None:
        labels[~good] = NOISY
    begin = 0 if start_s is None else source.sample_at(start_s)
    end = source.n_samples if stop_s is None else source.sample_at(stop_s)
    equaliser = None
    if params.equalise_to_hz is not None and end > begin:
        span_s = source.time_of(begin), source.time_of(end - 1) + 1 / source.rate
        equaliser = find_equaliser(source, params, labels=labels, geometry=geometry, span_s=span_s)
    for first, last in runs(source):
        run = Run(source, first, last)
        chain = build_chain(run, params, labels=labels, geometry=geometry, equaliser=equaliser)
        a = -(-max(begin - first, 0) // chain.factor)
        b = min(-(-(min(end, last) - first) // chain.factor), chain.last.n_samples)
        step = max(1, round(params.block_s * chain.last.rate))
        for at in range(a, b, step):
            data = chain.last.read(at, min(at + step, b))
            yield Lfp(data, float(chain.last.rate), source.time_of(first + at * chain.factor))


def _add_destripe(
    chain: Chain, params: LfpParams, labels: np.ndarray, geometry: Geometry | None
) -> bool:
    if geometry is None:
        chain.notes.append("destriping left out: the positions of the channels are not known")
        return False
    if chain.last.rate > WIDE_BAND_HZ:
        _decimate(chain, decimation_factor(chain.last.rate, LF_RATE_HZ))
    rate = chain.last.rate
    if params.lowpass_hz >= rate / 2:
        chain.notes.append(
            f"destriping left out: its {params.lowpass_hz:g} Hz corner needs more than {rate:g} Hz"
        )
        return False
    if not has_converter_delays(geometry) or chain.factor > 1:
        chain.notes.append("destriping without correction of converter delays: not known here")
    slow = butterworth(params.highpass_hz, "highpass", order=params.order, rate=rate)
    padding = settling_samples(slow, params.tolerance)
    band = (params.highpass_hz, params.lowpass_hz)
    function = partial(
        destripe_ibl, geometry=geometry, labels=labels, rate=rate, band_hz=band, order=params.order
    )
    chain.last = Padded(chain.last, function, padding)
    chain.padding += padding
    return True


def _add_decimation(chain: Chain, target_hz: float | None) -> None:
    if target_hz is None:
        return
    rate = chain.last.rate
    factor = decimation_factor(rate, target_hz)
    _decimate(chain, factor)
    if abs(rate / factor - target_hz) > 0.01 * target_hz:
        chain.notes.append(
            f"sampled at {rate:g} Hz and kept at {rate / factor:g} Hz: no whole factor leads to "
            f"{target_hz:g} Hz, and nothing is upsampled"
        )


def _decimate(chain: Chain, factor: int) -> None:
    if factor > 1:
        chain.last = Decimated(chain.last, factor)
        chain.factor *= factor
        chain.padding = -(-chain.padding // factor) + FIR_ZERO_CROSSINGS


def _add_filters(chain: Chain, params: LfpParams) -> None:
    rate, sections = chain.last.rate, []
    for corner, kind in ((params.highpass_hz, "highpass"), (params.lowpass_hz, "lowpass")):
        if corner is None:
            continue
        if corner >= rate / 2:
            name = {"highpass": "high-pass", "lowpass": "low-pass"}[kind]
            chain.notes.append(
                f"{name} at {corner:g} Hz left out: sampling at {rate:g} Hz has nothing above "
                f"{rate / 2:g} Hz"
            )
            continue
        sections.append(butterworth(corner, kind, order=params.order, rate=rate))
    if sections:
        sos = np.vstack(sections)
        padding = settling_samples(sos, params.tolerance)
        chain.last = Filtered(chain.last, sos, padding)
        chain.padding += padding


def _add_reference(
    chain: Chain, reference: str, labels: np.ndarray, geometry: Geometry | None
) -> None:
    good = labels == 0
    if reference == "none":
        return
    if reference == "bipolar":
        if geometry is None:
            chain.notes.append("bipolar reference left out: positions of channels are not known")
            return
        partners = bipolar_partners(np.argsort(geometry.y_um, kind="stable"), geometry.shank)
        chain.last = Mapped(chain.last, partial(bipolar, partners=partners))
    elif good.sum() < 2:
        chain.notes.append(f"{reference} reference left out: {good.sum()} good channels")
    else:
        function = common_median if reference == "median" else common_average
        chain.last = Mapped(chain.last, partial(function, good=good))


__all__ = [
    "DEAD", "NOISY", "OUTSIDE", "Chain", "LfpParams", "build_chain", "find_equaliser",
    "preprocess_lfp",
]  # fmt: skip
