"""Parameters of the published decoders that are peers; free of torch."""

from typing import ClassVar, Literal

from pydantic import Field

from ..params import Params


class IblDecoderParams(Params):
    """What both share. Nothing is trained: the published weights answer as they are.

    Source: International Brain Laboratory, region decoders of the ephys atlas (Cosmos regions,
    features of LFP, AP band and spikes). ``licence_seen`` is what was found of the licence when
    the family was written, said where a release does not state it itself.
    """

    licence_seen: ClassVar[str] = "not checked"

    revision: str | None = Field(None, description="tag or commit on the hub; None takes main")
    members: Literal["all", "first"] = Field(
        "all", description="of the ensemble: folds of the trees, seeds of the transformer"
    )
    absent: Literal["refuse", "missing"] = Field(
        "refuse",
        description="features that LFP does not give (AP band, spikes): an error, or handed over "
        "as missing (trees) or as the mean of the training channels (transformer)",
    )


class IblTreesParams(IblDecoderParams):
    """Gradient-boosted trees on single channels."""

    licence_seen: ClassVar[str] = (
        "the hub's card of int-brain-lab/ea-decoder-channel-xgboost says CC-BY-4.0"
    )

    family: Literal["ibl_trees"] = "ibl_trees"
    source: str = Field(
        "int-brain-lab/ea-decoder-channel-xgboost", description="hub id or local folder"
    )


class IblTransformerParams(IblDecoderParams):
    """A transformer over the channels of a probe; nobody has checked its licence yet."""

    family: Literal["ibl_transformer"] = "ibl_transformer"
    source: str = Field(
        "int-brain-lab/ea-decoder-channel-transformer", description="hub id or local folder"
    )
