"""Regions of a whole probe at once: they are contiguous along a shank, in an order seen before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int64
from pydantic import Field

from ..params import Params
from .depth_chain import likeliest_path, posterior
from .depth_prior import DepthPrior, shank_runs, state_numbers
from .regions import UNKNOWN

TEMPERATURES = (0.1, 100.0)
_FLOOR = -30.0  # a log probability of -inf must not veto the rest of the shank


class DecoderParams(Params):
    """How much the model's probabilities count against the prior over depth."""

    temperature: float = Field(
        1.0, gt=0, description="log probabilities are divided by it; neighbours repeat each other"
    )
    divide_by: Literal["training", "none"] = Field(
        "training", description="class frequencies the model has learned: of training, or equal"
    )
    unknown_level: float = Field(
        0.0, description="log likelihood of 'unknown' over that of the mean of the classes"
    )


@dataclass(frozen=True)
class ScoredProbe:
    """What the model says of one probe, and its labels: for fitting on validation subjects.

    Attributes
    ----------
    log_probs
        Mean log probability of each class over the channel's windows; NaN for a bad channel.
    labels
        Region of each channel, None where nothing is known.
    depth_um
        Along the shank (µm), growing from the tip.
    """

    log_probs: Float64[np.ndarray, "channel class"]
    labels: Sequence[str | None]
    depth_um: Float64[np.ndarray, " channel"]
    shank: Int64[np.ndarray, " channel"]


def decode_probe(
    log_probs: Float[np.ndarray, "channel class"],
    depth_um: Float[np.ndarray, " _"],
    shank: Int64[np.ndarray, " _"],
    prior: DepthPrior,
    params: DecoderParams | None = None,
) -> Float64[np.ndarray, "channel state"]:
    """Probability of each of ``prior.states`` at each channel, given the whole shank.

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
    emission = log_emission(log_probs, prior, params or DecoderParams())
    alone = emission + np.log(prior.share)
    out = np.exp(alone - alone.max(axis=1, keepdims=True))
    out /= out.sum(axis=1, keepdims=True)
    for rows in shank_runs(depth_um, shank):
        moves = prior.moves(np.diff(depth_um[rows]))
        out[rows] = posterior(np.array(prior.start), moves, emission[rows])
    return out


def decode_path(
    log_probs: Float[np.ndarray, "channel class"],
    depth_um: Float[np.ndarray, " _"],
    shank: Int64[np.ndarray, " _"],
    prior: DepthPrior,
    params: DecoderParams | None = None,
) -> Int64[np.ndarray, " channel"]:
    """The state of each channel (number in ``prior.states``) on the likeliest path of its shank.

    Arguments as of ``decode_probe``; unlike its leading states these never make a region order
    that the prior finds impossible.
    """
    _check(log_probs, depth_um, shank, prior)
    emission = log_emission(log_probs, prior, params or DecoderParams())
    path = (emission + np.log(prior.share)).argmax(axis=1)
    for rows in shank_runs(depth_um, shank):
        moves = prior.moves(np.diff(depth_um[rows]))
        path[rows] = likeliest_path(np.array(prior.start), moves, emission[rows])
    return path


def among_classes(
    found: Float[np.ndarray, "channel state"], prior: DepthPrior
) -> Float64[np.ndarray, "channel class"]:
    """Probability of each class, given that the channel is in one of them."""
    known = found[:, [name != UNKNOWN for name in prior.states]].astype(np.float64)
    known = np.maximum(known, 1e-300)
    return known / known.sum(axis=1, keepdims=True)


def fit_decoder(
    probes: Sequence[ScoredProbe], prior: DepthPrior, params: DecoderParams | None = None
) -> DecoderParams:
    """The temperature and level of "unknown" whose posterior makes held-out labels likeliest.

    The level stays as it is where no label of `probes` is of the state "unknown".

    Parameters
    ----------
    probes
        Of subjects that neither trained the model nor are tested. The result holds for their
        spacing of sites: nearer neighbours repeat each other more.

    Raises
    ------
    ValueError
        If no channel carries a label that is a state of the prior.
    """
    from scipy.optimize import minimize  # slow to import

    params = params or DecoderParams()
    log_probs, depth, state = _stack_shanks(probes, prior)
    known = state >= 0
    if not known.any():
        raise ValueError(
            f"fitting a decoder needs channels with depth and a label of {list(prior.states)}, "
            f"there are none in {len(probes)} probes"
        )
    moves, start = prior.moves(np.diff(depth, axis=1)), np.array(prior.start)

    def loss(x: np.ndarray) -> float:
        emission = log_emission(log_probs, prior, _with(params, x))
        found = posterior(start, moves, emission)[known, state[known]]
        return float(-np.log(np.maximum(found, 1e-300)).mean())

    grid = np.log(np.geomspace(*TEMPERATURES, 15))
    begin = [min(grid, key=lambda t: loss(np.array([t])))]
    unknown = prior.states.index(UNKNOWN) if UNKNOWN in prior.states else -1
    if (state[known] == unknown).any():
        begin.append(params.unknown_level)
    bounds = [tuple(np.log(TEMPERATURES)), (-10.0, 10.0)][: len(begin)]
    options = {"xatol": 1e-3, "fatol": 1e-5}
    found = minimize(loss, begin, method="Nelder-Mead", bounds=bounds, options=options)
    return _with(params, found.x)


def log_emission(
    log_probs: Float[np.ndarray, "*channel class"], prior: DepthPrior, params: DecoderParams
) -> Float64[np.ndarray, "*channel state"]:
    """Log likelihood of each state, up to a constant per channel; equal where the model is silent.

    A class probability over the class's frequency is its likelihood over that of a channel of any
    class; "unknown" is taken to look like a channel of any class, at ``params.unknown_level``.
    """
    silent = np.isnan(log_probs).any(axis=-1, keepdims=True)
    level = np.maximum(np.where(silent, 0.0, log_probs), _FLOOR)
    if params.divide_by == "training":
        share = [s for s, name in zip(prior.share, prior.states, strict=True) if name != UNKNOWN]
        level = level - np.log(np.array(share) / sum(share))
    else:
        level = level + np.log(len(prior.classes))
    level = level / params.temperature
    if UNKNOWN in prior.states:
        other = np.full((*level.shape[:-1], 1), params.unknown_level)
        level = np.concatenate([level, other], axis=-1)
    return np.where(silent, 0.0, level).astype(np.float64)


def _with(params: DecoderParams, x: np.ndarray) -> DecoderParams:
    """The parameters at a point of the search."""
    update = {"temperature": float(np.exp(x[0]))}
    if len(x) > 1:
        update["unknown_level"] = float(x[1])
    return params.model_copy(update=update)


def _stack_shanks(
    probes: Sequence[ScoredProbe], prior: DepthPrior
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log probabilities, depths and states (-1: none) of all shanks, the short ones padded.

    Padding comes after the last site and says nothing, which leaves what is before it alone.
    """
    found = []
    for probe in probes:
        _check(probe.log_probs, probe.depth_um, probe.shank, prior)
        state = state_numbers(probe.labels, prior.states)
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
