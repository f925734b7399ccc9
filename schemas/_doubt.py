"""What speaks against believing a model's answers: the recording, its channels, the answers."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.recording import WindowSet

from . import training
from ._train import condition_of, spectra_of

MOSTLY_NEW = 0.5
"""Share of channels like no region of training that is warned about."""
NEW_BEYOND = 0.95
"""Novelty quantile from which a channel counts there."""


@dataclass(frozen=True)
class Doubts:
    """Attributes: distance to the training domain, novelty per channel, leading answer; or None."""

    domain: Any = None
    novelty: np.ndarray | None = None
    one: Any = None

    def to_json(self) -> dict[str, Any] | None:
        """What a Prediction keeps of it; None where nothing could be compared or warned about."""
        warned = self.one is not None and self.one.warned
        if self.domain is None and not warned:
            return None
        found = {"distance_db": None, "quantile": None, "warnings": []}
        if self.domain is not None:
            found = {
                "distance_db": finite(self.domain.distance),
                "quantile": finite(self.domain.quantile),
                "warnings": list(self.domain.warnings),
            }
        if self.novelty is not None:
            found |= self._new_channels(found["warnings"])
        if self.one is not None:
            found["one_answer"] = {
                "region": self.one.region,
                "share": finite(self.one.share),
                "confidence": finite(self.one.confidence),
            }
        if warned:
            found["warnings"].append(self.one.warning)
        return found

    def _new_channels(self, warnings: list[str]) -> dict[str, Any]:
        asked = self.novelty[np.isfinite(self.novelty)]
        new = int((asked > NEW_BEYOND).sum())
        if new > MOSTLY_NEW * len(asked):
            warnings.append(
                f"{new} of {len(asked)} channels sound less like any region of training than "
                f"{NEW_BEYOND:.0%} of its channels do"
            )
        return {"n_new": new, "n_asked": len(asked)}


def find_doubts(windowset: WindowSet, trained: dict[str, Any], proba: np.ndarray | None) -> Doubts:
    """Doubts about a recording; `trained` is its model's row (``domain``, ``classes``).

    ``proba`` are class probabilities of its windows, None of a model that answers otherwise.
    """
    from pipeline.analyses.domain import DomainParams, DomainReference, check_domain
    from pipeline.analyses.novelty import NoveltyReference, novelty_quantiles
    from pipeline.analyses.one_answer import find_one_answer

    one = None if proba is None else find_one_answer(proba, trained["classes"])
    learned = trained["domain"]
    if windowset.lfp is None or "spectra" not in learned or not windowset.valid.any():
        return Doubts(one=one)
    spectra = spectra_of(windowset)
    reference = DomainReference.from_json(learned)
    domain = check_domain(spectra, condition_of(windowset), reference, DomainParams())
    novelty = None
    if "freqs" in learned.get("novelty", {}):
        known = NoveltyReference.from_json(learned["novelty"])
        novelty = novelty_quantiles(spectra, windowset.channels, known)
    return Doubts(domain, novelty, one)


def why_not_new(trained: str) -> str | None:
    """Why a training cannot tell a region it never learned; None where it can."""
    learned = (training.Training & {"training": trained}).fetch1("domain")
    if "spectra" not in learned:
        return learned.get("reason", "it heard no field potential")
    found = learned.get("novelty", {"reason": "it was trained by an earlier version"})
    return found.get("reason")


def finite(value: float) -> float | None:
    """Rounded for JSON; None for NaN and infinity."""
    return round(float(value), 6) if np.isfinite(value) else None
