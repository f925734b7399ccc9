"""Linear probes over all folds of 50,000 embeddings of 768 numbers.

    python bench/linear_probes.py [--short] [--subjects 7] [--classes 8]

Promise: all folds, one subject left out in each, in 60 s on 2 cores. The peer is scikit-learn's
LogisticRegression on the same standardised features, once per fold, in turns with ours on a share
of the samples that it can do; predictions are compared there, each against the other. The time the
peer would take for all is extrapolated from that share and said to be. Embeddings are synthetic:
correlated, with an anisotropic spectrum, classes that overlap and an offset for each subject.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.evaluation import ProbeParams, linear_probe

PROMISE_S = 60.0
AGREEMENT = 0.995
"""Of predictions on the share: scikit-learn stops at a slope of 1e-4, ours nearer the minimum."""


def embeddings(
    n: int, dim: int, subjects: int, classes: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors, regions and subjects of so many windows."""
    rng = np.random.default_rng(seed)
    region = rng.choice(classes, n, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    subject = np.arange(n) % subjects
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0] * (np.arange(1, dim + 1) ** -0.5)
    of_class = rng.normal(size=(classes, dim)) * (4 / dim) ** 0.5
    of_subject = 0.5 * rng.normal(size=(subjects, dim))
    latent = rng.normal(size=(n, dim)) + of_class[region] + of_subject[subject]
    x = (latent @ basis.T).astype(np.float32)
    return x, np.array([f"region {r}" for r in region]), np.array([f"m{s}" for s in subject])


def plain_loop(x: np.ndarray, y: np.ndarray, groups: np.ndarray, params: ProbeParams) -> np.ndarray:
    """The peer."""
    said = np.full(len(y), None)
    for group in np.unique(groups):
        test = groups == group
        mean, sd = x[~test].mean(0, dtype=np.float64), x[~test].std(0, dtype=np.float64)
        probe = LogisticRegression(
            C=params.c, class_weight=params.class_weight, max_iter=params.max_iterations
        )
        probe.fit((x[~test] - mean) / sd, y[~test])
        said[test] = probe.predict((x[test] - mean) / sd)
    return said


def timed(function, *arguments) -> tuple[object, float, float]:
    """Result, wall seconds and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="2,000 x 64, no promise")
    parser.add_argument("--subjects", type=int, default=7)
    parser.add_argument("--classes", type=int, default=8)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--share", type=int, default=10, help="the peer gets one in so many")
    given = parser.parse_args()
    if given.short:
        given.samples, given.dim, given.share = 2000, 64, 1
    x, y, groups = embeddings(given.samples, given.dim, given.subjects, given.classes)
    params = ProbeParams(max_rows=given.samples, draws=200)
    result, wall, cpu = timed(linear_probe, x, y, groups, params)
    some = slice(None, None, given.share)
    peer, peer_wall, peer_cpu = timed(plain_loop, x[some], y[some], groups[some], params)
    ours, our_wall, our_cpu = timed(linear_probe, x[some], y[some], groups[some], params)
    agreement = float((ours.predicted == peer).mean())
    (score,) = [s for s in result.scores if (s.metric, s.level) == ("balanced_accuracy", "pooled")]
    kept = agreement >= AGREEMENT and (given.short or wall <= PROMISE_S)
    report = {
        "bench": f"linear probes, {given.subjects} folds of {given.samples} x {given.dim}, "
        f"{given.classes} classes, {os.environ.get('OMP_NUM_THREADS', 'all')} threads",
        "promise_s": None if given.short else PROMISE_S,
        "seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        "share": f"{len(peer)} samples",
        "ratio_on_the_share": round(peer_wall / our_wall, 2),
        "ratio_cpu_time": round(peer_cpu / our_cpu, 2),
        "same_predictions_on_the_share": round(agreement, 4),
        "peer_seconds_extrapolated": round(peer_wall * given.samples / len(peer)),
        "balanced_accuracy": round(score.value, 3),
        "interval_over_subjects": [round(v, 3) for v in (score.low, score.high)],
        "chance": round(score.chance, 3),
        "kept": kept,
    }
    print(json.dumps(report))
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
