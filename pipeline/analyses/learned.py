"""What post-processing learns: of training subjects where regions lie, of validation subjects how
far a model is to be believed. Kept with the answers, so that it can be looked at."""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from ..evaluation.calibration import fit_temperature
from ..params import Params
from .depth_decoder import ScoredProbe, fit_decoder
from .depth_prior import DepthPrior, LabelledProbe, learn_transitions, state_numbers
from .postprocess import DecoderParams, PostprocessParams


class Learned(Params):
    """What post-processing took from subjects that are not tested."""

    classes: tuple[str, ...]
    share: tuple[float, ...] = Field(description="of each class among labelled training channels")
    temperature: float = Field(1.0, gt=0, description="of channel means, by validation subjects")
    prior: DepthPrior | None = Field(None, description="which region follows which along depth")
    decoder: DecoderParams = DecoderParams()
    n_training: int = Field(description="training channels with a label")
    n_validation: int = Field(description="validation channels with a label and windows")


def learn_postprocess(
    training: Sequence[LabelledProbe],
    validation: Sequence[ScoredProbe],
    classes: Sequence[str],
    params: PostprocessParams,
) -> Learned:
    """Class frequencies, the prior over depth, and the temperatures if they are asked for.

    Parameters
    ----------
    training
        Labels of the recordings that the model was fitted on.
    validation
        The model's channel means (log) on subjects it was not fitted on and that nobody tests;
        without a labelled channel among them temperatures stay as they are.

    Raises
    ------
    ValueError
        If no training channel carries a class, or a prior is asked for and cannot be learned.
    """
    count = count_classes(training, classes)
    decodes = params.spatial == "decoder"
    prior = learn_transitions(training, classes, params.transitions) if decodes else None
    truth, log_probs = _labelled(validation, prior.answers if prior is not None else classes)
    found: dict[str, object] = {}
    if params.calibrate == "validation" and len(truth):
        if prior is not None:
            found["decoder"] = fit_decoder(validation, prior, params.decoder)
        else:
            found["temperature"] = fit_temperature(np.exp(log_probs), truth)
    return Learned(
        classes=tuple(classes), share=tuple((count / count.sum()).tolist()), prior=prior,
        n_training=int(count.sum()), n_validation=len(truth),
        **{"decoder": params.decoder, **found},
    )  # fmt: skip


def count_classes(training: Sequence[LabelledProbe], classes: Sequence[str]) -> np.ndarray:
    """Training channels of each class.

    Raises
    ------
    ValueError
        If there is none at all.
    """
    state = [state_numbers(probe.labels, classes) for probe in training]
    seen = np.concatenate([np.array([], np.int64), *state])
    if not (seen >= 0).any():
        raise ValueError(
            f"post-processing learns from training channels of {list(classes)}; none of "
            f"{len(seen)} in {len(training)} recordings carries one"
        )
    return np.bincount(seen[seen >= 0], minlength=len(classes))


def _labelled(probes: Sequence[ScoredProbe], answers: Sequence[str]) -> tuple:
    """Answer and log probabilities of channels that have both."""
    truth, logs = [np.array([], np.int64)], []
    for probe in probes:
        state = state_numbers(probe.labels, answers)
        keep = (state >= 0) & np.isfinite(probe.log_probs).all(axis=1)
        truth.append(state[keep])
        logs.append(probe.log_probs[keep])
    return np.concatenate(truth), np.concatenate(logs) if logs else np.zeros((0, len(answers)))
