"""Divisions of samples into training and test that keep near copies on one side."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class ProbeFold:
    """One division: what is fitted on, what is tested."""

    name: str
    train: Bool[np.ndarray, " sample"]
    test: Bool[np.ndarray, " sample"]


def held_out_groups(groups: np.ndarray, max_folds: int, seed: int) -> Iterator[ProbeFold]:
    """Leave one group out; several at a time where there are more than ``max_folds``."""
    unique = np.unique(groups)
    order = np.random.default_rng(seed).permutation(len(unique))
    n_folds = min(len(unique), max_folds)
    fold_of = np.empty(len(unique), dtype=np.int64)
    fold_of[order] = np.arange(len(unique)) % n_folds
    if n_folds == len(unique):
        fold_of = np.arange(n_folds)
    member = fold_of[np.searchsorted(unique, groups)]
    for k in range(n_folds):
        held = unique[fold_of == k]
        name = str(held[0]) if len(held) == 1 else f"{len(held)} groups, first {held[0]}"
        yield ProbeFold(name, member != k, member == k)


def session_blocks(
    start_s: Float[np.ndarray, " sample"], sessions: np.ndarray, blocks: int
) -> np.ndarray:
    """Number of the stretch of its session each window starts in; as many distinct times each."""
    block = np.zeros(len(start_s), dtype=np.int64)
    for session in np.unique(sessions):
        mine = sessions == session
        times, index = np.unique(start_s[mine], return_inverse=True)
        block[mine] = index * blocks // len(times)
    return block


def time_block_folds(
    start_s: Float[np.ndarray, " sample"], sessions: np.ndarray, block: np.ndarray, gap_s: float
) -> Iterator[ProbeFold]:
    """Test one block of every session, train on the others but for a gap around it."""
    for k in np.unique(block):
        test = block == k
        train = ~test
        for session in np.unique(sessions[test]):
            mine = sessions == session
            low, high = start_s[mine & test].min(), start_s[mine & test].max()
            train &= ~(mine & (start_s > low - gap_s) & (start_s < high + gap_s))
        yield ProbeFold(f"block {k}", train, test)
