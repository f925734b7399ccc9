"""A probe decoded as a whole against the published post-processing, on held-out subjects.

    python bench/depth_decoder.py [--short] [--seeds 11 12 13]

Promise: +0.05 balanced accuracy over the published post-processing in its best reading. Prints for
each method balanced accuracy (interval over subjects) and calibration error. Each seed is a
synthetic laboratory. Each of its subjects is tested once: two others are for validation
(temperature, level of "unknown", threshold), the rest train the band-power model and the prior over
depth. Regions outside the classes are recorded but the model is never trained on them.

Not kept: seeds 11 to 13 give +0.025 (-0.016 to 0.062) over the published code (its hand-set
weights alone are worth +0.014 and +0.075 on seeds 901 and 902), and a
threshold chosen on two subjects for 10 % errors gives 32 % on others.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.analyses.depth_decoder import (
    DecoderParams,
    ScoredProbe,
    among_classes,
    decode_probe,
    fit_decoder,
)
from pipeline.analyses.depth_prior import (
    DepthPrior,
    LabelledProbe,
    TransitionParams,
    learn_transitions,
)
from pipeline.analyses.regions import average_windows, smooth_along_depth, vote_with_neighbours
from pipeline.evaluation.calibration import (
    apply_temperature,
    expected_calibration_error,
    fit_temperature,
)
from pipeline.evaluation.intervals import IntervalParams, cluster, resample
from pipeline.evaluation.risk import RiskParams, choose_threshold
from pipeline.models import DataContext, build, params_class
from pipeline.preprocessing import ArrayReader, LfpParams, WindowParams, cut_lfp_windows
from pipeline.recording import WindowSet
from pipeline.synthetic import LabParams, simulate_session
from pipeline.training.batches import iterate_batches, rows_of
from pipeline.training.inference import predict_windows

CLASSES = ("CA1", "CA3", "DG", "VISp")
PUBLISHED_WEIGHTS = np.array([1.0, 5.0, 2.0, 1.0])
"""Of CA1, CA3, DG and cortex in the published code; CA2 is not in this brain."""
SPREADS_UM = (30.0, 60.0, 120.0, 240.0)
VALIDATION = 2
PAPER = ("published, all channels", "published, labelled channels", "published text")
MEANS = "channel means"
OURS = "whole probe"
RISK = RiskParams(target=0.1)

Pooled = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Class, probabilities and subject of each sample."""


@dataclass(frozen=True)
class Answered:
    """One probe and what the model says of each of its windows."""

    subject: str
    proba: np.ndarray
    owner: np.ndarray
    region: np.ndarray
    depth_um: np.ndarray

    @property
    def shank(self) -> np.ndarray:
        return np.zeros(len(self.region), np.int64)

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

    def scored(self, *, unknown: bool) -> ScoredProbe:
        return ScoredProbe(self.log_mean, named(self.region, unknown), self.depth_um, self.shank)


Whole = tuple[DepthPrior, DecoderParams]
Method = Callable[[Answered], np.ndarray]
"""From a probe to probabilities per channel."""


def named(region: np.ndarray, unknown: bool) -> list[str | None]:
    """Labels as a study gives them; regions outside the classes by name, or as missing."""
    return [r if r in CLASSES or unknown else None for r in region]


def record(seed: int, subject: int, given: argparse.Namespace) -> Iterator[WindowSet]:
    """Windows of each probe of one subject."""
    params = LabParams(channels=given.channels, duration_s=given.seconds, units=0, seed=seed,
                       probes=given.probes)  # fmt: skip
    made = simulate_session(params, subject)
    for number, probe in enumerate(made.probes):
        reader = ArrayReader(probe.lfp, made.rate, start_s=float(made.times[0]))
        cut = cut_lfp_windows(reader, LfpParams(), WindowParams(), bad_channels=probe.bad,
                              invalid_intervals=made.invalid)  # fmt: skip
        region = [name or "root" for name in probe.track.acronyms]
        frame = pd.DataFrame({"probe": probe.name, "channel": np.arange(len(region)),
                              "depth_um": probe.track.from_tip_um, "region": region})  # fmt: skip
        yield WindowSet(
            windows=f"{seed:032x}{subject:016x}{number:016x}", session=f"{subject}",
            subject=f"{seed}-{subject}", source="synthetic", start_s=cut.start_s, window_s=3.0,
            valid=cut.valid, channels=frame, rate=cut.rate, lfp=cut.data, synthetic=True,
        )  # fmt: skip


def train(sets: list[WindowSet], seed: int):
    """The band-power family on every labelled window."""
    context = DataContext.of(sets, classes=CLASSES)
    model = build(params_class("band_power")(), context, seed=seed)
    rows = rows_of(sets, grain="channel", classes=CLASSES, labelled=True)
    model.prepare(iterate_batches(sets, rows, context=context, batch_size=512, needs={"lfp"}))
    return model.eval()


def answer(model, windowset: WindowSet) -> Answered:
    found = predict_windows(model, windowset, batch_size=512)
    frame = windowset.channels
    return Answered(windowset.subject, found.outputs.astype(float), found.channel.astype(np.int64),
                    frame["region"].to_numpy(), frame["depth_um"].to_numpy())  # fmt: skip


def published(probe: Answered, *, labelled: bool, prior: np.ndarray | None = None) -> np.ndarray:
    """Mean logits times hand-set weights and the mode of five, or the text's: mean times prior."""
    usable = np.isfinite(probe.mean).all(axis=1) & ((probe.truth >= 0) | (not labelled))
    logits = probe.log_mean - probe.log_mean.mean(axis=1, keepdims=True)
    score = logits * PUBLISHED_WEIGHTS if prior is None else probe.mean * prior
    best = np.where(usable, np.nan_to_num(score, nan=-np.inf).argmax(axis=1), -1)
    order = [np.argsort(probe.depth_um, kind="stable")]
    return vote_with_neighbours(best, score, order, neighbours=2)


def smoothed(probe: Answered, spread_um: float) -> np.ndarray:
    frame = pd.DataFrame({"depth_um": probe.depth_um})
    order = [np.argsort(probe.depth_um, kind="stable")]
    return smooth_along_depth(probe.mean, frame, order, spread_um=spread_um)


def run_fold(
    training: list[WindowSet], held: list[WindowSet], test: list[WindowSet], seed: int
) -> tuple[dict[str, Pooled], dict[str, float]]:
    """What each method answers on one subject, and what was chosen without it."""
    model = train(training, seed)
    validation, tested = ([answer(model, w) for w in sets] for sets in (held, test))
    methods = {
        MEANS: lambda p: p.mean,
        **published_methods(training),
        "smoothed, 60 µm": lambda p: smoothed(p, 60.0),
        "smoothed, width by validation": choose_spread(validation),
        MEANS + ", temperature": calibrate(validation),
    }
    wholes = fit_wholes(training, validation)
    methods |= {name: lambda p, w=whole: among_classes(decoded(p, *w), w[0])
                for name, whole in wholes.items()}  # fmt: skip
    found = {name: pool(tested, method) for name, method in methods.items()}
    for name in (OURS, OURS + ", not fitted"):
        found[name + ", all channels"] = pool_all(tested, *wholes[name])
    line = draw_line(pool_all(validation, *wholes[OURS]), found[OURS + ", all channels"])
    return {"single windows": single_windows(tested), **found}, line


def published_methods(training: list[WindowSet]) -> dict[str, Method]:
    """Both readings of the published code, and its text."""
    region = np.concatenate([w.channels["region"].to_numpy() for w in training])
    prior = np.array([np.mean(region == name) for name in CLASSES])
    one_hot = np.eye(len(CLASSES))
    return {
        PAPER[0]: lambda p: one_hot[published(p, labelled=False)],
        PAPER[1]: lambda p: one_hot[published(p, labelled=True)],
        PAPER[2]: lambda p: one_hot[published(p, labelled=False, prior=prior)],
    }


def choose_spread(validation: list[Answered]) -> Method:
    """Gaussian smoothing of the width that serves the validation subjects best."""
    scores = [balanced(pool(validation, lambda p, s=s: smoothed(p, s))) for s in SPREADS_UM]
    best = SPREADS_UM[int(np.argmax(scores))]
    return lambda p: smoothed(p, best)


def calibrate(validation: list[Answered]) -> Method:
    """Channel means at the temperature of the validation subjects."""
    truth, proba, _ = pool(validation, lambda p: p.mean)
    temperature = fit_temperature(proba, truth)
    return lambda p: apply_temperature(p.mean, temperature)


def fit_wholes(training: list[WindowSet], validation: list[Answered]) -> dict[str, Whole]:
    """Priors and parameters of the whole-probe decoder, each one step from ours."""
    variants = {
        OURS: TransitionParams(),
        OURS + ", one stage": TransitionParams(stages=1),
        OURS + ", others unlabelled": TransitionParams(unknown=False),
    }
    found = {}
    for name, params in variants.items():
        labelled = []
        for windowset in training:
            frame = windowset.channels
            labels, depth = named(frame["region"], params.unknown), frame["depth_um"].to_numpy()
            labelled.append(LabelledProbe(labels, depth, np.zeros(len(depth), np.int64)))
        prior = learn_transitions(labelled, CLASSES, params)
        held = [p.scored(unknown=params.unknown) for p in validation]
        found[name] = prior, fit_decoder(held, prior)
    found[OURS + ", not fitted"] = found[OURS][0], DecoderParams()
    return found


def decoded(probe: Answered, prior: DepthPrior, params: DecoderParams) -> np.ndarray:
    return decode_probe(probe.log_mean, probe.depth_um, probe.shank, prior, params)


def pool_all(probes: list[Answered], prior: DepthPrior, params: DecoderParams) -> Pooled:
    """Of every channel, the regions outside the classes among them: they are "unknown"."""
    parts = []
    for probe in probes:
        truth = np.where(probe.truth < 0, len(CLASSES), probe.truth)
        subject = np.repeat(probe.subject, len(truth))
        parts.append((truth, decoded(probe, prior, params), subject))
    return join(parts)


def pool(probes: list[Answered], method: Method) -> Pooled:
    """Truth, probabilities and subject of the labelled channels that have windows."""
    parts = []
    for probe in probes:
        keep = (probe.truth >= 0) & np.isfinite(probe.mean).all(axis=1)
        parts.append((probe.truth[keep], method(probe)[keep], np.repeat(probe.subject, keep.sum())))
    return join(parts)


def single_windows(probes: list[Answered]) -> Pooled:
    """The same of every window by itself."""
    parts = []
    for probe in probes:
        truth = probe.truth[probe.owner]
        keep = truth >= 0
        parts.append((truth[keep], probe.proba[keep], np.repeat(probe.subject, keep.sum())))
    return join(parts)


def join(parts: list[Pooled]) -> Pooled:
    truth, proba, subject = (np.concatenate(column) for column in zip(*parts, strict=True))
    return truth, proba, subject


def draw_line(validation: Pooled, tested: Pooled) -> dict[str, float]:
    """Answer so that 10 % are wrong on the validation subjects; what comes of it on the test."""
    truth, proba, _ = validation
    line = choose_threshold(proba.max(axis=1), proba.argmax(axis=1) == truth, RISK)
    truth, proba, _ = tested
    kept = proba.max(axis=1) >= line.least
    wrong = (proba.argmax(axis=1) != truth)[kept]
    return {"channels": len(kept), "answered": int(kept.sum()), "wrong": int(wrong.sum())}


def balanced(found: Pooled) -> float:
    truth, proba, _ = found
    right = proba.argmax(axis=1) == truth
    return float(np.mean([right[truth == k].mean() for k in np.unique(truth)]))


def counts(found: Pooled) -> np.ndarray:
    """Hits and labels of each class, per subject (in order of their names)."""
    truth, proba, subject = found
    groups, size = cluster(subject), proba.shape[1]
    hit = np.where(proba.argmax(axis=1) == truth, truth, -1)
    return np.concatenate([groups.count(hit, size), groups.count(truth, size)], axis=1)


def recall(sums: np.ndarray) -> np.ndarray:
    hits, labels = np.split(sums, 2, axis=-1)
    return np.where(labels > 0, hits / np.maximum(labels, 1), np.nan)


def interval(one: Pooled, other: Pooled | None = None) -> tuple[float, float, float]:
    """Balanced accuracy, or its gain over another on the same subjects, with its interval."""
    table = counts(one) if other is None else np.concatenate([counts(one), counts(other)], axis=1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        parts = np.split(sums, 1 if other is None else 2, axis=-1)
        values = [np.nanmean(recall(part), axis=-1) for part in parts]
        return (values[0] - values[1] if other is not None else values[0])[:, None]

    value = statistic(table.sum(axis=0)[None])[0, 0]
    low, high = resample(cluster(dict.fromkeys(one[2])), table, statistic, IntervalParams())
    return float(value), float(low[0]), float(high[0])


def run_lab(seed: int, given: argparse.Namespace) -> Iterator[tuple[dict, dict]]:
    """Every subject of one laboratory held out once."""
    subjects = [list(record(seed, subject, given)) for subject in range(given.subjects)]
    for test in range(given.subjects):
        order = [subjects[(test + i) % given.subjects] for i in range(given.subjects)]
        held, training = order[1 : 1 + VALIDATION], order[1 + VALIDATION :]
        yield run_fold(sum(training, []), sum(held, []), order[0], seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="one small laboratory")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--probes", type=int, default=3)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=24.0)
    given = parser.parse_args()
    if given.short:
        given.seeds, given.subjects, given.seconds = given.seeds[:1], 5, 12.0
    began = time.perf_counter()
    folds = [fold for seed in given.seeds for fold in run_lab(seed, given)]
    found = {name: join([fold[name] for fold, _ in folds]) for name in folds[0][0]}
    for name, answers in found.items():
        value, low, high = interval(answers)
        hard = name in PAPER
        ece = "" if hard else f"{expected_calibration_error(answers[1], answers[0]):.3f}"
        print(f"{name:45s} {value:.3f} ({low:.3f} to {high:.3f})  {ece}")
    report(found, [line for _, line in folds], given, time.perf_counter() - began)


def report(found: dict[str, Pooled], lines: list[dict], given, seconds: float) -> None:
    """The promise and what became of it, as one line of JSON."""
    paper = max(PAPER, key=lambda name: interval(found[name])[0])
    gain, low, high = interval(found[OURS], found[paper])
    total = {key: sum(line[key] for line in lines) for key in lines[0]}
    result = {
        "bench": f"whole probe, {len(lines)} subjects of {len(given.seeds)} laboratories",
        "gain_over": paper,
        "gain": round(gain, 3),
        "interval": [round(low, 3), round(high, 3)],
        "promise": 0.05,
        "gain_over_channel_means": [round(v, 3) for v in interval(found[OURS], found[MEANS])],
        "asked_risk": RISK.target,
        "risk": round(total["wrong"] / max(total["answered"], 1), 3),
        "coverage": round(total["answered"] / total["channels"], 3),
        "seconds": round(seconds),
    }
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
