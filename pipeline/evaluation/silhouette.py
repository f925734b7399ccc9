"""Silhouettes, exact: every pairwise distance once, in single precision where that is enough.

The sums of distances from each sample to each cluster are all a silhouette needs.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float, Int

from .distances import cluster_sums


def silhouette_samples(
    features: Float[np.ndarray, "sample dim"],
    labels: Iterable[object],
    *,
    threads: int | None = None,
) -> Float[np.ndarray, " sample"]:
    """How much closer each sample is to its own cluster than to the next, -1 to 1.

    Parameters
    ----------
    threads
        Tiles worked on at once; all cores the process may use by default.

    Returns
    -------
    0 for a sample alone in its cluster. Euclidean distance.

    Raises
    ------
    ValueError
        If labels and samples differ in number, fewer than two clusters are there, or a feature is
        not finite.

    Source: Rousseeuw 1987, J. Comput. Appl. Math. 20:53.
    """
    return silhouettes(features, {"labels": labels}, threads=threads)["labels"]


def silhouettes(
    features: Float[np.ndarray, "sample dim"],
    labelings: Mapping[str, Iterable[object]],
    *,
    threads: int | None = None,
) -> dict[str, Float[np.ndarray, " sample"]]:
    """Silhouettes of the same samples under several labelings, from one pass over all pairs.

    Parameters
    ----------
    labelings
        Name -> label per sample; samples are sorted by the first, so put the one with most
        clusters there.
    """
    coded = {name: _encode(name, labels, len(features)) for name, labels in labelings.items()}
    if features.dtype not in (np.float32, np.float64):
        features = features.astype(np.float64)
    if not np.isfinite(features).all():
        raise ValueError("features hold NaN or infinity; drop those samples first")
    order = np.argsort(next(iter(coded.values())), kind="stable")
    sums = cluster_sums(features[order], [codes[order] for codes in coded.values()], threads)
    out = {}
    for (name, codes), total in zip(coded.items(), sums, strict=True):
        values = np.empty(len(features))
        values[order] = _from_sums(total, codes[order])
        out[name] = values
    return out


def _encode(name: str, labels: Iterable[object], n: int) -> Int[np.ndarray, " sample"]:
    unique, codes = np.unique(np.array([str(x) for x in labels]), return_inverse=True)
    if len(codes) != n:
        raise ValueError(f"{len(codes)} labels ({name}) for {n} samples; they must be equal")
    if len(unique) < 2:
        raise ValueError(f"a silhouette needs 2 clusters, {name} has {len(unique)}")
    return codes.astype(np.int64)


def _from_sums(
    sums: Float[np.ndarray, "sample cluster"], codes: Int[np.ndarray, " sample"]
) -> Float[np.ndarray, " sample"]:
    size = np.bincount(codes)
    rows = np.arange(len(codes))
    own = sums[rows, codes] / np.maximum(size[codes] - 1, 1)
    sums /= size
    sums[rows, codes] = np.inf
    other = sums.min(axis=1)
    larger = np.maximum(own, other)
    value = np.divide(other - own, larger, out=np.zeros(len(codes)), where=larger > 0)
    return np.where(size[codes] > 1, value, 0.0)
