"""How the windows and the neighbours of a channel are put together: parameters."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from ..evaluation.risk import RiskParams
from ..params import Params

UNKNOWN = "unknown"

PUBLISHED_WEIGHTS = {"CA3": 5.0, "DG": 2.0}
"""Factors on a channel's mean logits in the code of He et al. 2025: 1, 1, 5, 2, 1 in its order
CA1, CA2, CA3, DG, cortex. The paper is silent on them; apparently chosen on scored data."""


class TransitionParams(Params):
    """How a prior over depth is learned."""

    later: ClassVar[frozenset[str]] = frozenset({"most_others"})
    stages: int = Field(
        8, ge=1, description="in a row within a region: the more, the less its thickness varies"
    )
    unknown: bool = Field(
        True, description="regions outside the classes are states too, answered as 'unknown'"
    )
    least_probes: int = Field(
        2, ge=1, description="a region outside the classes met on fewer shares one state"
    )
    most_others: int = Field(
        12, ge=0, description="regions outside the classes with a state of their own, at most"
    )
    thickness_um: float = Field(400.0, gt=0, description="of a region never seen (µm)")
    pseudo_count: float = Field(
        0.5, gt=0, description="borders of each region taken as seen, shared by all neighbours"
    )
    max_gap_um: float = Field(
        300.0, gt=0, description="labels further apart than this say nothing of each other (µm)"
    )
    iterations: int = Field(100, ge=1, description="most steps of expectation maximisation")
    tolerance: float = Field(1e-3, gt=0, description="largest relative change of a rate at the end")


class EmissionParams(Params):
    """How what a model says of each region is learned, and adapted to a subject."""

    windows: int = Field(20, ge=1, description="of each recording that it is learned from, at most")
    least_channels: int = Field(3, ge=2, description="of a region, for a subject to count")
    pooled_channels: float = Field(20.0, gt=0, description="weight of the spread of all regions")
    pooled_subjects: float = Field(3.0, gt=0, description="the same between subjects")
    pooled_temperature: float = Field(
        2.0, ge=0, description="validation subjects that a last temperature of 1 counts for"
    )
    steps: int = Field(8, ge=0, description="of adaptation to the subject; 0 does not adapt")


class DecoderParams(Params):
    """How much the model's probabilities count against the prior over depth."""

    later: ClassVar[frozenset[str]] = frozenset({"emission"})
    emission: Literal["probabilities", "adapted"] = Field(
        "probabilities",
        description="the model's probabilities as they are, or what it says of each region in "
        "training subjects, adapted to the subject by its own unlabelled channels",
    )
    temperature: float = Field(
        1.0, gt=0, description="log probabilities are divided by it; neighbours repeat each other"
    )
    final_temperature: float = Field(
        1.0, gt=0, description="the same for the posterior: whole regions are mistaken together"
    )
    divide_by: Literal["training", "none"] = Field(
        "training", description="class frequencies the model has learned: of training, or equal"
    )
    unknown_level: float = Field(
        0.0, description="log likelihood of 'unknown' over that of the mean of the classes"
    )


class PostprocessParams(Params):
    """How the windows and the neighbours of a channel are put together."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"class_weights", "calibrate", "transitions", "decoder", "emission", "known_kept", "risk"}
    )
    temporal: Literal["mean", "log_mean"] = Field(
        "mean", description="average over a channel's windows: arithmetic, or of log probability"
    )
    spatial: Literal["none", "mode", "gaussian", "decoder"] = Field(
        "none",
        description="along the shank: none, majority label, weighted mean, or regions of the whole "
        "shank at once by a prior over depth learned from training subjects",
    )
    neighbours: int = Field(2, ge=1, description="channels either side that vote in 'mode'")
    spread_um: float = Field(60.0, gt=0, description="width of 'gaussian' along depth (µm)")
    prior: Literal["none", "training", "flat"] = Field(
        "none", description="multiply by the training class frequencies, or divide by them"
    )
    class_weights: dict[str, float] = Field(
        default_factory=dict,
        description="region: factor on a channel's mean logit, as published; 1 where not named",
    )
    temperature: float = Field(1.0, gt=0, description="log probabilities are divided by it first")
    calibrate: Literal["none", "validation"] = Field(
        "none", description="fit a last temperature on validation subjects"
    )
    transitions: TransitionParams = Field(
        TransitionParams(), description="how the prior of 'decoder' is learned"
    )
    decoder: DecoderParams = Field(
        DecoderParams(), description="of 'decoder'; 'calibrate' fits the rest"
    )
    emission: EmissionParams = Field(
        EmissionParams(), description="of an adapted 'decoder': how it is learned and adapted"
    )
    unknown_below: float = Field(0.5, ge=0, le=1, description="least confidence of an answer")
    risk: RiskParams | None = Field(
        None,
        description="error rate asked of the answers: the least confidence is then learned on "
        "validation subjects, in place of 'unknown_below'",
    )
    min_windows: int = Field(1, ge=1, description="fewest windows of an answer")
    unknown_beyond: float = Field(
        1.0, ge=0, le=1, description="highest domain quantile of an answer; 1 never refuses"
    )
    known_kept: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of channels in regions of training that are not taken for a new region; "
        "1 never asks",
    )

    @field_validator("class_weights")
    @classmethod
    def _positive(cls, weights: dict[str, float]) -> dict[str, float]:
        wrong = {name: weight for name, weight in weights.items() if not weight > 0}
        if wrong:
            raise ValueError(f"a class weight is a factor above 0, got {wrong}")
        return weights

    @property
    def adapts(self) -> bool:
        """Whether a subject's own channels say what its regions are like."""
        return self.spatial == "decoder" and self.decoder.emission == "adapted"

    @property
    def learns(self) -> bool:
        """Whether something must be learned from training or validation subjects first."""
        asked = self.prior != "none" or self.calibrate != "none" or self.risk is not None
        return self.spatial == "decoder" or asked

    @property
    def checks(self) -> bool:
        """Whether the model's answers about validation subjects are needed for it."""
        return self.calibrate != "none" or self.risk is not None
