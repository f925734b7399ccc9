"""What post-processing learns: of training subjects where regions lie, of validation subjects how
far a model is to be believed. Kept with the answers, so that it can be looked at."""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float64, Int64
from pydantic import Field

from ..evaluation.calibration import apply_temperature, fit_temperature
from ..params import Params
from .abstain import Abstention
from .depth_decoder import decode_probe, fit_decoder, to_answers
from .depth_emission import Emission, decode_adapted, learn_emission
from .depth_prior import DepthPrior, LabelledProbe, learn_transitions, state_numbers
from .postprocess import DecoderParams, EmissionParams, PostprocessParams
from .scored import ScoredProbe


class Learned(Params):
    """What post-processing took from subjects that are not tested."""

    later: ClassVar[frozenset[str]] = frozenset({"abstain"})
    classes: tuple[str, ...]
    share: tuple[float, ...] = Field(description="of each class among labelled training channels")
    temperature: float = Field(1.0, gt=0, description="of channel means, by validation subjects")
    prior: DepthPrior | None = Field(None, description="which region follows which along depth")
    decoder: DecoderParams = DecoderParams()
    emission: Emission | None = Field(None, description="what the model says of each region")
    adaptation: EmissionParams = EmissionParams()
    abstain: Abstention | None = Field(None, description="from which confidence it answers")
    n_training: int = Field(description="training channels with a label")
    n_validation: int = Field(description="validation channels with a label and windows")
    note: str = Field("", description="what was asked for and could not be learned")


def learn_postprocess(
    training: Sequence[LabelledProbe],
    validation: Sequence[ScoredProbe],
    classes: Sequence[str],
    params: PostprocessParams,
    *,
    heard: Sequence[ScoredProbe] = (),
) -> Learned:
    """Class frequencies, the prior over depth, and the temperatures if they are asked for.

    Parameters
    ----------
    training
        Labels of the recordings that the model was fitted on.
    validation
        The model's channel means (log) on subjects it was not fitted on and that nobody tests;
        without a labelled channel among them temperatures stay as they are.
    heard
        The same on training subjects, for an adapted decoder; a recording is one entry.

    Raises
    ------
    ValueError
        If no training channel carries a class, or a prior is asked for and cannot be learned.
    """
    count = count_classes(training, classes)
    decodes = params.spatial == "decoder"
    prior = learn_transitions(training, classes, params.transitions) if decodes else None
    subjects, note, emission = {probe.subject for probe in heard}, "", None
    if params.adapts and len(subjects) < 2:
        note = "one training subject tells nothing of how subjects differ: not adapted"
    elif params.adapts:
        emission = learn_emission(heard, prior, params.emission)
    learned = Learned(
        classes=tuple(classes), share=tuple((count / count.sum()).tolist()), prior=prior,
        decoder=params.decoder, emission=emission, adaptation=params.emission,
        n_training=int(count.sum()), n_validation=0, note=note,
    )  # fmt: skip
    return learned if params.calibrate == "none" else _calibrate(learned, validation)


def decode_learned(
    log_probs: Float[np.ndarray, "channel class"],
    depth_um: Float[np.ndarray, " _"],
    shank: Int64[np.ndarray, " _"],
    learned: Learned,
) -> Float64[np.ndarray, "channel answer"]:
    """Probability of each answer of the prior at each channel of one recording.

    Arguments as of ``decode_probe``.
    """
    if learned.emission is None:
        return decode_probe(log_probs, depth_um, shank, learned.prior, learned.decoder)
    state = decode_adapted(
        log_probs, depth_um, shank, learned.prior, learned.emission, learned.adaptation
    )
    answer = to_answers(state, learned.prior)
    return apply_temperature(answer, learned.decoder.final_temperature)


def _calibrate(learned: Learned, validation: Sequence[ScoredProbe]) -> Learned:
    """The temperatures at which validation labels are likeliest."""
    prior = learned.prior
    truth, log_probs = _labelled(validation, learned.classes if prior is None else prior.answers)
    if not len(truth):
        return learned
    found: dict[str, object] = {"n_validation": len(truth)}
    if prior is None:
        found["temperature"] = fit_temperature(np.exp(log_probs), truth)
    elif learned.emission is None:
        found["decoder"] = fit_decoder(validation, prior, learned.decoder)
    else:
        once = learned.model_copy(
            update={"decoder": learned.decoder.model_copy(update={"final_temperature": 1.0})}
        )
        answers = [
            replace(probe, log_probs=np.log(np.maximum(decode_learned(
                probe.log_probs, probe.depth_um, probe.shank, once), 1e-300)))
            for probe in validation
        ]  # fmt: skip
        truth, log_probs = _labelled(answers, prior.answers)
        n = len({probe.subject for probe in validation})
        weight = n / (n + learned.adaptation.pooled_temperature)  # few subjects say little
        last = fit_temperature(np.exp(log_probs), truth) ** weight
        found["decoder"] = learned.decoder.model_copy(update={"final_temperature": last})
    return learned.model_copy(update=found)


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
