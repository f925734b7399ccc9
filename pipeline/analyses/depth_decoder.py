"""Regions of a whole probe at once: they are contiguous along a shank, in an order seen before."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Float64, Int64

from ..evaluation.calibration import apply_temperature
from .depth_chain import likeliest_path, posterior
from .depth_prior import DepthPrior, shank_runs, state_numbers
from .postprocess import DecoderParams
from .scored import ScoredProbe

TEMPERATURES = (0.1, 100.0)
_FLOOR = -30.0  # a log probability of -inf must not veto the rest of the shank


def decode_probe(
    log_probs: Float[np.ndarray, "channel class"],
    depth_um: Float[np.ndarray, " _"],
    shank: Int64[np.ndarray, " _"],
    prior: DepthPrior,
    params: DecoderParams | None = None,
) -> Float64[np.ndarray, "channel answer"]:
    """Probability of each of ``prior.answers`` at each channel, given the whole shank.

    Parameters
    ----------
    log_probs
        Mean log probability of each of ``prior.classes`` over the channel's windows; a row with
        NaN (a bad channel) says nothing and is answered from its neighbours.
    depth_um
        Along the shank (µm), growing from the tip as in training. A channel without depth is
        answered by itself.

    Raises
    ------
    ValueError
        If there is not one column per class and one depth and shank per channel.
    """
    _check(log_probs, depth_um, shank, prior)
    params = params or DecoderParams()
    emission = log_emission(log_probs, prior, params)
    alone = emission + np.log(np.repeat(prior.share, prior.stages))
    out = np.exp(alone - alone.max(axis=1, keepdims=True))
    for rows in shank_runs(depth_um, shank):
        moves = prior.moves(np.diff(depth_um[rows]))
        out[rows] = posterior(prior.stage_start, moves, emission[rows])
    return _finish(out, prior, params)


def decode_path(
    log_probs: Float[np.ndarray, "channel class"],
    depth_um: Float[np.ndarray, " _"],
    shank: Int64[np.ndarray, " _"],
    prior: DepthPrior,
    params: DecoderParams | None = None,
) -> Int64[np.ndarray, " channel"]:
    """The answer of each channel (number in ``prior.answers``) on the likeliest path of its shank.

    Arguments as of ``decode_probe``, of which each answer is the likeliest by itself; a path is
    an order of regions that the prior finds possible as a whole.
    """
    _check(log_probs, depth_um, shank, prior)
    emission = log_emission(log_probs, prior, params or DecoderParams())
    path = (emission + np.log(np.repeat(prior.share, prior.stages))).argmax(axis=1)
    for rows in shank_runs(depth_um, shank):
        moves = prior.moves(np.diff(depth_um[rows]))
        path[rows] = likeliest_path(prior.stage_start, moves, emission[rows])
    return np.minimum(path // prior.stages, len(prior.classes))


def among_classes(
    found: Float[np.ndarray, "channel answer"], prior: DepthPrior
) -> Float64[np.ndarray, "channel class"]:
    """Probability of each class, given that the channel is in one of them."""
    known = np.maximum(found[:, : len(prior.classes)].astype(np.float64), 1e-300)
    return known / known.sum(axis=1, keepdims=True)


def fit_decoder(
    probes: Sequence[ScoredProbe], prior: DepthPrior, params: DecoderParams | None = None
) -> DecoderParams:
    """The final temperature and level of "unknown" whose posterior makes labels likeliest.

    The level stays as it is where no label of `probes` is outside the classes. The temperature of
    the model's probabilities stays too: fitted on a few subjects, of whom some have a whole region
    mistaken, it grows until thin regions vanish everywhere.

    Parameters
    ----------
    probes
        Of subjects that neither trained the model nor are tested. The result holds for their
        spacing of sites: nearer neighbours repeat each other more.

    Raises
    ------
    ValueError
        If no channel carries a label that is an answer of the prior.
    """
    params = params or DecoderParams()
    log_probs, depth, state = _stack_shanks(probes, prior)
    known = state >= 0
    if not known.any():
        raise ValueError(
            f"fitting a decoder needs channels with depth and a label of {list(prior.answers)}, "
            f"there are none in {len(probes)} probes"
        )
    moves = prior.moves(np.diff(depth, axis=1))

    def loss(x: np.ndarray) -> float:
        tried = _with(params, x)
        emission = log_emission(log_probs, prior, tried)
        found = posterior(prior.stage_start, moves, emission)[known]
        found = _finish(found, prior, tried)[np.arange(known.sum()), state[known]]
        return float(-np.log(np.maximum(found, 1e-300)).mean())

    with_level = bool((state[known] == len(prior.classes)).any())
    return _with(params, _search(loss, params, with_level=with_level))


def _search(
    loss: Callable[[np.ndarray], float], params: DecoderParams, *, with_level: bool
) -> np.ndarray:
    """Logarithm of the final temperature, and level of "unknown" if asked, of least loss."""
    from scipy.optimize import minimize  # slow to import

    free = 1 + with_level
    begin = np.array([np.log(params.final_temperature), params.unknown_level])
    bounds = [tuple(np.log(TEMPERATURES)), (-10.0, 10.0)]
    simplex = np.vstack([begin, begin + np.diag([0.5, 1.0])])[: free + 1, :free]
    options = {"xatol": 1e-3, "fatol": 1e-5, "initial_simplex": simplex}
    return minimize(
        loss, begin[:free], method="Nelder-Mead", bounds=bounds[:free], options=options
    ).x


def log_emission(
    log_probs: Float[np.ndarray, "*channel class"], prior: DepthPrior, params: DecoderParams
) -> Float64[np.ndarray, "*channel stage"]:
    """Log likelihood of each stage, up to a constant per channel; equal where the model is silent.

    A class probability over the class's frequency is its likelihood over that of a channel of any
    class; "unknown" is taken to look like a channel of any class, at ``params.unknown_level``.
    """
    silent = np.isnan(log_probs).any(axis=-1, keepdims=True)
    level = np.maximum(np.where(silent, 0.0, log_probs), _FLOOR)
    n, classes = len(prior.states), len(prior.classes)
    share = np.array(prior.share[:classes]) if params.divide_by == "training" else np.ones(classes)
    level = (level - np.log(share / share.sum())) / params.temperature
    other = np.full((*level.shape[:-1], n - classes), params.unknown_level)
    level = np.where(silent, 0.0, np.concatenate([level, other], axis=-1))
    return np.repeat(level, prior.stages, axis=-1)


def _with(params: DecoderParams, x: np.ndarray) -> DecoderParams:
    """The parameters at a point of the search."""
    names = ("final_temperature", "unknown_level")
    values = (float(np.exp(x[0])), *map(float, x[1:]))
    return params.model_copy(update=dict(zip(names, values, strict=False)))


def _finish(
    found: Float[np.ndarray, "channel stage"], prior: DepthPrior, params: DecoderParams
) -> Float64[np.ndarray, "channel answer"]:
    """Sum over stages and over the regions that are answered "unknown"; last temperature."""
    state = found.reshape(len(found), len(prior.states), prior.stages).sum(axis=2)
    return apply_temperature(to_answers(state, prior), params.final_temperature)


def to_answers(
    state: Float[np.ndarray, "channel state"], prior: DepthPrior
) -> Float64[np.ndarray, "channel answer"]:
    """Probabilities of the classes as they are, of all other regions together as "unknown"."""
    n = len(prior.classes)
    if len(prior.answers) == n:
        return state
    return np.column_stack([state[:, :n], state[:, n:].sum(axis=1)])


def _stack_shanks(
    probes: Sequence[ScoredProbe], prior: DepthPrior
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log probabilities, depths and states (-1: none) of all shanks, the short ones padded.

    Padding comes after the last site and says nothing, which leaves what is before it alone.
    """
    found = []
    for probe in probes:
        _check(probe.log_probs, probe.depth_um, probe.shank, prior)
        state = state_numbers(probe.labels, prior.answers)
        for rows in shank_runs(probe.depth_um, probe.shank):
            found.append((probe.log_probs[rows], probe.depth_um[rows], state[rows]))
    longest = max((len(depth) for _, depth, _ in found), default=0)
    log_probs = np.full((len(found), longest, len(prior.classes)), np.nan)
    depth, state = np.zeros((len(found), longest)), np.full((len(found), longest), -1)
    for i, (logs, depths, states) in enumerate(found):
        n = len(depths)
        log_probs[i, :n], state[i, :n], depth[i, :n] = logs, states, depths
        depth[i, n:] = depths[-1]
    return log_probs, depth, state


def _check(log_probs, depth_um, shank, prior: DepthPrior) -> None:
    if log_probs.ndim != 2 or log_probs.shape[1] != len(prior.classes):
        raise ValueError(
            f"{log_probs.shape[-1]} columns of log probability for the "
            f"{len(prior.classes)} classes {list(prior.classes)} of the prior"
        )
    if not len(log_probs) == len(depth_um) == len(shank):
        raise ValueError(
            f"{len(log_probs)} rows of log probability, {len(depth_um)} depths and "
            f"{len(shank)} shanks; give one of each per channel"
        )
