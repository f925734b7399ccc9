"""From a class probability per (window, channel) to one region, or "unknown", per channel."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64, Int, Integer

from ..evaluation.calibration import apply_temperature
from .learned import Learned, decode_learned
from .postprocess import UNKNOWN, PostprocessParams

_FLOOR = 1e-6  # a probability of exactly 0 must not veto all other windows of its channel


def channel_predictions(
    proba: Float[np.ndarray, "row class"],
    window_idx: Integer[np.ndarray, " row"],
    channel_idx: Integer[np.ndarray, " row"],
    classes: Sequence[str],
    channels: pd.DataFrame,
    params: PostprocessParams,
    *,
    training_prior: Float[np.ndarray, " class"] | None = None,
    learned: Learned | None = None,
    domain_quantile: Float[np.ndarray, " channel"] | None = None,
) -> pd.DataFrame:
    """One line per channel: its region, how sure, and why not where the answer is "unknown".

    Parameters
    ----------
    proba
        Class probabilities of one (window, channel); a row with NaN is left out.
    window_idx, channel_idx
        Which window and which row of `channels` a row of `proba` belongs to.
    classes
        Names of the columns of `proba`.
    channels
        One row per channel. Used if there: ``probe``, ``shank``, ``depth_um`` (µm).
    training_prior
        Class frequencies in training; needed when ``params.prior`` is not "none" and nothing was
        ``learned``.
    learned
        What ``learn_postprocess`` found; needed when ``params.learns``, for 'decoder' with depths
        that grow from the tip as in training.
    domain_quantile
        Per channel, the share of training channels nearer to the training domain than it.

    Returns
    -------
    DataFrame
        ``row`` (in `channels`), ``region``, ``best`` (leading class even when unknown),
        ``confidence`` (probability of ``best``; NaN without windows), ``votes`` (windows whose own
        leading class is ``best``), ``n_windows``, ``p_<class>``, ``reason`` (None when answered);
        of 'decoder' also ``p_unknown``, and then a channel without windows is answered too, by
        its neighbours (``best``).

    Raises
    ------
    ValueError
        If rows are not probabilities of these classes and channels, or a prior is missing.

    Source: He et al. 2025 (Lfp2Vec): mean over windows, then the mode over two neighbours either
    side. Their code's hand-set class weights (``PUBLISHED_WEIGHTS``) are off unless asked for.
    """
    if training_prior is None and learned is not None:
        training_prior = np.array(learned.share)
    _check(proba, window_idx, channel_idx, classes, channels, params, training_prior, learned)
    mean, n_windows = channel_means(
        proba, channel_idx, len(channels), classes, params, training_prior=training_prior
    )
    order = shank_order(channels)
    other = None
    if params.spatial == "decoder":
        mean, other = decode_channels(mean, channels, learned)
    elif learned is not None and learned.temperature != 1:
        mean = apply_temperature(mean, learned.temperature)
    if params.spatial == "gaussian":
        mean = smooth_along_depth(mean, channels, order, spread_um=params.spread_um)
    best = np.nan_to_num(mean, nan=-1.0).argmax(axis=1)
    best = np.where((n_windows > 0) | (other is not None), best, -1)
    if params.spatial == "mode":
        best = vote_with_neighbours(best, mean, order, neighbours=params.neighbours)
    confidence = np.where(best >= 0, mean[np.arange(len(mean)), best], np.nan)
    rows, owner = _usable(proba, channel_idx, params, training_prior)
    votes = np.bincount(owner, rows.argmax(axis=1) == best[owner], len(channels)).astype(np.int64)
    names = np.array([*classes, UNKNOWN], dtype=object)
    table = pd.DataFrame({"row": np.arange(len(channels)), "region": names[best]})
    table["best"] = pd.Series(np.where(best >= 0, names[best], None), dtype=object)
    table["confidence"], table["votes"], table["n_windows"] = confidence, votes, n_windows
    table[[f"p_{name}" for name in classes]] = mean
    if other is not None:
        table[f"p_{UNKNOWN}"] = other
    chosen = None if learned is None else learned.abstain
    reasons = _reasons(confidence, n_windows, domain_quantile, other, params, chosen)
    table["reason"] = pd.Series(reasons, dtype=object)
    table.loc[table["reason"].notna(), "region"] = UNKNOWN
    return table


def channel_means(
    proba: Float[np.ndarray, "row class"],
    channel_idx: Integer[np.ndarray, " row"],
    n_channels: int,
    classes: Sequence[str],
    params: PostprocessParams,
    *,
    training_prior: Float[np.ndarray, " class"] | None = None,
) -> tuple[Float[np.ndarray, "channel class"], Int[np.ndarray, " channel"]]:
    """Probabilities of each channel from its own windows (NaN without any), and their number.

    Arguments as of ``channel_predictions``; nothing is put together along the shank yet.
    """
    rows, owner = _usable(proba, channel_idx, params, training_prior)
    mean, n_windows = average_windows(rows, owner, n_channels, temporal=params.temporal)
    return weigh_classes(mean, classes, params.class_weights), n_windows


def average_windows(
    proba: Float[np.ndarray, "row class"],
    owner: Int[np.ndarray, " row"],
    n_channels: int,
    *,
    temporal: Literal["mean", "log_mean"] = "mean",
) -> tuple[Float[np.ndarray, "channel class"], Int[np.ndarray, " channel"]]:
    """Mean probability of each channel over its windows (NaN without any), and their number.

    The mean of log probabilities is the geometric mean brought back to a sum of one; for a model
    that gives logits it equals averaging those.
    """
    values = np.log(np.maximum(proba, _FLOOR)) if temporal == "log_mean" else proba
    total = np.zeros((n_channels, proba.shape[1]))
    np.add.at(total, owner, values)
    count = np.bincount(owner, minlength=n_channels).astype(np.int64)
    mean = np.full_like(total, np.nan)
    np.divide(total, count[:, None], out=mean, where=count[:, None] > 0)
    return (_normalise(np.exp(mean)) if temporal == "log_mean" else mean), count


def weigh_classes(
    mean: Float[np.ndarray, "channel class"], classes: Sequence[str], weights: Mapping[str, float]
) -> Float[np.ndarray, "channel class"]:
    """Multiply each class's logit (log probability, its mean over classes taken off) by a factor.

    A factor above 1 makes a class that is likelier than average still likelier, and one that is
    less likely still less.

    Source: the code of He et al. 2025, which multiplies a model's logits as they come.
    """
    if not weights:
        return mean
    log = np.log(np.maximum(mean, _FLOOR))
    log -= log.mean(axis=1, keepdims=True)
    log *= [weights.get(name, 1.0) for name in classes]
    return _normalise(np.exp(log - log.max(axis=1, keepdims=True)))


def decode_channels(
    mean: Float[np.ndarray, "channel class"], channels: pd.DataFrame, learned: Learned
) -> tuple[Float64[np.ndarray, "channel class"], Float64[np.ndarray, " channel"]]:
    """Probability of each class, and of a region outside the classes, given the whole shank."""
    with np.errstate(divide="ignore"):
        log_probs = np.log(mean)
    found = decode_learned(log_probs, *shank_places(channels), learned)
    n = mean.shape[1]
    return found[:, :n], found[:, n:].sum(axis=1)


def shank_places(
    channels: pd.DataFrame,
) -> tuple[Float64[np.ndarray, " channel"], Int[np.ndarray, " channel"]]:
    """Depth (µm, NaN where unknown) of each channel, and the number of its shank."""
    none = pd.Series(np.nan, channels.index)
    depth = pd.to_numeric(channels.get("depth_um", none)).to_numpy(np.float64)
    shank = np.zeros(len(channels), np.int64)
    for number, rows in enumerate(shank_order(channels)):
        shank[rows] = number
    return depth, shank


def shank_order(channels: pd.DataFrame) -> list[Int[np.ndarray, " _"]]:
    """Rows of each shank of each probe, from the tip up; in file order where depth is unknown."""
    columns = [name for name in ("probe", "shank") if name in channels]
    rows = channels.reset_index(drop=True)
    groups = rows.groupby(columns, dropna=False, sort=False) if columns else [(None, rows)]
    ordered = []
    for _, group in groups:
        depth = pd.to_numeric(group.get("depth_um", pd.Series(np.nan, group.index)))
        known = depth.notna().all()
        ordered.append((depth.sort_values(kind="stable") if known else group).index.to_numpy())
    return ordered


def vote_with_neighbours(
    best: Int[np.ndarray, " channel"],
    mean: Float[np.ndarray, "channel class"],
    order: list[Int[np.ndarray, " _"]],
    *,
    neighbours: int = 2,
) -> Int[np.ndarray, " channel"]:
    """Most frequent class among a channel and its neighbours on the same shank.

    Channels without a class (-1) neither vote nor receive one. A tie goes to the class that the
    channel itself finds most probable.
    """
    voted = best.copy()
    for rows in order:
        rows = rows[best[rows] >= 0]
        for place, row in enumerate(rows):
            near = rows[max(0, place - neighbours) : place + neighbours + 1]
            count = np.bincount(best[near], minlength=mean.shape[1])
            voted[row] = np.where(count == count.max(), mean[row], -1.0).argmax()
    return voted


def smooth_along_depth(
    mean: Float[np.ndarray, "channel class"],
    channels: pd.DataFrame,
    order: list[Int[np.ndarray, " _"]],
    *,
    spread_um: float,
) -> Float[np.ndarray, "channel class"]:
    """Gaussian-weighted mean of the probabilities over depth, within each shank.

    A shank with a channel of unknown depth is left as it is.
    """
    smooth = mean.copy()
    depth = pd.to_numeric(channels["depth_um"]).to_numpy(float) if "depth_um" in channels else None
    for rows in order if depth is not None else []:
        rows = rows[np.isfinite(mean[rows]).all(axis=1)]
        if len(rows) and np.isfinite(depth[rows]).all():
            weight = np.exp(-0.5 * ((depth[rows, None] - depth[rows]) / spread_um) ** 2)
            smooth[rows] = weight @ mean[rows] / weight.sum(axis=1, keepdims=True)
    return smooth


def _usable(proba, channel_idx, params, prior) -> tuple[np.ndarray, np.ndarray]:
    """Rows without NaN, at the first temperature and prior, and the channel of each."""
    usable = np.isfinite(proba).all(axis=1)
    return _weigh(proba[usable].astype(np.float64), params, prior), channel_idx[usable].astype(int)


def _weigh(rows: np.ndarray, params: PostprocessParams, prior: np.ndarray | None) -> np.ndarray:
    log = np.log(np.maximum(rows, _FLOOR)) / params.temperature
    if params.prior != "none" and prior is not None:
        weight = np.log(np.maximum(prior / prior.sum(), _FLOOR))
        log = log + (weight if params.prior == "training" else -weight)
    return _normalise(np.exp(log)) if params.temperature != 1 or params.prior != "none" else rows


def _normalise(values: np.ndarray) -> np.ndarray:
    return values / values.sum(axis=1, keepdims=True)


def _reasons(confidence, n_windows, quantile, other, params, chosen) -> list[str | None]:
    none = np.zeros(len(confidence))
    least = params.unknown_below if chosen is None else chosen.limit
    beyond, outside = (none if given is None else given for given in (quantile, other))
    reasons: list[str | None] = []
    for sure, count, far, out in zip(confidence, n_windows, beyond, outside, strict=True):
        if count < params.min_windows:
            reasons.append(f"{count} usable windows, {params.min_windows} needed")
        elif far > params.unknown_beyond:
            reasons.append(f"spectrum farther from training than {far:.0%} of training channels")
        elif out > sure and sure < least:
            reasons.append(f"the shank speaks for a region outside the classes ({out:.2f})")
        elif sure < least and chosen is not None:
            reasons.append(chosen.refusal(sure))
        elif sure < least:
            reasons.append(f"confidence {sure:.2f} below {least:g}")
        else:
            reasons.append(None)
    return reasons


def _check(proba, window_idx, channel_idx, classes, channels, params, prior, learned) -> None:
    if proba.shape[1] != len(classes):
        raise ValueError(f"{proba.shape[1]} columns of probability for {len(classes)} classes")
    if not len(proba) == len(window_idx) == len(channel_idx):
        raise ValueError(
            f"{len(proba)} rows of probability, {len(window_idx)} window and "
            f"{len(channel_idx)} channel indices; give one of each per row"
        )
    if len(proba) and not 0 <= channel_idx.min() <= channel_idx.max() < len(channels):
        raise ValueError(
            f"channel indices {channel_idx.min()} to {channel_idx.max()} "
            f"for a table of {len(channels)} channels"
        )
    total = proba[np.isfinite(proba).all(axis=1)].sum(axis=1)
    if len(total) and (np.abs(total - 1).max() > 1e-3 or np.nanmin(proba) < 0):
        raise ValueError("rows are not probabilities (they must be >= 0 and sum to 1): use softmax")
    if params.prior != "none" and prior is None:
        raise ValueError(f"prior {params.prior!r} needs training_prior, the class frequencies")
    if params.spatial == "decoder" and (learned is None or learned.prior is None):
        raise ValueError("spatial 'decoder' needs what learn_postprocess learns of training probes")
    if learned is not None and learned.classes != tuple(classes):
        raise ValueError(
            f"post-processing was learned for {list(learned.classes)}, asked of {list(classes)}"
        )
