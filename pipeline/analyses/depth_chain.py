"""A chain of hidden states: what each step is, all steps considered, and the one likeliest path."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int64


@dataclass(frozen=True)
class Moves:
    """Probability of each state after each other; few of the gaps between steps differ.

    Attributes
    ----------
    kinds
        One matrix per kind of gap, from the row's state to the column's.
    kind
        Kind of the gap between steps i and i + 1; leading axes are free (chains).
    """

    kinds: Float64[np.ndarray, "kind state state"]
    kind: Int64[np.ndarray, "*chain move"]


def posterior(
    start: Float[np.ndarray, " state"],
    moves: Moves,
    log_emission: Float[np.ndarray, "*chain step state"],
) -> Float64[np.ndarray, "*chain step state"]:
    """Probability of each state at each step, given the emissions of all steps.

    Parameters
    ----------
    start
        Probability of each state at the first step.
    log_emission
        Up to a constant per step; a step that says nothing is a row of equal numbers.

    Source: Rabiner 1989, Proc. IEEE 77:257 (forward-backward, scaled at each step).
    """
    heard = np.exp(log_emission - log_emission.max(axis=-1, keepdims=True))
    forward, backward = pass_both_ways(start, moves, heard)
    return _normalise(forward * backward)


def pass_both_ways(
    start: Float[np.ndarray, " state"], moves: Moves, heard: Float[np.ndarray, "*chain step state"]
) -> tuple[Float64[np.ndarray, "*chain step state"], Float64[np.ndarray, "*chain step state"]]:
    """What steps up to each, and what steps after each, say of its state; each sums to one.

    ``heard`` is the likelihood of each step's emission, up to a factor per step.
    """
    forward, backward = np.empty(heard.shape), np.ones(heard.shape)
    forward[..., 0, :] = _normalise(start * heard[..., 0, :])
    for step in range(heard.shape[-2] - 1):
        move = moves.kinds[moves.kind[..., step]]
        ahead = (forward[..., step, None, :] @ move)[..., 0, :]
        forward[..., step + 1, :] = _normalise(ahead * heard[..., step + 1, :])
    for step in range(heard.shape[-2] - 2, -1, -1):
        move = moves.kinds[moves.kind[..., step]]
        later = heard[..., step + 1, :] * backward[..., step + 1, :]
        backward[..., step, :] = _normalise((move @ later[..., None])[..., 0])
    return forward, backward


def likeliest_path(
    start: Float[np.ndarray, " state"],
    moves: Moves,
    log_emission: Float[np.ndarray, "step state"],
) -> Int64[np.ndarray, " step"]:
    """The path of states that is likeliest as a whole.

    Source: Viterbi 1967, IEEE Trans. Inf. Theory 13:260.
    """
    with np.errstate(divide="ignore"):
        score, log_kinds = np.log(start) + log_emission[0], np.log(moves.kinds)
    came_from = np.zeros(log_emission.shape, np.int64)
    for step, kind in enumerate(moves.kind):
        through = score[:, None] + log_kinds[kind]
        came_from[step + 1] = through.argmax(axis=0)
        score = through.max(axis=0) + log_emission[step + 1]
    path = np.full(len(log_emission), score.argmax(), np.int64)
    for step in range(len(path) - 1, 0, -1):
        path[step - 1] = came_from[step, path[step]]
    return path


def _normalise(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=-1, keepdims=True)
