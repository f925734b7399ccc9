"""Another laboratory: the full band against equalised input with augmentation (synthetic).

    python bench/cross_lab.py [--short] [--family spectrogram_mlp lfp2vec] [--seeds 321 322 323]

Promise, over both directions between an Allen-like and an IBL-like laboratory, by the worse end of
each interval: balanced accuracy in the other laboratory rises by 0.10 or more over the model on
the full band, in the own one it loses 0.03 or less, and the area under the curve of a linear probe
for the laboratory, on subjects it was not fitted on, is 0.75 or less where it was 0.95 or more.

Each seed is a pair of laboratories. Some subjects of one train; others of it and as many of the
other laboratory are tested, and their windows' embeddings are probed. Seeds 901 and 902 were used
in development, 321 to 323 once.

Equalised: common median reference, then the median spectrum of the probe's good channels, measured
on the recording without labels, is brought to a fixed one up to 250 Hz. Kept by the spectrogram
MLP (seeds 321 to 323): +0.216 (0.146 to 0.288) in the other laboratory (0.712 for 0.496), +0.040
(-0.004 to 0.085) in the own one (0.712 for 0.672), 0.527 (0.465 to 0.590) where it was 1.000;
without augmentation +0.170 (0.104 to 0.243). It is not the most accurate: augmentation on the full
band gives 0.730 (0.698 to 0.754) in the other laboratory and 0.780 (0.749 to 0.810) in the own one,
but then the laboratory is told at 1.000: what a subject has in common on all channels is lost with
what its laboratory did. Both laboratories meet the same regions; where the mix of regions differs
between recordings, the typical spectrum differs with it: not measured. Boosted trees in place of
the linear probe tell the laboratory at 0.54 (0.43 to 0.63; development, seed 902).

Not shown for lfp2vec: size tiny was stopped after three pairs of models (seed 321, and 322 from
Allen; means, no interval): 0.536 for 0.504 elsewhere, 0.561 for 0.572 at home, laboratory 0.50 for
0.81, which is not the 0.95 that the promise begins from.

In development (two seeds): without the reference the laboratory is told at 0.91 (noise and hum all
channels share); 100 Hz and augmentation, the harmonised band of the first attempt, costs accuracy
(0.579 and 0.622 here) and did not keep it on seeds 311 to 313: +0.036 and -0.073; 200, 250 and
300 Hz, a resolution of 1 to 8 Hz, a reference spectrum of 1/f or 1/f^2 differ by 0.02 or less; a
spectrum followed by quarter octaves is better by 0.03 at home, 0.02 elsewhere, and tells the
laboratory at 0.83. Softer augmentation (no low-pass, less gain) is better by 0.02 at home once gain
and filter are undone.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import mannwhitneyu
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.evaluation.intervals import IntervalParams, cluster, resample
from pipeline.models import DataContext, build, params_class
from pipeline.params import Params
from pipeline.preprocessing import ArrayReader, LfpParams, WindowParams, cut_lfp_windows
from pipeline.recording import WindowSet
from pipeline.synthetic import LabParams, simulate_session
from pipeline.training import AugmentParams, FitParams
from pipeline.training.fit import fit
from pipeline.training.inference import embed_windows

CLASSES = ("CA1", "CA3", "DG", "VISp")
LABS = ("allen", "ibl")
FULL, NARROW = LfpParams(), LfpParams(lowpass_hz=100.0, target_rate_hz=250.0)
MEDIAN = LfpParams(reference="median")
EQUAL = LfpParams(reference="median", equalise_to_hz=250.0)
SOFT = AugmentParams(gain_db=3.0, lowpass_hz=(500.0, 1000.0))
"""Of a signal whose gain and filter were already undone."""
PLAIN, OURS = "full band", "equalised, augmented"
ARMS = {
    PLAIN: (FULL, None),
    "full band, augmented": (FULL, AugmentParams()),
    "median, augmented": (MEDIAN, AugmentParams()),
    "equalised": (EQUAL, None),
    OURS: (EQUAL, SOFT),
    "100 Hz": (NARROW, None),
    "100 Hz, augmented": (NARROW, AugmentParams()),
}
MODELS = {
    "lfp2vec": params_class("lfp2vec")(size="tiny", model_rate=2500.0, mask_span=3, head="relu"),
    "spectrogram_mlp": params_class("spectrogram_mlp")(segment_s=0.5, bins=150, frames=12),
}
RATES = {"lfp2vec": 2e-3, "spectrogram_mlp": 1e-3}
LEFT_OUT = 2
"""Subjects of each laboratory that a probe is tested on."""
PROMISE = {"gain": 0.10, "loss": 0.03, "told_apart": 0.75, "was": 0.95}


@dataclass(frozen=True)
class Answers:
    """What one model, trained in one laboratory, makes of windows of both.

    Attributes
    ----------
    lab, subject, truth, said
        Of each window of a labelled channel.
    score
        Of a linear probe for the second laboratory that was not fitted on this subject.
    fold
        Which probe that was.
    """

    seed: int
    home: str
    lab: np.ndarray
    subject: np.ndarray
    truth: np.ndarray
    said: np.ndarray
    score: np.ndarray
    fold: np.ndarray


def record(lab: str, seed: int, subject: int, given: argparse.Namespace) -> dict[Params, WindowSet]:
    """One subject's windows in each band."""
    params = LabParams(layout=lab, channels=given.channels, duration_s=given.seconds, units=0,
                       seed=seed)  # fmt: skip
    made = simulate_session(params, subject)
    (probe,) = made.probes
    region = [name or "root" for name in probe.track.acronyms]
    frame = pd.DataFrame({"probe": probe.name, "channel": np.arange(len(region)),
                          "region": region})  # fmt: skip
    found = {}
    for band in {ARMS[name][0].digest: ARMS[name][0] for name in given.arms}.values():
        reader = ArrayReader(probe.lfp, made.rate, start_s=float(made.times[0]))
        cut = cut_lfp_windows(reader, band, WindowParams(), bad_channels=probe.bad,
                              invalid_intervals=made.invalid)  # fmt: skip
        found[band.digest] = WindowSet(
            windows=f"{seed:032x}{LABS.index(lab):016x}{subject:016x}", session=f"{lab}-{subject}",
            subject=f"{seed}-{lab}-{subject}", source=lab, start_s=cut.start_s, window_s=3.0,
            valid=cut.valid & np.isin(region, CLASSES), channels=frame, rate=cut.rate,
            lfp=cut.data, synthetic=True,
        )  # fmt: skip
    return found


def train(family: str, sets: list[WindowSet], augment: AugmentParams | None, seed: int, epochs):
    """The family on every window of these, all with a label."""
    params = FitParams(objective="finetune", epochs=epochs, batch_size=32, lr=RATES[family],
                       class_weights="balanced", select="last", augment=augment)  # fmt: skip
    model = build(MODELS[family], DataContext.of(sets, classes=CLASSES), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        fit(model, sets, [], params, seed=seed, folder=Path(folder))
    return model


def ask(model, seed: int, home: str, tested: dict[str, list[WindowSet]]) -> Answers:
    """Answers for every window, and whether a linear probe tells the laboratories apart."""
    columns, vectors = {name: [] for name in ("lab", "subject", "truth", "said", "fold")}, []
    for lab, sets in tested.items():
        for number, windowset in enumerate(sets):
            vector, _, channel = embed_windows(model, windowset, batch_size=256)
            region = windowset.channels["region"].to_numpy()[channel]
            columns["truth"].append([CLASSES.index(name) for name in region])
            columns["said"].append(answer(model, vector))
            vectors.append(vector)
            for name, value in (("lab", lab), ("subject", windowset.subject),
                                ("fold", number // LEFT_OUT)):  # fmt: skip
                columns[name].append(np.full(len(region), value))
    table = {name: np.concatenate(parts) for name, parts in columns.items()}
    score = probe(np.concatenate(vectors), table["lab"] == LABS[1], table["fold"])
    return Answers(seed=seed, home=home, score=score, **table)


@torch.inference_mode()
def answer(model, vector: np.ndarray) -> np.ndarray:
    """Class by the model's own last layer, which reads the embedding."""
    return model.head.classify(torch.from_numpy(vector)).argmax(dim=1).numpy()


def probe(x: np.ndarray, other: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Score of each window by a logistic regression on the standardised others."""
    score = np.zeros(len(x))
    for number in np.unique(fold):
        inside = fold != number
        mean, sd = x[inside].mean(axis=0), x[inside].std(axis=0)
        scaled = (x - mean) / np.where(sd > 0, sd, 1)
        line = LogisticRegression(class_weight="balanced", max_iter=2000)
        line.fit(scaled[inside], other[inside])
        score[~inside] = line.decision_function(scaled[~inside])
    return score


def run(family: str, given: argparse.Namespace) -> dict[str, list[Answers]]:
    """Answers of every arm: of a model for each seed and each laboratory it is trained in."""
    found: dict[str, list[Answers]] = {name: [] for name in given.arms}
    for seed in given.seeds:
        subjects = range(given.training + given.tested)
        labs = {lab: [record(lab, seed, s, given) for s in subjects] for lab in LABS}
        for name in given.arms:
            band, augment = ARMS[name]
            cut = {lab: [each[band.digest] for each in sets] for lab, sets in labs.items()}
            tested = {lab: sets[given.training :] for lab, sets in cut.items()}
            for home in LABS:
                began = time.perf_counter()
                model = train(family, cut[home][: given.training], augment, seed, given.epochs)
                found[name].append(ask(model, seed, home, tested))
                if given.verbose:
                    tell_one(name, found[name][-1], time.perf_counter() - began)
    return found


def tell_one(name: str, one: Answers, seconds: float) -> None:
    """One model, while waiting for the others."""
    own, other = (balanced([one], away=away)[0] for away in (False, True))
    print(f"  {name}, seed {one.seed}, from {one.home}: own {own:.3f}, other {other:.3f}, "
          f"laboratory {told_apart([one])[0]:.3f}; {seconds:.0f} s", flush=True)  # fmt: skip


def counts(answers: list[Answers], away: bool) -> tuple[list[str], np.ndarray]:
    """Subjects, and hits and windows of each class by the direction a subject is tested in."""
    names, rows = [], []
    for one in answers:
        for subject in np.unique(one.subject[(one.lab != one.home) == away]):
            mine = one.subject == subject
            truth, hit = one.truth[mine], one.said[mine] == one.truth[mine]
            row = np.zeros((len(LABS), 2, len(CLASSES)))
            row[LABS.index(one.home), 0] = np.bincount(truth[hit], minlength=len(CLASSES))
            row[LABS.index(one.home), 1] = np.bincount(truth, minlength=len(CLASSES))
            names.append(str(subject))
            rows.append(row.ravel())
    return names, np.array(rows)


def recall(sums: np.ndarray) -> np.ndarray:
    """Balanced accuracy, the mean of both directions, from sums of ``counts``."""
    hits, windows = np.moveaxis(sums.reshape(len(sums), len(LABS), 2, len(CLASSES)), 2, 0)
    there = windows > 0
    each = np.where(there, hits / np.maximum(windows, 1), 0)
    classes = there.sum(axis=2)
    by_home = each.sum(axis=2) / np.maximum(classes, 1)
    return by_home.sum(axis=1) / np.maximum((classes > 0).sum(axis=1), 1)


def balanced(
    answers: list[Answers], *, away: bool, beside: list[Answers] | None = None
) -> tuple[float, float, float]:
    """Balanced accuracy at home or away with its interval, or how much it is above another's."""
    names, table = counts(answers, away)
    if beside is not None:
        table = np.concatenate([table, counts(beside, away)[1]], axis=1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        parts = [recall(part) for part in np.split(sums, 1 if beside is None else 2, axis=1)]
        return (parts[0] if beside is None else parts[0] - parts[1])[:, None]

    return interval(names, table, statistic)


def told_apart(answers: list[Answers]) -> tuple[float, float, float]:
    """Area under the curve of the probes, windows compared with those of the same fold only."""
    names = sorted({str(s) for one in answers for s in one.subject})
    wins, pairs = np.zeros((2, len(names), len(names)))
    for one in answers:
        for fold in np.unique(one.fold):
            inside = one.fold == fold
            first, second = (np.unique(one.subject[inside & (one.lab == lab)]) for lab in LABS)
            for a in first:
                for b in second:
                    x, y = (one.score[one.subject == who] for who in (b, a))
                    at = names.index(str(a)), names.index(str(b))
                    wins[at] += mannwhitneyu(x, y).statistic
                    pairs[at] += len(x) * len(y)

    def statistic(weights: np.ndarray) -> np.ndarray:
        won, all_ = (np.einsum("da,ab,db->d", weights, m, weights) for m in (wins, pairs))
        return np.where(all_ > 0, won / np.maximum(all_, 1), np.nan)[:, None]

    return interval(names, np.eye(len(names)), statistic)


def interval(names: list[str], table: np.ndarray, statistic) -> tuple[float, float, float]:
    """A statistic and its interval over subjects."""
    grouped = cluster(names)
    table = grouped.total(table)
    value = statistic(table.sum(axis=0)[None])[0, 0]
    found = resample(grouped, table, statistic, IntervalParams())
    low, high = (np.nan, np.nan) if isinstance(found, str) else (found[0][0], found[1][0])
    return float(value), float(low), float(high)


def lines(found: dict[str, list[Answers]]) -> Iterator[str]:
    """A table: each arm at home, away, and how well the laboratory is read from it."""
    yield f"{'':20s} {'own laboratory':24s} {'other laboratory':24s} laboratory (AUC)"
    for name, answers in found.items():
        cells = (balanced(answers, away=False), balanced(answers, away=True), told_apart(answers))
        yield f"{name:20s} " + " ".join(f"{v:.3f} ({a:.3f} to {b:.3f})  " for v, a, b in cells)


def report(family: str, found: dict[str, list[Answers]], seconds: float) -> dict:
    """The promise and what became of it, by the worse end of each interval."""
    gain = balanced(found[OURS], away=True, beside=found[PLAIN])
    change = balanced(found[OURS], away=False, beside=found[PLAIN])
    was, now = told_apart(found[PLAIN]), told_apart(found[OURS])
    kept = (
        gain[1] >= PROMISE["gain"] and -change[1] <= PROMISE["loss"]
        and now[2] <= PROMISE["told_apart"] and was[1] >= PROMISE["was"]
    )  # fmt: skip
    others = {name: balanced(answers, away=True, beside=found[PLAIN])
              for name, answers in found.items() if name not in (PLAIN, OURS)}  # fmt: skip
    first = found[OURS]
    tested = {str(s) for one in first for s in one.subject}
    rounded = {"gain": gain, "change_at_home": change, "told_apart_was": was, "told_apart": now}
    return {
        "bench": f"{family}, {len(first)} models, {len(tested)} tested subjects (synthetic)",
        "promise": PROMISE,
        **{name: [round(v, 3) for v in values] for name, values in rounded.items()},
        "gain_of_others": {name: [round(v, 3) for v in values] for name, values in others.items()},
        "windows": sum(len(one.truth) for one in first),
        "kept": bool(kept),
        "seconds": round(seconds),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="one small pair of laboratories")
    parser.add_argument("--family", choices=list(MODELS), nargs="+", default=["spectrogram_mlp"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[321, 322, 323])
    parser.add_argument("--training", type=int, default=6, help="subjects that train")
    parser.add_argument("--tested", type=int, default=8, help="subjects tested of each laboratory")
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=24.0, help="of each recording")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--verbose", action="store_true", help="a line for each model")
    given = parser.parse_args()
    if given.short:
        given.family, given.seeds, given.epochs = ["spectrogram_mlp"], [900], 3
        given.training, given.tested, given.channels, given.seconds = 2, 4, 12, 12.0
    kept = True
    for family in given.family:
        began = time.perf_counter()
        found = run(family, given)
        print(f"{family}: balanced accuracy of windows, 95 % over subjects; chance "
              f"{1 / len(CLASSES):.2f}, for the laboratory 0.50")  # fmt: skip
        print("\n".join(lines(found)), flush=True)
        if {PLAIN, OURS} <= set(found):
            result = report(family, found, time.perf_counter() - began)
            kept &= result["kept"]
            print(json.dumps(result), flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
