"""What a model says of each region, and how far one subject's regions are from everybody's.

A region of one subject is often mistaken as a whole: its rhythms are stronger or slower than in
others, on all its channels alike. So each subject is given an offset for each region, drawn around
none, which is inferred from its own unlabelled channels together with where its regions lie.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int64
from pydantic import Field

from ..params import Params
from .depth_chain import Moves, posterior
from .depth_prior import DepthPrior, shank_runs, state_numbers
from .postprocess import EmissionParams
from .scored import ScoredProbe

_FLOOR = -14.0  # a log probability of -inf would move a region's mean without end


class Emission(Params):
    """Channel means in contrasts of log probability, Gaussian in each state of a DepthPrior.

    ``mean`` is over subjects, ``within`` the covariance of a subject's channels around its own
    mean, ``between`` that of subjects' means. ``repeats``: of so many neighbouring channels, at
    the spacing it was learned at, one says something new.
    """

    states: tuple[str, ...]
    mean: tuple[tuple[float, ...], ...]
    within: tuple[tuple[tuple[float, ...], ...], ...]
    between: tuple[tuple[tuple[float, ...], ...], ...]
    repeats: float = Field(ge=1)
    n_subjects: int


def contrasts(
    log_probs: Float[np.ndarray, "channel class"],
) -> Float64[np.ndarray, "channel contrast"]:
    """Log probabilities without what they share, in orthonormal directions; one fewer than classes.

    Source: Egozcue et al. 2003, Math. Geol. 35:279 (isometric log-ratio).
    """
    n = log_probs.shape[1]
    basis = np.zeros((n, n - 1))
    for j in range(n - 1):
        basis[: j + 1, j], basis[j + 1, j] = 1.0, -(j + 1.0)
    return np.maximum(log_probs.astype(np.float64), _FLOOR) @ (
        basis / np.linalg.norm(basis, axis=0)
    )


def learn_emission(
    probes: Sequence[ScoredProbe], prior: DepthPrior, params: EmissionParams | None = None
) -> Emission:
    """Mean of each state and how much channels and subjects vary, from labelled answers.

    A state that no subject has enough channels of takes the mean of all states, and their spread.

    Raises
    ------
    ValueError
        If fewer than two subjects have labelled channels.
    """
    params, n = params or EmissionParams(), len(prior.states)
    means: list[list[np.ndarray]] = [[] for _ in range(n)]
    around: list[list[np.ndarray]] = [[] for _ in range(n)]
    subjects = {probe.subject for probe in probes}
    for subject in sorted(subjects):
        x, state = _stack([probe for probe in probes if probe.subject == subject], prior)
        for k in range(n):
            own = x[state == k]
            if len(own) >= params.least_channels:
                means[k].append(own.mean(axis=0))
                around[k].append(own - own.mean(axis=0))
    if len(subjects) < 2 or not any(means):
        raise ValueError(
            f"what a model says of regions is learned from labelled channels of two subjects or "
            f"more, there are {len(subjects)} subjects and {sum(map(bool, means))} regions"
        )
    within = _within(around, params.pooled_channels)
    mean, between = _between(means, params.pooled_subjects)
    return Emission(
        states=prior.states, mean=mean.tolist(), within=within.tolist(),
        between=between.tolist(),
        repeats=_repeats(probes, prior), n_subjects=len(subjects),
    )  # fmt: skip


def decode_adapted(
    log_probs: Float[np.ndarray, "channel class"],
    depth_um: Float[np.ndarray, " _"],
    shank: Int64[np.ndarray, " _"],
    prior: DepthPrior,
    emission: Emission,
    params: EmissionParams | None = None,
) -> Float64[np.ndarray, "channel state"]:
    """Probability of each state at each channel of one subject, its offsets inferred meanwhile.

    Parameters
    ----------
    log_probs
        Of all channels recorded together, NaN for a bad one. A channel without depth helps nobody
        and is answered by itself.

    Source: Dempster et al. 1977, J. R. Stat. Soc. B 39:1; states, then offsets, in turn.
    """
    params, x = params or EmissionParams(), contrasts(log_probs)
    heard = np.isfinite(x).all(axis=1)
    runs = [(rows, prior.moves(np.diff(depth_um[rows]))) for rows in shank_runs(depth_um, shank)]
    mean, spread = np.array(emission.mean), np.array(emission.between)
    for step in range(params.steps + 1):
        log_like = _log_like(x, mean, np.array(emission.within) + spread) / emission.repeats
        log_like[~heard] = 0.0
        found = _decode(log_like, runs, prior)
        if step < params.steps:
            mean, spread = _offsets(x[heard], found[heard], emission)
    return found


def _decode(
    log_like: np.ndarray, runs: Sequence[tuple[np.ndarray, Moves]], prior: DepthPrior
) -> np.ndarray:
    alone = log_like + np.log(prior.share)
    out = np.exp(alone - alone.max(axis=1, keepdims=True))
    out /= out.sum(axis=1, keepdims=True)
    staged = np.repeat(log_like, prior.stages, axis=1)
    for rows, moves in runs:
        stage = posterior(prior.stage_start, moves, staged[rows])
        out[rows] = stage.reshape(len(rows), -1, prior.stages).sum(axis=2)
    return out


def _log_like(x: np.ndarray, mean: np.ndarray, cov: np.ndarray) -> np.ndarray:
    """Gaussian log density of each row in each state, up to a constant."""
    away = x[:, None] - mean
    level = np.linalg.slogdet(cov)[1]
    return -0.5 * (np.einsum("csi,sij,csj->cs", away, np.linalg.inv(cov), away) + level)


def _offsets(x: np.ndarray, found: np.ndarray, emission: Emission) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each state in this subject, and how unsure it still is."""
    loose, tight = (np.linalg.inv(np.array(c)) for c in (emission.between, emission.within))
    weight = found.sum(axis=0)
    own = (found.T @ x) / np.maximum(weight, 1e-9)[:, None]
    tight = tight * (weight / emission.repeats)[:, None, None]
    spread = np.linalg.inv(loose + tight)
    pull = np.einsum("sij,sj->si", loose, np.array(emission.mean))
    pull += np.einsum("sij,sj->si", tight, own)
    return np.einsum("sij,sj->si", spread, pull), spread


def _stack(probes: Sequence[ScoredProbe], prior: DepthPrior) -> tuple[np.ndarray, np.ndarray]:
    x = np.concatenate([contrasts(probe.log_probs) for probe in probes])
    state = np.concatenate([state_numbers(probe.labels, prior.states) for probe in probes])
    return x, np.where(np.isfinite(x).all(axis=1), state, -1)


def _within(around: list[list[np.ndarray]], pooled: float) -> np.ndarray:
    """Covariance of channels in each state, drawn towards that of all states."""
    rows = [np.concatenate(parts) if parts else None for parts in around]
    size = next(part.shape[1] for part in rows if part is not None)
    square = np.array([np.zeros((size, size)) if r is None else r.T @ r for r in rows])
    count = np.array([0 if r is None else len(r) for r in rows])
    shared = _round(square.sum(axis=0) / count.sum())
    return (square + pooled * shared) / (count + pooled)[:, None, None]


def _between(means: list[list[np.ndarray]], pooled: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance over subjects of each state, drawn towards the covariance of all."""
    known = [np.array(own) for own in means if own]
    away = [own - own.mean(axis=0) for own in known]
    free = max(sum(len(own) - 1 for own in known), 1)
    shared = _round(sum(own.T @ own for own in away) / free)
    middle = np.array([own.mean(axis=0) for own in known])
    apart = np.atleast_2d(np.cov(middle.T)) if len(middle) > 1 else 0 * shared
    mean, between = [], []
    for own in map(np.array, means):
        if not len(own):
            mean.append(middle.mean(axis=0))
            between.append(shared + apart)
            continue
        off = own - own.mean(axis=0)
        mean.append(own.mean(axis=0))
        between.append((off.T @ off + pooled * shared) / (len(own) - 1 + pooled))
    return np.array(mean), np.array(between)


def _round(cov: np.ndarray, share: float = 0.05) -> np.ndarray:
    """A covariance with a little of the round one of the same size: it can be inverted."""
    size = len(cov)
    return (1 - share) * cov + share * max(np.trace(cov) / size, 1e-3) * np.eye(size)


def _repeats(probes: Sequence[ScoredProbe], prior: DepthPrior) -> float:
    """How many neighbouring channels say one thing: autocorrelation around each region's mean.

    That mean is of few channels and takes some of what they share with it: rather too few.

    Source: Bartlett 1946, J. R. Stat. Soc. B 8:27 (effective number of samples).
    """
    pairs: dict[int, list[float]] = {}
    for probe in probes:
        x, state = _stack([probe], prior)
        for rows in shank_runs(probe.depth_um, probe.shank):
            for k in set(state[rows]) - {-1}:
                at = np.flatnonzero(state[rows] == k)
                own = x[rows[at]] - x[rows[at]].mean(axis=0)
                product = own @ own.T
                lag = np.abs(at[:, None] - at)
                for gap in range(min(int(lag.max()), 20) + 1):
                    pairs.setdefault(gap, []).extend(product[lag == gap])
    scale, total = np.mean(pairs[0]), 1.0
    for gap in range(1, len(pairs)):
        share = np.mean(pairs[gap]) / max(scale, 1e-12)
        if share < 0.05:
            break
        total += 2 * share
    return float(max(total, 1.0))
