"""Whether a channel sounds like any region of training: what lets a model say "unknown".

A spectrum of each region is learned from labelled training channels, and how far channels of
another subject lie from it. Along a shank regions are contiguous: a chain asks of each channel
whether it lies in one of them or in another, and its odds are the novelty. How large novelty gets
where nothing is new is measured on training subjects, each left out once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Float64
from pydantic import Field

from ..params import Params
from .depth_chain import Moves, posterior
from .domain import log_spectra
from .postprocess import UNKNOWN
from .regions import shank_order
from .spectra import Spectra

_LEAST = -12.0  # a log likelihood of one channel; less must not veto its neighbours


class NoveltyParams(Params):
    """How regions are described, and how much neighbours along the shank count."""

    low: float = Field(2.0, gt=0, description="lowest frequency compared (Hz)")
    high: float = Field(300.0, gt=0, description="highest, if the spectra reach it (Hz)")
    n_freqs: int = Field(40, ge=4, description="points, evenly spaced in log frequency")
    floor_db2: float = Field(0.05, gt=0, description="variance added at each frequency (dB²)")
    gain_db: float = Field(5.0, ge=0, description="SD of gain taken as usual between subjects (dB)")
    thickness_um: float = Field(300.0, gt=0, description="of regions, known and unknown (µm)")
    repeats: float = Field(
        2.0, gt=0, description="log likelihoods are divided by it; neighbours repeat each other"
    )
    level: float = Field(
        0.9, gt=0, lt=1, description="an unknown region is taken to lie as far off as this quantile"
    )
    least_subjects: int = Field(4, ge=3, description="fewest training subjects")
    n_null: int = Field(512, ge=16, description="quantiles of held-out novelty that are kept")


@dataclass(frozen=True)
class LabelledSpectra:
    """One training recording.

    Attributes
    ----------
    channels
        One row per channel: ``region`` (None: not known, left out), and if there ``probe``,
        ``shank``, ``depth_um`` (µm).
    """

    subject: str
    spectra: Spectra
    channels: pd.DataFrame


@dataclass(frozen=True)
class Shapes:
    """Mean log spectrum (dB) of each class, and the covariance (dB²) they share."""

    centres: Float64[np.ndarray, "class freq"]
    covariance: Float64[np.ndarray, "freq freq"]

    def distances(
        self, curves: Float[np.ndarray, "channel freq"]
    ) -> Float64[np.ndarray, "channel class"]:
        """Squared Mahalanobis distance of each channel to each class."""
        white = np.linalg.inv(np.linalg.cholesky(self.covariance))
        here, there = curves @ white.T, self.centres @ white.T
        return ((here[:, None] - there) ** 2).sum(axis=-1)


@dataclass(frozen=True)
class NoveltyReference:
    """What training sounds like, region by region.

    Attributes
    ----------
    freqs
        Frequencies compared (Hz).
    distance
        At which an unknown region is taken to lie (squared Mahalanobis).
    null
        Sorted; novelty of training channels whose subject was left out.
    n_subjects, n_channels
        Learned from.
    """

    freqs: Float[np.ndarray, " freq"]
    classes: tuple[str, ...]
    shapes: Shapes
    distance: float
    null: Float[np.ndarray, " quantile"]
    n_subjects: int
    n_channels: int
    params: NoveltyParams

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; spectra rounded to 0.001 dB."""
        return {
            "freqs": self.freqs.tolist(),
            "classes": list(self.classes),
            "centres": np.round(self.shapes.centres, 3).tolist(),
            "covariance": np.round(self.shapes.covariance, 4).tolist(),
            "distance": round(self.distance, 3),
            "null": np.round(self.null, 3).tolist(),
            "n_subjects": self.n_subjects,
            "n_channels": self.n_channels,
            "params": self.params.to_json(),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "NoveltyReference":
        """Inverse of `to_json`."""
        names = ("centres", "covariance", "freqs", "null")
        centres, covariance, freqs, null = (np.array(value[name], float) for name in names)
        return cls(
            freqs=freqs, classes=tuple(value["classes"]), shapes=Shapes(centres, covariance),
            distance=value["distance"], null=null, n_subjects=value["n_subjects"],
            n_channels=value["n_channels"], params=NoveltyParams.from_json(value["params"]),
        )  # fmt: skip


@dataclass(frozen=True)
class _Heard:
    """Usable labelled channels of one training recording."""

    subject: str
    curves: Float64[np.ndarray, "channel freq"]
    channels: pd.DataFrame

    def of(self, classes: Sequence[str]) -> "_Heard":
        """The channels of these classes."""
        keep = self.channels["region"].isin(list(classes)).to_numpy()
        return _Heard(self.subject, self.curves[keep], self.channels[keep])


@dataclass(frozen=True)
class _Part:
    """Channels of one region of one subject: number, mean, and sum of squares about it."""

    subject: str
    region: str
    n: int
    mean: Float64[np.ndarray, " freq"]
    scatter: Float64[np.ndarray, "freq freq"]


def learn_novelty(
    recordings: Sequence[LabelledSpectra],
    classes: Sequence[str],
    params: NoveltyParams | None = None,
) -> NoveltyReference:
    """Learn what each class sounds like and how far a new subject's channels lie from it.

    Parameters
    ----------
    recordings
        Of training subjects. Channels without a label of `classes` are not looked at.

    Raises
    ------
    ValueError
        If there are too few subjects to leave one out.
    """
    params = params or NoveltyParams()
    top = min([params.high, *(float(r.spectra.freqs[-1]) for r in recordings)])
    freqs = np.geomspace(params.low, top, params.n_freqs)
    heard = [_hear(r, freqs, classes) for r in recordings]
    heard = [one for one in heard if len(one.curves)]
    subjects = sorted({one.subject for one in heard})
    if len(subjects) < params.least_subjects:
        raise ValueError(
            f"telling unknown regions needs labelled channels of {params.least_subjects} "
            f"subjects, there are {len(subjects)}; train on more subjects"
        )
    parts = _sum_up(heard)
    left_out = [pair for name in subjects for pair in _leave_out(heard, parts, name, params)]
    near = np.concatenate([distances.min(axis=1) for distances, _ in left_out])
    distance = float(np.quantile(near, params.level))
    null = [chain_odds(found, channels, distance, params) for found, channels in left_out]
    steps = np.linspace(0, 1, params.n_null)
    found, shapes = fit_shapes(parts, params)
    return NoveltyReference(
        freqs, found, shapes, distance, np.quantile(np.concatenate(null), steps), len(subjects),
        sum(len(one.curves) for one in heard), params,
    )  # fmt: skip


def novelty_quantiles(
    spectra: Spectra, channels: pd.DataFrame, reference: NoveltyReference
) -> Float64[np.ndarray, " channel"]:
    """Per channel, the share of held-out training channels that were less novel.

    NaN where a channel has no spectrum over the compared frequencies.
    """
    curves = log_spectra(spectra, reference.freqs)
    usable = np.isfinite(curves).all(axis=1)
    out = np.full(len(curves), np.nan)
    if usable.any():
        found = reference.shapes.distances(curves[usable])
        odds = chain_odds(found, channels[usable], reference.distance, reference.params)
        out[usable] = np.searchsorted(reference.null, odds) / len(reference.null)
    return out


def refuse_new(
    answers: pd.DataFrame, quantile: Float[np.ndarray, " channel"], known_kept: float
) -> pd.DataFrame:
    """Answers of ``channel_predictions``, "unknown" where a channel sounds like no known region.

    Parameters
    ----------
    quantile
        Of ``novelty_quantiles``, one per channel.
    known_kept
        Share of channels in known regions that keep their answer; 1 keeps all.
    """
    row = answers["row"].to_numpy()
    new = (quantile[row] > known_kept) & answers["reason"].isna().to_numpy()
    told = [
        f"sounds less like any region of training than {q:.0%} of its channels" for q in quantile
    ]
    out = answers.copy()
    out.loc[new, "region"] = UNKNOWN
    out.loc[new, "reason"] = np.array(told, dtype=object)[row][new]
    return out


def chain_odds(
    distances: Float[np.ndarray, "channel class"],
    channels: pd.DataFrame,
    unknown: float,
    params: NoveltyParams,
) -> Float64[np.ndarray, " channel"]:
    """Log odds that a channel lies in none of the classes, given its whole shank.

    Any region may follow any other. A shank with a channel of unknown depth has no order: its
    channels are asked one by one.

    Parameters
    ----------
    distances
        Squared Mahalanobis distance to each class.
    unknown
        The distance at which an unknown region is taken to lie.
    """
    heard = -0.5 * np.column_stack([distances, np.full(len(distances), unknown)]) / params.repeats
    heard = np.maximum(heard - heard.max(axis=1, keepdims=True), _LEAST)
    start = np.full(heard.shape[1], 1 / heard.shape[1])
    found = np.exp(heard)
    depth = pd.to_numeric(channels.get("depth_um", pd.Series(np.nan, channels.index))).to_numpy()
    for rows in shank_order(channels):
        if np.isfinite(depth[rows]).all():
            moves = _free_moves(np.diff(depth[rows]), len(start), params.thickness_um)
            found[rows] = posterior(start, moves, heard[rows])
    known = np.maximum(found[:, :-1].sum(axis=1), 1e-300)
    return np.log(np.maximum(found[:, -1], 1e-300)) - np.log(known)


def fit_shapes(parts: Sequence[_Part], params: NoveltyParams) -> tuple[tuple[str, ...], Shapes]:
    """Classes met and their shapes; each subject counts as one, however many its channels.

    The covariance is that between subjects plus that of channels within a subject's region.
    """
    classes = tuple(sorted({part.region for part in parts}))
    means = [np.array([part.mean for part in parts if part.region == name]) for name in classes]
    centres = np.array([mine.mean(axis=0) for mine in means])
    apart = np.concatenate([mine - one for mine, one in zip(means, centres, strict=True)])
    size = centres.shape[1]
    covariance = (
        apart.T @ apart / max(len(apart) - len(classes), 1)
        + sum(part.scatter for part in parts) / sum(part.n for part in parts)
        + params.floor_db2 * np.eye(size)
        + params.gain_db**2 * np.ones((size, size))
    )
    return classes, Shapes(centres, covariance)


def _sum_up(heard: Sequence[_Heard]) -> list[_Part]:
    """What the shapes are made of, for each region of each subject."""
    curves: dict[tuple[str, str], list[np.ndarray]] = {}
    for one in heard:
        label = one.channels["region"].to_numpy()
        for name in sorted(set(label)):
            curves.setdefault((one.subject, name), []).append(one.curves[label == name])
    parts = []
    for (subject, name), found in curves.items():
        mine = np.concatenate(found)
        mean = mine.mean(axis=0)
        parts.append(_Part(subject, name, len(mine), mean, (mine - mean).T @ (mine - mean)))
    return parts


def _hear(recording: LabelledSpectra, freqs: np.ndarray, classes: Sequence[str]) -> _Heard:
    curves = log_spectra(recording.spectra, freqs)
    usable = np.isfinite(curves).all(axis=1)
    channels = recording.channels.reset_index(drop=True)[usable]
    return _Heard(recording.subject, curves[usable], channels).of(classes)


def _leave_out(
    heard: Sequence[_Heard], parts: Sequence[_Part], subject: str, params: NoveltyParams
) -> Iterator[tuple[np.ndarray, pd.DataFrame]]:
    """Distances and channels of each recording of a subject, by the shapes of all others."""
    classes, shapes = fit_shapes([part for part in parts if part.subject != subject], params)
    for one in [one for one in heard if one.subject == subject]:
        known = one.of(classes)
        if len(known.curves):
            yield shapes.distances(known.curves), known.channels


def _free_moves(gaps_um: np.ndarray, size: int, thickness_um: float) -> Moves:
    """From any state to any other, once in a region's thickness."""
    gaps, kind = np.unique(gaps_um, return_inverse=True)
    stay = np.exp(-gaps / thickness_um)[:, None, None]
    same = np.eye(size)
    kinds = stay * same + (1 - stay) / (size - 1) * (1 - same)
    return Moves(kinds, kind.reshape(gaps_um.shape).astype(np.int64))
