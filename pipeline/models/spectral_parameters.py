"""Parameters of the families that read spectrograms; free of torch."""

from typing import Literal

from pydantic import Field, model_validator

from ..params import Params

Normalise = Literal["training", "window"]


class SpectralParams(Params):
    """What families on spectrograms share: how one is made and how it is classified.

    The published transform has 2,048 samples at 1,250 Hz: here a length in seconds, so that a bin
    is 0.61 Hz wide at any rate. How the published spectrograms were scaled is not known.
    """

    segment_s: float = Field(2048 / 1250, gt=0, description="length of one transform (s)")
    bins: int = Field(500, gt=0, description="first bins, from 0 Hz")
    frames: int = Field(16, gt=1, description="spread evenly over the window")
    normalise: Normalise = Field(
        "training",
        description="each bin by mean and SD over the training windows, or over its own window, "
        "which removes the mean spectrum",
    )
    head_dim: int = Field(128, gt=0, description="width before the last layer")
    dropout: float = Field(0.0, ge=0, lt=1)


class BackboneParams(SpectralParams):
    """What the self-supervised ones share beyond that."""

    head: Literal["linear", "relu"] = "relu"


class SpectrogramMlpParams(SpectralParams):
    """One hidden layer on the flattened spectrogram.

    Source: He et al. 2025 (Lfp2Vec), a baseline; 128 hidden units in its text, 512 in its code.
    """

    family: Literal["spectrogram_mlp"] = "spectrogram_mlp"
    size: Literal["published", "tiny"] = "published"

    @model_validator(mode="before")
    @classmethod
    def _fill_size(cls, values: object) -> object:
        return _filled(values, {"head_dim": 32})


class SimclrParams(BackboneParams):
    """Contrastive learning of two temporally masked views of one spectrogram.

    Source: He et al. 2025 (Lfp2Vec), a baseline: a network of four layers on the flattened
    spectrogram, temperature 0.606. Widths, masks and the projection are ours.
    """

    family: Literal["simclr"] = "simclr"
    size: Literal["published", "tiny"] = "published"
    widths: tuple[int, ...] = Field((1024, 512, 256, 256), min_length=1)
    projection: int = Field(64, gt=0, description="width in which views are compared")
    temperature: float = Field(0.606, gt=0)
    mask_probability: float = Field(0.25, gt=0, lt=1, description="of the frames of a view")
    mask_span: int = Field(4, gt=0, description="frames of one masked span")

    @property
    def hidden(self) -> int:
        """Width of the embedding."""
        return self.widths[-1]

    @model_validator(mode="before")
    @classmethod
    def _fill_size(cls, values: object) -> object:
        tiny = {"widths": (64, 32), "projection": 16, "mask_span": 2, "head_dim": 16}
        return _filled(values, tiny)

    @model_validator(mode="after")
    def _check(self) -> "SimclrParams":
        _check_span("mask_span", self.mask_span, "frames", self.frames)
        return self


class BrainBertParams(BackboneParams):
    """Masked spectrogram transformer.

    The transform is the published one of 2,048 Hz recordings: 400 samples, steps of 50 (so 124
    frames in 3 s), 40 bins up to 200 Hz. Published masks start with probability 0.05 at each
    frame (1 to 5 wide) and each bin (1 or 2 wide), and leave or swap a fifth of what they cover;
    here they hide the same share on average, of one width, and all of it.

    Source: Wang et al. 2023 (BrainBERT), from its description.
    """

    family: Literal["brainbert"] = "brainbert"
    size: Literal["published", "tiny"] = "published"
    segment_s: float = Field(400 / 2048, gt=0, description="length of one transform (s)")
    bins: int = Field(40, gt=0, description="first bins, from 0 Hz")
    frames: int = Field(124, gt=1, description="spread evenly over the window")
    hidden: int = Field(768, gt=0)
    layers: int = Field(6, gt=0)
    heads: int = Field(12, gt=0)
    feedforward: int = Field(3072, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    time_probability: float = Field(0.15, gt=0, lt=1, description="of the frames")
    time_span: int = Field(3, gt=0, description="frames")
    frequency_probability: float = Field(0.075, gt=0, lt=1, description="of the bins")
    frequency_span: int = Field(2, gt=0, description="bins")
    content_weight: float = Field(2.0, ge=0)
    content_threshold: float = Field(1.0, ge=0, description="SD from the mean")

    @model_validator(mode="before")
    @classmethod
    def _fill_size(cls, values: object) -> object:
        tiny = {"hidden": 32, "layers": 1, "heads": 2, "feedforward": 64, "head_dim": 16}
        return _filled(values, {**tiny, "frames": 16, "bins": 24})

    @model_validator(mode="after")
    def _check(self) -> "BrainBertParams":
        if self.hidden % (2 * self.heads):
            raise ValueError(
                f"hidden {self.hidden} must divide by twice the heads ({2 * self.heads})"
            )
        _check_span("time_span", self.time_span, "frames", self.frames)
        _check_span("frequency_span", self.frequency_span, "bins", self.bins)
        return self


def _filled(values: object, tiny: dict[str, object]) -> object:
    """Smaller values under what was given, where the size is ``tiny``."""
    if isinstance(values, dict) and values.get("size") == "tiny":
        return {"segment_s": 0.5, "bins": 40, "frames": 8, "dropout": 0.0, **tiny, **values}
    return values


def _check_span(name: str, span: int, what: str, count: int) -> None:
    if span >= count:
        raise ValueError(f"{name} {span} must be less than the {count} {what}")
