"""Sums of Euclidean distances to clusters, over all pairs, in tiles that fit the cache.

Each pair is computed once, in single precision, after both tiles are centred on one of them;
pairs whose digits cancel all the same are done again in double precision.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits

TILE = 512
CANCELLED = 1e-2
"""Squared distance over squared norms below which single precision keeps too few digits."""
MANY = 8
"""If more than one pair in this many is cancelled, the whole tile is done in double precision."""


def cluster_sums(
    features: Float[np.ndarray, "sample dim"],
    labelings: list[Int[np.ndarray, " sample"]],
    threads: int | None = None,
) -> list[Float[np.ndarray, "sample cluster"]]:
    """Sum of the distances from each sample to the samples of each cluster, per labeling.

    Parameters
    ----------
    labelings
        Cluster number per sample, from 0. Fast when samples are sorted by one with many clusters;
        right in any order.
    threads
        Tiles worked on at once; all cores this process may use by default.

    Notes
    -----
    Memory is the result (8 bytes per sample and cluster) and about 10 MB per thread.
    """
    n = len(features)
    tiles = [slice(i, min(i + TILE, n)) for i in range(0, n, TILE)]
    sums = [np.zeros((n, int(codes.max()) + 1)) for codes in labelings]
    members = [[_members(codes[tile]) for tile in tiles] for codes in labelings]
    locks = [Lock() for _ in tiles]

    def add(part: int, tile: int, other: int, distance: np.ndarray) -> None:
        clusters, indicator = members[part][other]
        added = distance @ indicator
        with locks[tile]:
            sums[part][tiles[tile], clusters] += added

    def do_row(i: int) -> None:
        row = _Row(features, tiles[i])
        for j in range(i, len(tiles)):
            distance = row.distances_to(tiles[j])
            for part in range(len(labelings)):
                add(part, i, j, distance)
                if j > i:
                    add(part, j, i, distance.T)

    with (
        threadpool_limits(limits=1, user_api="blas"),
        ThreadPoolExecutor(threads or available_cores()) as pool,
    ):
        list(pool.map(do_row, range(len(tiles))))
    return sums


def available_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _members(codes: Int[np.ndarray, " sample"]) -> tuple[np.ndarray | slice, np.ndarray]:
    """Clusters in a tile and which of its samples each holds, ``(sample, cluster)`` of 0 and 1."""
    clusters, index = np.unique(codes, return_inverse=True)
    indicator = np.zeros((len(codes), len(clusters)), dtype=np.float32)
    indicator[np.arange(len(codes)), index] = 1
    first, last = int(clusters[0]), int(clusters[-1])
    contiguous = last - first + 1 == len(clusters)
    return (slice(first, last + 1) if contiguous else clusters), indicator


class _Row:
    """One tile, centred on itself, and its distances to others."""

    def __init__(self, features: np.ndarray, tile: slice):
        self.features, self.tile = features, tile
        self.center = features[tile].mean(axis=0)
        own = self._centered(tile)
        self.norm = np.einsum("sd,sd->s", own, own)
        ones = np.ones((len(own), 1), dtype=np.float32)
        self.left = np.concatenate([-2 * own, self.norm[:, None], ones], axis=1)

    def _centered(self, tile: slice) -> np.ndarray:
        return (self.features[tile] - self.center).astype(np.float32)

    def distances_to(self, tile: slice) -> Float[np.ndarray, "own other"]:
        """Distances to the samples of another tile, or exactly 0 on the diagonal of its own."""
        other = self._centered(tile)
        norm = np.einsum("sd,sd->s", other, other)
        ones = np.ones((len(other), 1), dtype=np.float32)
        right = np.concatenate([other, ones, norm[:, None]], axis=1)
        square = self.left @ right.T  # |x|² + |y|² - 2xy in one product
        if square.min() < CANCELLED * (self.norm.max() + norm.max()):
            square = self._repaired(square, norm, tile)
        distance = np.sqrt(square, out=square)
        if tile == self.tile:
            np.fill_diagonal(distance, 0)
        return distance

    def _repaired(self, square: np.ndarray, norm: np.ndarray, tile: slice) -> np.ndarray:
        lost = square < CANCELLED * (self.norm[:, None] + norm)
        if tile == self.tile:
            np.fill_diagonal(lost, False)
        mine, other = self.features[self.tile], self.features[tile]
        if lost.sum() * MANY > lost.size:
            x, y = (a.astype(np.float64) - self.center for a in (mine, other))
            both = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * x @ y.T
            return np.maximum(both, 0).astype(np.float32)
        for p, q in zip(*(np.array_split(k, len(k) // 4096 + 1) for k in np.nonzero(lost)),
                        strict=True):  # fmt: skip
            gap = mine[p].astype(np.float64) - other[q]
            square[p, q] = np.einsum("sd,sd->s", gap, gap)
        return np.maximum(square, 0, out=square)
