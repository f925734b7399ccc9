"""Rates between regions from labels at discrete depths, by expectation maximisation."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int64

from .depth_chain import Moves, pass_both_ways

_TERMS = 30  # of the series, whose argument is at most 1


def fit_rates(
    chains: Sequence[tuple[np.ndarray, np.ndarray]],
    size: int,
    *,
    stages: int,
    pseudo_count: float,
    thickness_um: float,
    iterations: int,
    tolerance: float,
) -> Float64[np.ndarray, "state state"]:
    """The likeliest borders per µm between states whose thickness is Erlang distributed.

    Parameters
    ----------
    chains
        Depth (µm, growing) and state of the labelled sites of each stretch of shank.
    pseudo_count, thickness_um
        Every state is taken to have been left so often, after so many µm, to any other.

    Source: Hobolth and Jensen 2011, J. Appl. Probab. 48:911.
    """
    rates = _to_rates(np.zeros((size, size)), np.zeros(size), np.zeros(size), stages,
                      pseudo_count, thickness_um)  # fmt: skip
    depth, heard, real = _stack(chains, size, stages)
    for _ in range(iterations):
        borders, passed, length = _expect(rates, depth, heard, real, stages)
        found = _to_rates(borders, passed, length, stages, pseudo_count, thickness_um)
        moved = np.abs(found - rates).max() / max(np.abs(found).max(), 1e-300)
        rates = found
        if moved < tolerance:
            break
    return rates


def expand(
    rates: Float[np.ndarray, "state state"], stages: int
) -> Float64[np.ndarray, "stage stage"]:
    """Rates between the stages of all states (per µm), entered at the first, left at the last."""
    size = len(rates) * stages
    out = np.zeros((size, size))
    last, first = np.arange(stages - 1, size, stages), np.arange(0, size, stages)
    out[np.ix_(last, first)] = stages * rates * (1 - np.eye(len(rates)))
    within = np.setdiff1d(np.arange(size), last)
    out[within, within + 1] = -stages * rates.diagonal()[within // stages]
    np.fill_diagonal(out, 0.0)
    return _close(out)


def stage_moves(
    rates: Float[np.ndarray, "stage stage"], gaps_um: Float[np.ndarray, "*chain move"]
) -> Moves:
    """Probability of each stage after each other over each gap (µm)."""
    gaps, kind = np.unique(whole_um(gaps_um), return_inverse=True)
    kinds = np.array([exponential(rates, int(gap)) for gap in gaps])
    return Moves(kinds.reshape(-1, *rates.shape), kind.reshape(gaps_um.shape).astype(np.int64))


def exponential(
    rates: Float[np.ndarray, "stage stage"], gap_um: int | float
) -> Float64[np.ndarray, "stage stage"]:
    """exp(rates × gap) where nothing off the diagonal is negative: no entry loses precision.

    A region that is met on one site is passed through all its stages within one gap, which is
    so unlikely that a general matrix exponential returns noise.

    Source: Grassmann 1977, Comput. Oper. Res. 4:47 (uniformisation).
    """
    fastest = max(-float(rates.diagonal().min()), 1e-300)
    halvings = max(int(np.ceil(np.log2(max(fastest * gap_um, 1.0)))), 0)
    step = fastest * gap_um / 2**halvings
    jump = np.eye(len(rates)) + rates / fastest
    term = np.exp(-step) * np.eye(len(rates))
    out = term.copy()
    for k in range(1, _TERMS):
        term = term @ jump * (step / k)
        out += term
    for _ in range(halvings):
        out = out @ out
    return out


def whole_um(gaps_um: Float[np.ndarray, "*chain move"]) -> Int64[np.ndarray, "*chain move"]:
    """Gaps in whole µm, at least 1: two sites of one row may lie in two regions."""
    return np.maximum(np.rint(gaps_um), 1).astype(np.int64)


def _stack(
    chains: Sequence[tuple[np.ndarray, np.ndarray]], size: int, stages: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth, which stages a label allows, and whether the step is one, padded to the longest."""
    longest = max(len(depth) for depth, _ in chains)
    depth = np.zeros((len(chains), longest))
    heard = np.ones((len(chains), longest, size * stages))
    real = np.zeros((len(chains), longest), bool)
    for i, (at, state) in enumerate(chains):
        depth[i, : len(at)], depth[i, len(at) :] = at, at[-1]
        heard[i, : len(at)] = np.repeat(np.eye(size)[state], stages, axis=1)
        real[i, : len(at)] = True
    return depth, heard, real


def _expect(
    rates: np.ndarray, depth: np.ndarray, heard: np.ndarray, real: np.ndarray, stages: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Borders between states, stages passed within each, and µm in each, given the labels."""
    fine = expand(rates, stages)
    gaps = np.diff(depth, axis=1)
    moves = stage_moves(fine, gaps)
    n = len(fine)
    forward, backward = pass_both_ways(np.full(n, 1 / n), moves, heard)
    after, before = (heard * backward)[:, 1:], forward[:, :-1]
    block = np.zeros((2 * n, 2 * n))
    block[:n, :n] = block[n:, n:] = fine.T
    total = np.zeros_like(fine)
    for kind, gap in enumerate(np.unique(whole_um(gaps))):
        chosen = (moves.kind == kind) & real[:, 1:]
        a, b = before[chosen], after[chosen]
        likelihood = ((a @ moves.kinds[kind]) * b).sum(axis=1)
        pairs = a.T @ (b / likelihood[:, None])
        block[:n, n:] = pairs
        total += exponential(block, int(gap))[:n, n:]  # the integral over where a border may lie
    jumps = fine * total
    last, first = np.arange(stages - 1, n, stages), np.arange(0, n, stages)
    borders = jumps[np.ix_(last, first)] * (1 - np.eye(len(rates)))
    jumps[np.ix_(last, first)] = 0
    passed = (jumps * (1 - np.eye(n))).sum(axis=1).reshape(-1, stages).sum(axis=1)
    return borders, passed, total.diagonal().reshape(-1, stages).sum(axis=1)


def _to_rates(
    borders: np.ndarray,
    passed: np.ndarray,
    length: np.ndarray,
    stages: int,
    pseudo_count: float,
    thickness_um: float,
) -> Float64[np.ndarray, "state state"]:
    """Rates from borders, stages passed and µm, with the pseudo counts."""
    size = len(borders)
    borders = borders + pseudo_count * (1 - np.eye(size)) / max(size - 1, 1)
    left = borders.sum(axis=1)
    ends = passed + left + (stages - 1) * pseudo_count
    thickness = stages * (length + pseudo_count * thickness_um) / ends
    return _close(borders / np.maximum(left, 1e-300)[:, None] / thickness[:, None])


def _close(rates: np.ndarray) -> np.ndarray:
    """Off-diagonal rates with the diagonal that makes rows sum to zero."""
    off = rates * (1 - np.eye(len(rates)))
    return off - np.diag(off.sum(axis=1))
