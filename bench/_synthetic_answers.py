"""Windows of synthetic subjects, what the band-power model says of them, and which samples count.

Scripts import it first: it is what finds the package beside it.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.analyses.depth_prior import LabelledProbe
from pipeline.analyses.learned import Learned, decode_learned
from pipeline.analyses.regions import average_windows
from pipeline.analyses.scored import ScoredProbe
from pipeline.models import DataContext, build, params_class
from pipeline.preprocessing import ArrayReader, LfpParams, WindowParams, cut_lfp_windows
from pipeline.recording import WindowSet
from pipeline.synthetic import LabParams, simulate_session
from pipeline.training.batches import iterate_batches, rows_of
from pipeline.training.inference import predict_windows

CLASSES = ("CA1", "CA3", "DG", "VISp")
"""What the model can say; LP and what lies above the surface are recorded too."""


@dataclass(frozen=True)
class Answered:
    """One probe and what the model says of each of its windows."""

    subject: str
    proba: np.ndarray
    owner: np.ndarray
    region: np.ndarray
    depth_um: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """Class of each channel, -1 outside the classes."""
        return np.array([CLASSES.index(r) if r in CLASSES else -1 for r in self.region])

    @property
    def mean(self) -> np.ndarray:
        return average_windows(self.proba, self.owner, len(self.region))[0]

    @property
    def log_mean(self) -> np.ndarray:
        """Mean log probability of each channel, NaN without windows."""
        found = average_windows(self.proba, self.owner, len(self.region), temporal="log_mean")[0]
        return np.log(np.maximum(found, 1e-12))


Subject = list[Answered]
"""All probes of one subject."""

Pooled = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Class, probabilities and subject of each sample."""

Method = Callable[[Subject], list[np.ndarray]]
"""From a subject's probes to probabilities per channel of each."""


def record(params: LabParams, subject: int, lfp: LfpParams | None = None) -> Iterator[WindowSet]:
    """Windows of each probe of one subject."""
    made = simulate_session(params, subject)
    name = f"{params.layout}-{params.seed}-{subject}"
    for number, probe in enumerate(made.probes):
        reader = ArrayReader(probe.lfp, made.rate, start_s=float(made.times[0]))
        cut = cut_lfp_windows(reader, lfp or LfpParams(), WindowParams(), bad_channels=probe.bad,
                              invalid_intervals=made.invalid)  # fmt: skip
        region = [name or "root" for name in probe.track.acronyms]
        frame = pd.DataFrame({"probe": probe.name, "channel": np.arange(len(region)),
                              "depth_um": probe.track.from_tip_um, "region": region})  # fmt: skip
        yield WindowSet(
            windows=f"{params.seed:032x}{subject:016x}{number:016x}", session=name, subject=name,
            source="synthetic", start_s=cut.start_s, window_s=3.0, valid=cut.valid,
            channels=frame, rate=cut.rate, lfp=cut.data, synthetic=True,
        )  # fmt: skip


def train(sets: Sequence[WindowSet], seed: int, **params):
    """The band-power family on every labelled window."""
    context = DataContext.of(sets, classes=CLASSES)
    model = build(params_class("band_power")(**params), context, seed=seed)
    rows = rows_of(sets, grain="channel", classes=CLASSES, labelled=True)
    model.prepare(iterate_batches(sets, rows, context=context, batch_size=512, needs={"lfp"}))
    return model.eval()


def answer(model, windowset: WindowSet) -> Answered:
    """What a model says of one probe."""
    found = predict_windows(model, windowset, batch_size=512)
    frame = windowset.channels
    return Answered(windowset.subject, found.outputs.astype(float), found.channel.astype(np.int64),
                    frame["region"].to_numpy(), frame["depth_um"].to_numpy())  # fmt: skip


def ask(model, subjects: Sequence[Sequence[WindowSet]]) -> list[Subject]:
    """What a model says of every probe of every subject."""
    return [[answer(model, windowset) for windowset in subject] for subject in subjects]


def each(one: Callable[[Answered], np.ndarray]) -> Method:
    """A method that takes each probe by itself."""
    return lambda subject: [one(probe) for probe in subject]


def pool(subjects: list[Subject], method: Method) -> Pooled:
    """The labelled channels that have windows, as a method answers them."""
    parts = []
    for subject in subjects:
        for probe, found in zip(subject, method(subject), strict=True):
            keep = (probe.truth >= 0) & np.isfinite(probe.mean).all(axis=1)
            parts.append((probe.truth[keep], found[keep], np.repeat(probe.subject, keep.sum())))
    return join(parts)


def single_windows(subjects: list[Subject]) -> Pooled:
    """Every window of a labelled channel by itself."""
    parts = []
    for probe in sum(subjects, []):
        truth = probe.truth[probe.owner]
        keep = truth >= 0
        parts.append((truth[keep], probe.proba[keep], np.repeat(probe.subject, keep.sum())))
    return join(parts)


def join(parts: list[Pooled]) -> Pooled:
    """Samples of all parts."""
    truth, proba, subject = (np.concatenate(column) for column in zip(*parts, strict=True))
    return truth, proba, subject


def labels_of(subjects: list[Subject]) -> list[LabelledProbe]:
    """Labels of every probe, regions outside the classes by name."""
    return [
        LabelledProbe(list(p.region), p.depth_um, np.zeros(len(p.region), np.int64))
        for subject in subjects
        for p in subject
    ]


def recordings(subjects: list[Subject], by_probe: bool) -> list[ScoredProbe]:
    """One entry per subject, or per probe, with a shank per probe."""
    parts = [[p] for s in subjects for p in s] if by_probe else subjects
    return [
        ScoredProbe(
            np.concatenate([p.log_mean for p in part]),
            [name for p in part for name in p.region],
            np.concatenate([p.depth_um for p in part]),
            np.repeat(np.arange(len(part)), [len(p.region) for p in part]),
            part[0].subject,
        )
        for part in parts
    ]


def decoded(subject: Subject, learned: Learned, by_probe: bool) -> list[np.ndarray]:
    """Probability of each answer at each channel of each probe."""
    parts = [
        decode_learned(one.log_probs, one.depth_um, one.shank, learned)
        for one in recordings([subject], by_probe)
    ]
    ends = np.cumsum([len(probe.region) for probe in subject])[:-1]
    return np.split(np.concatenate(parts), ends)
