"""Whether a model says "unknown" of a region it never learned, on synthetic laboratories.

    python bench/unknown_regions.py [--short] [--seeds 601 602 603]

Promise: of a region withheld from training >= 70 % of channels are answered "unknown" while >= 90 %
of those in known regions keep an answer; and where a model says one region of > 90 % of another
laboratory's windows, the domain warning stands. Judged by the lower end of the interval over
subjects, for the mean over regions; every region is printed.

Each subject is tested once, by a logistic regression on log spectra of windows (family "external")
and a novelty reference of other subjects of its laboratory, for each region in turn: that region's
training channels lose their label. What is answered is what `locate` answers: novelty, then the
confidence line. Seeds 11 to 13 and 501 to 503 were used in development. The oracle is
a nearest-shape classifier trained with the withheld region's labels: can it be told at all?

Kept on seeds 601 to 603: 90 % unknown (87 to 92), 95.5 % kept (93.2 to 97.6). Seeds 501 to 503 came
first, at a stated share of 0.95: 85 % (81 to 88) and 93.2 % (89.4 to 96.3), which missed; the share
was then set to 0.96, so they count as development. Much of it is heard above 100 Hz: below, on
seeds 11 to 13, novelty alone found 62 %; and with 6 training subjects 81 %, with 4 64 %.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import signal

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.analyses.domain import DomainParams, Recording, check_domain, learn_domain
from pipeline.analyses.novelty import (
    LabelledSpectra,
    NoveltyReference,
    learn_novelty,
    novelty_quantiles,
    refuse_new,
)
from pipeline.analyses.one_answer import find_one_answer
from pipeline.analyses.postprocess import UNKNOWN, PostprocessParams
from pipeline.analyses.regions import channel_predictions
from pipeline.analyses.spectra import Spectra, SpectraParams, power_spectra
from pipeline.evaluation.intervals import IntervalParams, cluster, resample
from pipeline.models import DataContext, build, params_class
from pipeline.preprocessing import ArrayReader, LfpParams, WindowParams, cut_lfp_windows
from pipeline.recording import WindowSet
from pipeline.synthetic import LabParams, simulate_session
from pipeline.training.batches import iterate_batches, rows_of
from pipeline.training.inference import predict_windows
from schemas._doubt import Doubts
from workers.locate import KNOWN_KEPT

REGIONS = ("CA1", "CA3", "DG", "LP", "VISp")
OUTSIDE = "root"
LEAST_UNKNOWN, LEAST_KEPT = 0.70, 0.90
MODELS = {
    "log spectra": {"family": "external", "balanced": True},
    "band power": {"family": "band_power", "balanced": True},
    "amplitude only": {"family": "amplitude_only"},
}
"""All are asked about the other laboratory; of withheld regions the first alone."""
BANDS_HZ = np.geomspace(2, 300, 25)
"""Edges of what the first hears."""
SAYS_NO = PostprocessParams(known_kept=KNOWN_KEPT)
CHAIN = LfpParams()


@dataclass(frozen=True)
class Heard:
    """Windows and spectra of one probe; ``region`` is the truth, whatever the label says."""

    windows: WindowSet
    spectra: Spectra
    region: np.ndarray

    @property
    def subject(self) -> str:
        return self.windows.subject

    @property
    def usable(self) -> np.ndarray:
        return self.windows.valid.any(axis=0)

    def labelled(self, classes: tuple[str, ...]) -> "Heard":
        """With labels of these classes alone."""
        labels = [name if name in classes else None for name in self.region]
        table = self.windows.channels.assign(region=pd.Series(labels, dtype=object))
        return replace(self, windows=replace(self.windows, channels=table))


def record(seed: int, layout: str, given: argparse.Namespace) -> Iterator[Heard]:
    """Every probe of one synthetic laboratory."""
    params = LabParams(layout=layout, channels=given.channels, duration_s=given.seconds, units=0,
                       probes=given.probes, seed=seed)  # fmt: skip
    for subject in range(given.subjects):
        made = simulate_session(params, subject)
        for number, probe in enumerate(made.probes):
            reader = ArrayReader(probe.lfp, made.rate, start_s=float(made.times[0]))
            cut = cut_lfp_windows(reader, CHAIN, WindowParams(), bad_channels=probe.bad,
                                  invalid_intervals=made.invalid)  # fmt: skip
            table = pd.DataFrame({"probe": probe.name, "channel": np.arange(given.channels),
                                  "depth_um": probe.track.from_tip_um, "region": None})  # fmt: skip
            found = WindowSet(
                windows=f"{seed:032x}{subject:016x}{number:016x}", session=f"{subject}",
                subject=f"{layout}-{seed}-{subject}", source="synthetic", start_s=cut.start_s,
                window_s=3.0, valid=cut.valid, channels=table, rate=cut.rate, lfp=cut.data,
                synthetic=True, features=log_bands(cut.data, cut.rate),
            )  # fmt: skip
            spectra = power_spectra(cut.data, cut.rate, cut.valid, SpectraParams())
            region = np.array([name or OUTSIDE for name in probe.track.acronyms], dtype=object)
            yield Heard(found, spectra, region)


def log_bands(lfp: np.ndarray, rate: float) -> np.ndarray:
    """Log power of each band, per window and channel."""
    freqs, power = signal.welch(lfp, rate, nperseg=round(rate), axis=1)
    out = []
    for low, high in pairwise(BANDS_HZ):
        inside = (freqs >= low) & (freqs < high)
        inside[np.abs(freqs - (low + high) / 2).argmin()] = True
        out.append(power[:, inside].mean(axis=1))
    return np.log10(np.maximum(np.stack(out, axis=-1), 1e-12)).astype(np.float32)


def train(training: list[Heard], classes: tuple[str, ...], model: dict, seed: int):
    """A linear family on every labelled window."""
    sets = [one.windows for one in training]
    context = DataContext.of(sets, classes=classes)
    params = params_class(model["family"]).from_json(model)
    made = build(params, context, seed=seed)
    needs = {"features" if model["family"] == "external" else "lfp"}
    rows = rows_of(sets, grain="channel", classes=classes, labelled=True)
    made.prepare(iterate_batches(sets, rows, context=context, batch_size=512, needs=needs))
    return made.eval()


def learn(training: list[Heard], classes: tuple[str, ...]) -> NoveltyReference:
    parts = [LabelledSpectra(one.subject, one.spectra, one.windows.channels) for one in training]
    return learn_novelty(parts, classes)


def withhold(region: str, training: list[Heard], tested: list[Heard], seed: int) -> pd.DataFrame:
    """One row per usable channel of the tested subjects: true region, and what was answered."""
    classes = tuple(name for name in REGIONS if name != region)
    known = [one.labelled(classes) for one in training]
    reference, model = learn(known, classes), train(known, classes, MODELS["log spectra"], seed)
    oracle = learn([one.labelled(REGIONS) for one in training], REGIONS)
    return pd.concat([ask(one, region, model, reference, oracle) for one in tested])


def ask(one: Heard, region: str, model, reference, oracle) -> pd.DataFrame:
    """What is said of each usable channel of a probe."""
    channels = one.windows.channels
    found = predict_windows(model, one.windows, batch_size=512)
    alone = channel_predictions(found.outputs, found.window, found.channel, found.classes,
                                channels, SAYS_NO)  # fmt: skip
    novelty = novelty_quantiles(one.spectra, channels, reference)
    said = refuse_new(alone, novelty, SAYS_NO.known_kept)
    table = pd.DataFrame({
        "subject": one.subject, "withheld": region, "true": one.region,
        "unknown": (said["region"] == UNKNOWN).to_numpy(),
        "by confidence": (alone["region"] == UNKNOWN).to_numpy(),
        "by novelty": novelty > SAYS_NO.known_kept,
        "right": (said["region"] == one.region).to_numpy(),
        "oracle": nearest(one, oracle) == region,
    })  # fmt: skip
    return table[one.usable]


def nearest(one: Heard, oracle: NoveltyReference) -> np.ndarray:
    """The region whose shape each channel lies nearest to."""
    from pipeline.analyses.domain import log_spectra

    curves = log_spectra(one.spectra, oracle.freqs)
    out = np.full(len(curves), None, dtype=object)
    usable = np.isfinite(curves).all(axis=1)
    found = oracle.shapes.distances(curves[usable]).argmin(axis=1)
    out[usable] = np.array(oracle.classes, dtype=object)[found]
    return out


def share(rows: pd.DataFrame, column: str) -> tuple[float, float, float]:
    """Share of channels, the mean over withheld regions, with its interval over subjects."""
    subjects = sorted(set(rows["subject"]))
    number = {name: i for i, name in enumerate(subjects)}
    blocks = []
    for _, part in rows.groupby("withheld"):
        who = part["subject"].map(number).to_numpy()
        yes = np.bincount(who, part[column].to_numpy(float), len(subjects))
        blocks += [yes, np.bincount(who, minlength=len(subjects)).astype(float)]

    def statistic(sums: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.nanmean(sums[:, ::2] / sums[:, 1::2], axis=1)[:, None]

    totals = np.stack(blocks, axis=1)
    value = float(statistic(totals.sum(axis=0)[None])[0, 0])
    ends = resample(cluster(subjects), totals, statistic, IntervalParams())
    return (
        (value, np.nan, np.nan) if isinstance(ends, str) else (value, *map(float, np.ravel(ends)))
    )


def run_lab(seed: int, given: argparse.Namespace) -> tuple[pd.DataFrame, list[Heard]]:
    """Every region withheld in turn, every subject tested once."""
    heard = list(record(seed, "allen", given))
    subjects = list(dict.fromkeys(one.subject for one in heard))
    parts = []
    for fold in range(given.folds):
        held = set(subjects[fold :: given.folds])
        training = [one for one in heard if one.subject not in held]
        tested = [one for one in heard if one.subject in held]
        parts += [withhold(region, training, tested, seed) for region in REGIONS]
    return pd.concat(parts, ignore_index=True), heard


def run_foreign(seed: int, home: list[Heard], given: argparse.Namespace) -> list[dict]:
    """Models of one laboratory asked about held-out subjects of it, and about another's."""
    subjects = list(dict.fromkeys(one.subject for one in home))
    held = set(subjects[:: given.folds])
    training = [one.labelled(REGIONS) for one in home if one.subject not in held]
    own = [one for one in home if one.subject in held]
    fewer = argparse.Namespace(**{**vars(given), "subjects": len(held)})
    foreign = list(record(seed, "ibl", fewer))
    domain = learn_domain([one.spectra for one in training], [condition()] * len(training),
                          DomainParams())  # fmt: skip
    reference, found = learn(training, REGIONS), []
    for name, model in MODELS.items():
        made = train(training, REGIONS, model, seed)
        for lab, probes in (("own", own), ("foreign", foreign)):
            for one in probes:
                said = predict_windows(made, one.windows, batch_size=512)
                check = check_domain(one.spectra, condition(), domain, DomainParams())
                novelty = novelty_quantiles(one.spectra, one.windows.channels, reference)
                leading = find_one_answer(said.outputs, said.classes)
                row = Doubts(check, novelty, leading).to_json()
                found.append({
                    "model": name, "lab": lab, "subject": one.subject, **row["one_answer"],
                    "spectrum": bool(check.warnings), "new": row["n_new"] / row["n_asked"],
                    "one": leading.warned, "warned": bool(row["warnings"]),
                })  # fmt: skip
    return found


def condition() -> Recording:
    """What both laboratories say of themselves: the same, so that only the signal can tell."""
    return Recording(CHAIN.target_rate_hz, (CHAIN.highpass_hz, CHAIN.lowpass_hz), CHAIN.reference,
                     "Neuropixels 1.0", "Mus musculus")  # fmt: skip


def tell_regions(rows: pd.DataFrame) -> dict:
    """Print the regions and their mean; what the promise is judged by."""
    print(f"{'withheld':10s} {'unknown':>22s} {'known kept':>22s}  novelty alone   confidence alone"
          "  oracle  n withheld, known")  # fmt: skip
    rows = rows.assign(kept=~rows["unknown"])
    known = rows[rows["true"].isin(REGIONS) & (rows["true"] != rows["withheld"])]
    new = rows[rows["true"] == rows["withheld"]]
    result = {}
    for name in (*REGIONS, "mean"):
        there, here = (part if name == "mean" else part[part["withheld"] == name]
                       for part in (new, known))  # fmt: skip
        unknown, kept = share(there, "unknown"), share(here, "kept")
        beside = [f"{share(there, c)[0]:.2f}, {1 - share(here, c)[0]:.2f} kept"
                  for c in ("by novelty", "by confidence")]  # fmt: skip
        print(f"{name:10s} {_told(unknown):>22s} {_told(kept):>22s}  {'  '.join(beside)}"
              f"  {share(there, 'oracle')[0]:.2f}  {len(there)}, {len(here)}")  # fmt: skip
        result[name] = {
            "unknown": [round(v, 3) for v in unknown],
            "kept": [round(v, 3) for v in kept],
        }
    answered = known[~known["unknown"]]
    surface = rows[rows["true"] == OUTSIDE]
    result["right_of_kept"] = round(share(answered, "right")[0], 3)
    result["above_surface_unknown"] = round(share(surface, "unknown")[0], 3)
    result["n"] = [len(new), len(known), rows["subject"].nunique()]
    return result


def tell_foreign(found: list[dict]) -> bool:
    """Print what each model says of each laboratory; whether none goes without a warning."""
    table, silent = pd.DataFrame(found), 0
    for (name, lab), part in table.groupby(["model", "lab"], sort=False):
        one = part[(part["share"] > 0.9) & (part["confidence"] >= 0.5)]
        missed = int((~one["warned"]).sum())
        silent += missed
        print(f"{name}, {lab} laboratory ({len(part)} recordings, {part['subject'].nunique()} "
              f"subjects): leading region on {part['share'].mean():.2f} of windows "
              f"(most {part['share'].max():.2f}) at {part['confidence'].mean():.2f}; one region "
              f"for > 90 % in {len(one)}, of these without a warning {missed}; warned: "
              f"{part['warned'].mean():.2f} (spectrum {part['spectrum'].mean():.2f}, one region "
              f"{part['one'].mean():.2f}; channels like no known region "
              f"{part['new'].mean():.2f})")  # fmt: skip
    return silent == 0


def _told(value: tuple[float, float, float]) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="one small laboratory")
    parser.add_argument("--seeds", type=int, nargs="+", default=[601, 602, 603])
    parser.add_argument("--subjects", type=int, default=16)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--probes", type=int, default=2)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    if given.short:
        given.seeds, given.subjects, given.folds, given.channels = given.seeds[:1], 9, 3, 32
        given.seconds = 12.0
    began, rows, foreign = time.perf_counter(), [], []
    for seed in given.seeds:
        found, heard = run_lab(seed, given)
        rows.append(found)
        foreign += run_foreign(seed, heard, given)
    result = tell_regions(pd.concat(rows, ignore_index=True))
    warned = tell_foreign(foreign)
    lowest = {side: result["mean"][side][1] for side in ("unknown", "kept")}
    kept = lowest["unknown"] >= LEAST_UNKNOWN and lowest["kept"] >= LEAST_KEPT and warned
    result |= {
        "bench": f"unknown regions, {given.subjects * (given.folds - 1) // given.folds} training "
        f"subjects, seeds {given.seeds}",
        "promise": [LEAST_UNKNOWN, LEAST_KEPT, "no foreign laboratory unwarned"],
        "every_region": all(
            result[name]["unknown"][0] >= LEAST_UNKNOWN and result[name]["kept"][0] >= LEAST_KEPT
            for name in REGIONS
        ),
        "kept_promise": kept,
        "seconds": round(time.perf_counter() - began),
    }
    print(json.dumps(result, ensure_ascii=False))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
