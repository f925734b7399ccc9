"""Exact silhouette against scikit-learn: `python bench/silhouette.py [--short]`.

Both run in one process, in turns, on the same 2 cores; prints one ratio, the largest difference
and the peak memory of the whole process after ours, before the peer has run.
"""

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import silhouette_samples as peer

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipeline.evaluation.silhouette import silhouette_samples


def make_embedding(n: int, dim: int, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clouds around random centres, as float32 like a stored embedding."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(clusters, size=n)
    centers = rng.normal(scale=0.5, size=(clusters, dim))
    return (centers[labels] + rng.normal(size=(n, dim))).astype(np.float32), labels


def timed(function, *arguments) -> tuple[float, np.ndarray]:
    """Seconds a call takes, and what it returns."""
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def peak_mb() -> float:
    """Largest resident size of this process so far (MB)."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="10,000 samples instead of 50,000")
    parser.add_argument("--clusters", type=int, default=7)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    n = 10_000 if arguments.short else 50_000
    features, labels = make_embedding(n, arguments.dim, arguments.clusters, seed=0)
    silhouette_samples(features[:2000], labels[:2000])
    first, ours = timed(silhouette_samples, features, labels)
    peak = peak_mb()
    times = {"ours": [first], "peer": []}
    for turn in range(arguments.rounds):
        seconds, theirs = timed(peer, features, labels)
        times["peer"].append(seconds)
        if turn + 1 < arguments.rounds:
            times["ours"].append(timed(silhouette_samples, features, labels)[0])
    best = {name: min(seconds) for name, seconds in times.items()}
    result = {
        "bench": f"silhouette {n} x {arguments.dim}, {arguments.clusters} clusters",
        "ratio": round(best["peer"] / best["ours"], 2),
        "promise": 2.0,
        "ours_s": round(best["ours"], 2),
        "peer_s": round(best["peer"], 2),
        "largest_difference": float(np.abs(ours - theirs).max()),
        "difference_of_means": float(abs(ours.mean() - theirs.mean())),
        "peak_mb": round(peak),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
