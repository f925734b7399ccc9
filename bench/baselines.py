"""The published baselines on synthetic laboratories, every one in the same settings.

    python bench/baselines.py [--seeds 0 1 2] [--models brainbert simclr] [--seconds 24]

Each seed is a laboratory; the first subjects train (also without labels), the others are tested.
Balanced accuracy of single windows with a bootstrap interval over tested subjects; chance is one
over the number of classes. Numbers of epochs and rates were not tuned.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.models import BACKBONE, MODELS, DataContext, build, params_class
from pipeline.preprocessing import ArrayReader, LfpParams, WindowParams, cut_lfp_windows
from pipeline.recording import WindowSet
from pipeline.synthetic import LabParams, simulate_session
from pipeline.training import FitParams
from pipeline.training.checkpoint import initialise_from
from pipeline.training.fit import CHECKPOINT, fit
from pipeline.training.inference import predict_windows

CLASSES = ("CA1", "CA3", "DG", "VISp")
SMALL = {
    "band_power": {},
    "spectrogram_mlp": {},
    "simclr": {"widths": (256, 128, 128, 128)},
    "brainbert": {"hidden": 64, "layers": 2, "heads": 4, "feedforward": 128, "frames": 32},
    "lfp2vec": {"size": "tiny"},
}
NO_STEPS = FitParams(objective="none", epochs=0)
DRAWS = 2000


def settings(family: str, epochs: int) -> dict[str, list[FitParams]]:
    """The stages of every setting a family is compared in."""
    steps = {"batch_size": 64, "select": "last"}
    stages = {
        objective: FitParams(objective=objective, epochs=epochs, lr=1e-3, **steps)
        for objective in ("ssl", "finetune")
    }
    stages["frozen"] = FitParams(objective="frozen", epochs=3 * epochs, lr=1e-2, **steps)
    if MODELS[family].objectives != BACKBONE:
        only = MODELS[family].objectives[0]
        return {"supervised": [stages.get(only, NO_STEPS)]}
    ssl = stages["ssl"]
    return {
        "random, frozen, regression": [NO_STEPS],
        "ssl, frozen, regression": [ssl, NO_STEPS],
        "ssl, frozen, head": [ssl, stages["frozen"]],
        "ssl, fine-tuned": [ssl, stages["finetune"]],
        "from scratch": [stages["finetune"]],
    }


def record(seed: int, subject: int, given: argparse.Namespace) -> WindowSet:
    """Windows of one subject."""
    lab = LabParams(channels=given.channels, duration_s=given.seconds, units=0, seed=seed)
    made = simulate_session(lab, subject)
    (probe,) = made.probes
    reader = ArrayReader(probe.lfp, made.rate, start_s=float(made.times[0]))
    cut = cut_lfp_windows(reader, LfpParams(), WindowParams(), bad_channels=probe.bad)
    region = [name or "root" for name in probe.track.acronyms]
    return WindowSet(
        windows=f"{seed:032x}{subject:032x}",
        session=f"{seed}-{subject}",
        subject=f"{seed}-{subject}",
        source="synthetic",
        start_s=cut.start_s,
        window_s=3.0,
        valid=cut.valid,
        channels=pd.DataFrame({"probe": "p", "channel": range(len(region)), "region": region}),
        rate=cut.rate,
        lfp=cut.data,
        synthetic=True,
    )


def train(family: str, stages: list[FitParams], sets: list[WindowSet], seed: int, place: Path):
    """The model after its last stage; equal first stages are computed once."""
    parent, model = None, None
    for number, stage in enumerate(stages):
        folder = place / "-".join([family, *(s.objective for s in stages[: number + 1])])
        classes = () if stage.objective == "ssl" else CLASSES
        context = DataContext.of(sets, classes=classes)
        model = build(params_class(family)(**SMALL[family]), context, seed=seed)
        if parent is not None:
            initialise_from(model, parent)
        if not (stage.objective == "ssl" and (folder / CHECKPOINT).exists()):
            fit(model, sets, [], stage, seed=seed, folder=folder)
        parent = folder / CHECKPOINT
    return model


def recalls(model, windowset: WindowSet) -> np.ndarray:
    """How many windows of each class there are, and how many the model names."""
    found = predict_windows(model, windowset, batch_size=256)
    region = windowset.channels["region"].to_numpy()[found.channel]
    said = np.array(CLASSES)[found.outputs.argmax(axis=1)]
    return np.array([[(region == c).sum(), ((region == c) & (said == c)).sum()] for c in CLASSES])


def balanced(counts: np.ndarray) -> float:
    """Mean recall over the classes present in ``(subject, class, 2)`` counts."""
    there, right = counts.sum(axis=0).T
    return float(np.mean(right[there > 0] / there[there > 0]))


def interval(counts: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval over subjects."""
    g = np.random.default_rng(seed)
    found = [balanced(counts[g.integers(0, len(counts), len(counts))]) for _ in range(DRAWS)]
    return tuple(np.quantile(found, [0.025, 0.975]))


def compare(given: argparse.Namespace) -> Iterator[tuple[str, str, np.ndarray, float]]:
    """Family, setting, counts of every tested subject, seconds."""
    subjects = range(given.training + given.tested)
    labs = {seed: [record(seed, s, given) for s in subjects] for seed in given.seeds}
    with tempfile.TemporaryDirectory() as folder:
        for family in given.models:
            for setting, stages in settings(family, given.epochs).items():
                if given.setting not in (None, setting):
                    continue
                counts, began = [], time.monotonic()
                for seed, sets in labs.items():
                    place = Path(folder) / str(seed)
                    model = train(family, stages, sets[: given.training], seed, place)
                    counts += [recalls(model, w) for w in sets[given.training :]]
                yield family, setting, np.array(counts), time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", default=list(SMALL)[:4], choices=list(SMALL))
    parser.add_argument("--setting", help="only this one; those of a family are in `settings`")
    parser.add_argument("--training", type=int, default=4, help="subjects that train")
    parser.add_argument("--tested", type=int, default=4, help="subjects tested")
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=24.0, help="of each recording")
    parser.add_argument("--epochs", type=int, default=15, help="of each stage with steps")
    given = parser.parse_args()
    print(f"balanced accuracy of windows, chance {1 / len(CLASSES):.2f}, 95 % over subjects")
    beaten = True
    for family, setting, counts, seconds in compare(given):
        low, high = interval(counts)
        row = {"model": family, "setting": setting, "balanced_accuracy": balanced(counts),
               "low": low, "high": high, "subjects": len(counts), "seconds": seconds}  # fmt: skip
        print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}),
              flush=True)  # fmt: skip
        beaten &= low > 1 / len(CLASSES)
    return 0 if beaten else 1


if __name__ == "__main__":
    sys.exit(main())
