"""How far a recording is from what a model was trained on."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from pydantic import Field

from ..params import Params
from .spectra import Spectra


class DomainParams(Params):
    """How recordings are compared."""

    low: float = Field(2.0, gt=0, description="lowest frequency compared (Hz)")
    high: float = Field(100.0, gt=0, description="highest frequency compared (Hz)")
    n_freqs: int = Field(32, ge=4, description="points, evenly spaced in log frequency")
    n_exemplars: int = Field(256, ge=8, description="training channels kept for comparison")
    warn_above: float = Field(0.95, gt=0, lt=1, description="quantile that is warned about")


@dataclass(frozen=True)
class Recording:
    """What is compared besides the spectrum; None where unknown.

    ``rate`` in Hz, ``band`` (high-pass, low-pass) in Hz, ``reference`` such as "median".
    """

    rate: float | None = None
    band: tuple[float, float] | None = None
    reference: str | None = None
    probe: str | None = None
    species: str | None = None


@dataclass(frozen=True)
class DomainReference:
    """The training domain: exemplary channel spectra, and how far training channels lie apart.

    Attributes
    ----------
    freqs
        Frequencies compared (Hz).
    spectra
        Log power (dB) of exemplars.
    distances
        Sorted; of each exemplar to the nearest one of another recording (dB).
    recordings
        What was trained on.
    """

    freqs: Float[np.ndarray, " freq"]
    spectra: Float[np.ndarray, "exemplar freq"]
    distances: Float[np.ndarray, " exemplar"]
    recordings: list[Recording]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; spectra rounded to 0.01 dB."""
        return {
            "freqs": self.freqs.tolist(),
            "spectra": np.round(self.spectra, 2).tolist(),
            "distances": np.round(self.distances, 3).tolist(),
            "recordings": [asdict(r) for r in self.recordings],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "DomainReference":
        """Inverse of `to_json`."""
        known = [
            Recording(**{**r, "band": tuple(r["band"]) if r["band"] else None})
            for r in value["recordings"]
        ]
        arrays = (np.array(value[name], float) for name in ("freqs", "spectra", "distances"))
        return cls(*arrays, known)


@dataclass(frozen=True)
class DomainCheck:
    """Answer to "was the model trained on anything like this?".

    Attributes
    ----------
    distance
        Median over channels of the distance to the nearest training channel (dB); NaN when no
        spectrum could be compared.
    quantile
        Share of training channels nearer to their nearest than ``distance``.
    warnings
        One sentence for each thing that differs.
    channel_distance, channel_quantile
        The same for each channel.
    """

    distance: float
    quantile: float
    warnings: list[str]
    channel_distance: Float[np.ndarray, " channel"]
    channel_quantile: Float[np.ndarray, " channel"]


def learn_domain(
    spectra: list[Spectra], recordings: list[Recording], params: DomainParams, *, seed: int = 0
) -> DomainReference:
    """Summarise the recordings a model is trained on; one `Spectra` per recording.

    Raises
    ------
    ValueError
        If no channel of any recording has a spectrum over the compared band.
    """
    freqs = np.geomspace(params.low, params.high, params.n_freqs)
    curves = [log_spectra(s, freqs) for s in spectra]
    owner = np.concatenate([np.full(len(c), i) for i, c in enumerate(curves)])
    stacked = np.concatenate(curves)
    usable = np.flatnonzero(np.isfinite(stacked).all(axis=1))
    if not len(usable):
        raise ValueError(
            f"no training channel has power from {params.low:g} to {params.high:g} Hz; "
            "choose another band in DomainParams"
        )
    if len(usable) > params.n_exemplars:
        rng = np.random.default_rng(seed)
        usable = np.sort(rng.choice(usable, params.n_exemplars, replace=False))
    kept, owner = stacked[usable], owner[usable]
    apart = _pairwise(kept, kept)
    alone = len(np.unique(owner)) == 1
    apart[np.eye(len(kept), dtype=bool) if alone else owner[:, None] == owner] = np.inf
    nearest = apart.min(axis=1)
    return DomainReference(freqs, kept, np.sort(nearest[np.isfinite(nearest)]), recordings)


def check_domain(
    spectra: Spectra, recording: Recording, reference: DomainReference, params: DomainParams
) -> DomainCheck:
    """Compare one recording with the training domain and say what differs."""
    curves = log_spectra(spectra, reference.freqs)
    usable = np.isfinite(curves).all(axis=1)
    distance = np.full(len(curves), np.nan)
    if usable.any():
        distance[usable] = _pairwise(curves[usable], reference.spectra).min(axis=1)
    share = np.searchsorted(reference.distances, distance) / max(1, len(reference.distances))
    quantile = np.where(usable, share, np.nan)
    median = float(np.median(distance[usable])) if usable.any() else float("nan")
    overall = float(np.median(quantile[usable])) if usable.any() else float("nan")
    warnings = _differences(recording, reference.recordings)
    if not usable.any():
        warnings.append(
            f"no channel has power over {reference.freqs[0]:g} to {reference.freqs[-1]:g} Hz, "
            "so the spectrum could not be compared with training"
        )
    elif overall > params.warn_above:
        warnings.append(
            f"spectra lie {median:.1f} dB from the nearest training channels, farther than "
            f"{overall:.0%} of those lie from each other: confidence is not to be trusted"
        )
    return DomainCheck(median, overall, warnings, distance, quantile)


def log_spectra(
    spectra: Spectra, freqs: Float[np.ndarray, " compared"]
) -> Float[np.ndarray, "channel compared"]:
    """Power (dB re 1 µV²/Hz) at `freqs`; NaN for channels without power or with too little band."""
    if spectra.freqs[-1] < freqs[-1] - 1e-9:
        return np.full((len(spectra.power), len(freqs)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10 * np.log10(spectra.power)
    level[~np.isfinite(level[:, 1:]).all(axis=1)] = np.nan
    at = np.log(spectra.freqs[1:])
    return np.stack([np.interp(np.log(freqs), at, row[1:]) for row in level])


def _pairwise(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Root mean square difference over frequency (dB)."""
    square = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return np.sqrt(np.maximum(square, 0) / one.shape[1])


def _differences(recording: Recording, trained: list[Recording]) -> list[str]:
    warnings = []
    texts = {
        "species": "species", "probe": "probe", "reference": "reference",
        "rate": "sampling rate (Hz)", "band": "band (Hz)",
    }  # fmt: skip
    for name, title in texts.items():
        here, there = getattr(recording, name), {getattr(t, name) for t in trained} - {None}
        if here is not None and there and not any(_alike(here, t) for t in there):
            seen = ", ".join(sorted(map(_text, there)))
            warnings.append(f"{title}: {_text(here)} here, {seen} in training")
    return warnings


def _alike(here: Any, there: Any) -> bool:
    if isinstance(here, str):
        return here == there
    return bool(np.allclose(here, there, rtol=0.01))


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " to ".join(f"{v:g}" for v in value)
    return value if isinstance(value, str) else f"{value:g}"
