"""Parameters of every model family, free of torch so that tables can check them anywhere."""

from typing import Literal

from pydantic import Field, model_validator

from ..params import Params

CONV_KERNEL = (10, 3, 3, 3, 3, 2, 2)
CONV_STRIDE = (5, 2, 2, 2, 2, 2, 2)


class Lfp2VecParams(Params):
    """wav2vec 2.0 on one channel of LFP; the defaults are the published base configuration.

    Source: He et al. 2025 (Lfp2Vec); Baevski et al. 2020 (wav2vec 2.0). The published head has no
    non-linearity in its code and a ReLU in its text: ``head`` chooses.
    """

    family: Literal["lfp2vec"] = "lfp2vec"
    size: Literal["base", "tiny", "custom"] = "base"
    model_rate: float = Field(16000.0, gt=0, description="rate the windows are resampled to (Hz)")
    conv_dim: tuple[int, ...] = Field(
        (512,) * 7, min_length=7, max_length=7, description="channels of the seven stem layers"
    )
    hidden: int = Field(768, gt=0)
    layers: int = Field(12, gt=0)
    heads: int = Field(12, gt=0)
    feedforward: int = Field(3072, gt=0)
    position_kernel: int = Field(128, gt=0, description="convolutional position (frames)")
    position_groups: int = Field(16, gt=0)
    codewords: int = Field(320, gt=1, description="per group, of two groups")
    code_dim: int = Field(256, gt=0, description="of the codevector and of the projections")
    dropout: float = Field(0.1, ge=0, lt=1)
    layerdrop: float = Field(0.0, ge=0, lt=1)
    mask_probability: float = Field(0.2, gt=0, lt=1)
    mask_span: int = Field(10, gt=0, description="frames of one masked span")
    mask_min_spans: int = Field(2, gt=0)
    finetune_mask_probability: float = Field(
        0.05, ge=0, lt=1, description="spans hidden while fine-tuning, as published; 0 hides none"
    )
    negatives: int = Field(100, gt=0)
    contrastive_temperature: float = Field(0.1, gt=0)
    diversity_weight: float = Field(0.1, ge=0)
    gumbel_temperature: float = Field(2.0, gt=0, description="never annealed, as published")
    head: Literal["linear", "relu"] = "linear"
    head_dim: int = Field(256, gt=0)
    init: Literal["random", "audio"] = "random"
    audio: str = Field("facebook/wav2vec2-base", description="hub id or local folder")

    @model_validator(mode="before")
    @classmethod
    def _fill_size(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("size") == "tiny":
            return {**_TINY, **values}
        return values

    @model_validator(mode="after")
    def _check(self) -> "Lfp2VecParams":
        if self.hidden % self.heads or self.hidden % self.position_groups:
            raise ValueError(
                f"hidden {self.hidden} must divide by heads {self.heads} "
                f"and by position_groups {self.position_groups}"
            )
        if self.code_dim % 2:
            raise ValueError(f"code_dim {self.code_dim} must be even: there are two code groups")
        return self


_TINY = {
    "conv_dim": (16, 16, 32, 32, 32, 64, 64),
    "hidden": 64,
    "layers": 2,
    "heads": 4,
    "feedforward": 256,
    "position_kernel": 16,
    "position_groups": 4,
    "codewords": 32,
    "code_dim": 32,
    "dropout": 0.0,
    "negatives": 50,
    "head_dim": 64,
}


class LinearParams(Params):
    """What the baselines share: a multinomial logistic regression on fixed features."""

    inverse_penalty: float = Field(1.0, gt=0, description="C of the logistic regression")
    max_iterations: int = Field(1000, gt=0)
    balanced: bool = Field(False, description="weight classes by their inverse frequency")


class BandPowerParams(LinearParams):
    """Logistic regression on band powers of one channel."""

    family: Literal["band_power"] = "band_power"
    segment: int = Field(1024, gt=1, description="Welch segment (samples)")
    highest_hz: float | None = Field(None, gt=0, description="ignore power above (Hz)")
    log: bool = Field(True, description="features as log10")


class PositionOnlyParams(LinearParams):
    """Logistic regression on where the channel is; a control that hears no signal.

    ``auto`` takes depth and lateral offset where the recording knows them and x, y, z otherwise:
    atlas coordinates come from the same histology as the labels and would repeat them.
    """

    family: Literal["position_only"] = "position_only"
    coordinates: Literal["auto", "probe", "atlas", "both"] = "auto"


class AmplitudeOnlyParams(LinearParams):
    """Logistic regression on how large the signal is; a control that hears no rhythm."""

    family: Literal["amplitude_only"] = "amplitude_only"


class ExternalParams(LinearParams):
    """Vectors made elsewhere, handed through; logistic regression for prediction."""

    family: Literal["external"] = "external"


MaskScheme = Literal["unit", "time", "region", "within_region", "after"]


class MtmParams(Params):
    """Masked autoencoder of binned spikes with one prompt per mask scheme.

    Source: Zhang et al. 2024 (MtM), in small: bins are tokens, one linear read-in and read-out
    per session, one shared encoder.
    """

    family: Literal["mtm"] = "mtm"
    read_in: int = Field(64, gt=0, description="width all sessions are read into")
    hidden: int = Field(128, gt=0)
    layers: int = Field(2, gt=0)
    heads: int = Field(4, gt=0)
    feedforward: int = Field(256, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    norm: Literal["layer", "rms"] = "layer"
    mlp: Literal["gelu", "gated"] = "gelu"
    rotary: bool = True
    schemes: tuple[MaskScheme, ...] = Field(
        ("unit", "time", "region", "within_region"), min_length=1
    )
    unit_ratio: float = Field(0.3, gt=0, lt=1)
    time_ratio: float = Field(0.3, gt=0, lt=1)
    after_bins: int = Field(10, gt=0, description="bins hidden at the end by 'after'")

    @model_validator(mode="after")
    def _check(self) -> "MtmParams":
        if self.hidden % (2 * self.heads):
            raise ValueError(
                f"hidden {self.hidden} must divide by twice the heads ({2 * self.heads})"
            )
        return self


class EmbedParams(Params):
    """Which vector of a model is its embedding.

    ``head`` is the vector that enters the last linear layer (the published choice, after
    fine-tuning); ``hidden`` the pooled hidden state of ``layer``; ``default`` takes the head when
    it has been trained.
    """

    at: Literal["default", "hidden", "head"] = "default"
    layer: int = Field(-1, description="0 is the first layer, -1 the last")
    pooling: Literal["mean", "max"] = "mean"
    precision: Literal["fp32", "bf16", "int8"] = Field(
        "fp32", description="int8 for CPUs without bf16; coarser, lfp2vec only"
    )
