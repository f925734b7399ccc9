"""Silhouettes, exact: every pairwise distance once, in single precision where that is enough.

The sums of distances from each sample to each cluster are all a silhouette needs.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field

from ..params import Params
from .distances import cluster_sums
from .intervals import Clusters, IntervalParams, cluster, resample
from .scores import ScoreRow, as_labels


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


class SilhouetteParams(Params):
    """How a silhouette becomes score rows."""

    max_rows: int = Field(50000, ge=10, description="more samples are drawn from at random")
    draws: int = Field(1000, ge=1, description="bootstrap draws")
    minimum_groups: int = Field(3, ge=2, description="fewer groups give no interval")
    seed: int = 0


def silhouette_scores(
    features: Float[np.ndarray, "sample dim"],
    labels: Iterable[object],
    groups: Iterable[object],
    params: SilhouetteParams | None = None,
    *,
    group_kind: str = "subject",
) -> list[ScoreRow]:
    """Mean silhouette, overall and per cluster, beside that of the same labels shuffled.

    Parameters
    ----------
    labels
        Cluster per sample; samples labelled None or ``unknown``, or not finite, are left out.
    groups
        What the interval resamples; the silhouette of each sample stays as it is.

    Notes
    -----
    Fewer than two clusters give None with the reason. Chance is the mean for labels shuffled
    over all samples, from the same pass over the distances.
    """
    params = params or SilhouetteParams()
    truth, names = as_labels(labels), np.array([str(g) for g in groups], dtype=object)
    if not len(features) == len(truth) == len(names):
        raise ValueError(f"{len(features)} samples, {len(truth)} labels, {len(names)} groups")
    rng = np.random.default_rng(params.seed)
    usable = np.array([t is not None for t in truth], dtype=bool) & np.isfinite(features).all(
        axis=1
    )
    rows = np.flatnonzero(usable)
    if len(rows) > params.max_rows:
        rows = np.sort(rng.choice(rows, params.max_rows, replace=False))
    x, y = features[rows], truth[rows]
    if (k := len(set(y))) < 2:
        reason = f"{k} cluster in {len(rows)} labelled samples; a silhouette needs 2"
        return [ScoreRow("silhouette", "pooled", None, None, len(rows), reason=reason)]
    values = silhouettes(x, {"labels": y, "shuffled": rng.permutation(y)})
    chance = float(values["shuffled"].mean())
    clusters = cluster(names[rows], group_kind)
    interval = IntervalParams(
        draws=params.draws, minimum_groups=params.minimum_groups, seed=params.seed
    )
    whole = _score(values["labels"], clusters, chance, "pooled", "", interval)
    return [whole] + [
        _score(values["labels"][y == c], clusters.take(y == c), chance, "cluster", str(c), interval)
        for c in sorted(set(y))
    ]


def _score(
    values: np.ndarray, clusters: Clusters, chance: float, level: str, detail: str,
    interval: IntervalParams,
) -> ScoreRow:  # fmt: skip
    columns = np.stack([values, np.ones(len(values))], axis=1)
    ends = resample(clusters, clusters.total(columns), lambda s: s[:, :1] / s[:, 1:], interval)
    low, high = (None, None) if isinstance(ends, str) else (float(ends[0][0]), float(ends[1][0]))
    reason = ends if isinstance(ends, str) else clusters.note
    value, n = float(values.mean()), len(values)
    return ScoreRow("silhouette", level, value, chance, n, low, high, reason, detail)
