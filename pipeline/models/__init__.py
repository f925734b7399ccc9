"""Model families behind one protocol. Importing this package does not import torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from ..params import Params
from .context import DataContext, label_set
from .hub import load_model
from .ibl_parameters import IblTransformerParams, IblTreesParams
from .parameters import (
    AmplitudeOnlyParams,
    BandPowerParams,
    EmbedParams,
    ExternalParams,
    Lfp2VecParams,
    MtmParams,
    PositionOnlyParams,
)
from .protocol import FoundationModel
from .spectral_parameters import BrainBertParams, SimclrParams, SpectrogramMlpParams

__all__ = [
    "MODELS",
    "DataContext",
    "EmbedParams",
    "Family",
    "FoundationModel",
    "build",
    "label_set",
    "load_model",
    "params_class",
    "parse_params",
]


@dataclass(frozen=True)
class Family:
    """What may be known of a model family without building one.

    Attributes
    ----------
    params
        Its parameter class.
    target
        ``module:class`` inside this package, imported when one is built.
    grain
        A training row is a (window, channel) pair or a whole window.
    tokens
        What one token of its embedding stands for.
    output
        ``predict`` gives class probabilities or log-rates.
    needs
        Fields of ``Batch`` that must be there.
    objectives
        What ``fit`` may be asked for; ``frozen`` trains the head alone, ``none`` fits in
        ``prepare`` alone.
    ready
        It comes trained and learns nothing here.
    """

    params: type[Params]
    target: str
    grain: Literal["channel", "window"]
    tokens: Literal["channel", "time"]
    output: Literal["classes", "rates"]
    needs: frozenset[str]
    objectives: tuple[Literal["ssl", "finetune", "frozen", "none"], ...]
    ready: bool = False


def _channelwise(params: type[Params], target: str, needs: str, *objectives: str) -> Family:
    return Family(
        params, target, "channel", "channel", "classes", frozenset({needs}), objectives or ("none",)
    )


def _probewise(params: type[Params], target: str) -> Family:
    """Answers for channels, and reads all channels of a window to do so."""
    return Family(
        params, target, "window", "channel", "classes", frozenset({"lfp"}), ("none",), ready=True
    )


BACKBONE = ("ssl", "finetune", "frozen", "none")
"""Objectives of every family with a self-supervised backbone: compared in one setting."""

MODELS: Mapping[str, Family] = {
    "lfp2vec": _channelwise(Lfp2VecParams, "lfp2vec:Lfp2Vec", "lfp", *BACKBONE),
    "simclr": _channelwise(SimclrParams, "simclr:Simclr", "lfp", *BACKBONE),
    "brainbert": _channelwise(BrainBertParams, "brainbert:BrainBert", "lfp", *BACKBONE),
    "spectrogram_mlp": _channelwise(
        SpectrogramMlpParams, "spectrogram_mlp:SpectrogramMlp", "lfp", "finetune"
    ),
    "band_power": _channelwise(BandPowerParams, "band_power:BandPower", "lfp"),
    "position_only": _channelwise(PositionOnlyParams, "position_only:PositionOnly", "position"),
    "amplitude_only": _channelwise(AmplitudeOnlyParams, "amplitude_only:AmplitudeOnly", "lfp"),
    "external": _channelwise(ExternalParams, "external:External", "features"),
    "ibl_trees": _probewise(IblTreesParams, "ibl_trees:IblTrees"),
    "ibl_transformer": _probewise(IblTransformerParams, "ibl_transformer:IblTransformer"),
    "mtm": Family(MtmParams, "mtm:Mtm", "window", "time", "rates", frozenset({"spikes"}), ("ssl",)),
}
"""Every family by name; a new entry is tested by existing."""


def params_class(family: str) -> type[Params]:
    """The parameter class of a family.

    Raises
    ------
    KeyError
        If there is no such family.
    """
    return _family(family).params


def parse_params(value: dict[str, Any]) -> Params:
    """Parameters of the family that the stored JSON names."""
    return params_class(value.get("family", "")).from_json(value)


def build(
    params: Params, context: DataContext, *, seed: int, weights: Path | None = None
) -> FoundationModel:
    """A model with fresh weights, the same for the same seed.

    Parameters
    ----------
    weights
        Folder that may hold public weights under their hub id (``init="audio"``).
    """
    module, name = _family(params.family).target.split(":")
    return getattr(import_module(f"{__name__}.{module}"), name).build(
        params, context, seed=seed, weights=weights
    )


def _family(name: str) -> Family:
    if name not in MODELS:
        raise KeyError(f"no model family {name!r}; there are {sorted(MODELS)}")
    return MODELS[name]
