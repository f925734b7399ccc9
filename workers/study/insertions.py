"""What the report draws of each probe: power, predicted region, confidence and file label."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.analyses.report_data import InsertionReport
from pipeline.analyses.spectra import SpectraParams, phase_profile, power_spectra
from pipeline.recording import WindowSet
from schemas import prediction, training
from schemas._doubt import Doubts, find_doubts, why_not_new
from schemas._infer import channel_rows
from schemas._roles import member_windows, role_masks

from .models import final_trainings, windows_of
from .plan import wanted
from .spec import StudySpec

MOST = 12
HIGHEST_HZ = 250.0
FEW, TOGETHER = 8, "electrode groups"
ANSWER = ("probe", "channel", "predicted", "confidence", "refused")


class Said(NamedTuple):
    """Class probabilities, and which window and channel each row is about."""

    outputs: np.ndarray
    window: np.ndarray
    channel: np.ndarray


def insertion_reports(spec: StudySpec) -> list[InsertionReport]:
    """Held-out recordings as the study's first model answers them, at most `MOST` of them."""
    split = [row["member"] for row in wanted(spec.study.name, "split_task")]
    if not split or "lfp" not in spec.data.modalities:
        return []
    first = spec.model[0]
    finals = [
        final
        for final in final_trainings(spec)
        if final["name"] == first.name and final["seed"] == first.seeds[0]
    ]
    heard: dict[str, list[dict[str, Any]]] = {}
    for final in finals:
        for name in windows_of(split[0], final["fold"], ("test",)):
            heard.setdefault(name, []).append(final)
    post = prediction.PostprocessParamSet.register(None, spec.analyses.postprocess)
    made: list[InsertionReport] = []
    for name, by in list(heard.items())[:MOST]:
        windowset = member_windows(split[0], name)
        masks = [role_masks(split[0], final["fold"], windowset)["test"] for final in by]
        keys = [{"training": final["training"], "windows": name, **post} for final in by]
        if masks[0].all() or spec.analyses.postprocess.learns:  # each fold learned its own
            said = answers(keys[0])
        else:
            said = held_out_answers(windowset, keys, masks)
        drawn = draw_probes(windowset, said, first.name, np.any(masks, axis=0), join=True)
        told = not_asked(spec, [final["training"] for final in by])
        made += [replace(one, notes=(*one.notes, *told)) for one in drawn]
    return made[:MOST]


def not_asked(spec: StudySpec, trainings: list[str]) -> list[str]:
    """A sentence where answers name regions and nobody asked whether a channel is in a new one."""
    if spec.data.labels is None or spec.data.conditions is not None:
        return []
    if spec.analyses.postprocess.known_kept == 1:
        why = "known_kept is 1, `fieldbase locate` asks"
    else:
        reasons = {why_not_new(name) for name in trainings}
        if None in reasons:
            return []
        why = "; ".join(sorted(reasons))
    return [f"not asked: whether a channel lies in a region that no training had ({why})"]


def held_out_answers(
    windowset: WindowSet, keys: list[dict[str, str]], masks: list[np.ndarray]
) -> pd.DataFrame:
    """Answers per channel where a recording was cut in time: from held-out windows alone.

    The stored answers put together all windows of a recording, among them those trained on; here
    each window is answered by the fold that held it out. How far a channel is from what was
    trained on is the mean over folds, each asked about its own held-out windows.
    """
    parts, doubts, post = [], [], None
    for key, held_out in zip(keys, masks, strict=True):
        rows = (prediction.Prediction * prediction.PredictionTask & key).to_dicts()
        for row in rows[:1]:
            window = row["window_index"].load()
            keep, post = held_out[window], prediction.PostprocessParamSet.get(row)
            site = row["site_index"].load()[keep]
            parts.append((row["output_classes"], row["outputs"].load()[keep], window[keep], site))
            if post.known_kept < 1 or post.unknown_beyond < 1:
                learned = (training.Training & key).proj("domain", "classes").fetch1()
                doubts.append(find_doubts(windowset.take(held_out), learned, None))
    if post is None:
        return pd.DataFrame(columns=list(ANSWER))
    classes = list(dict.fromkeys(name for part in parts for name in part[0]))
    outputs = [np.zeros((len(part[1]), len(classes))) for part in parts]
    for block, (names, found, _, _) in zip(outputs, parts, strict=True):
        block[:, [classes.index(name) for name in names]] = found
    window, site = (np.concatenate([part[at] for part in parts]) for at in (2, 3))
    said = Said(np.concatenate(outputs), window, site)
    rows = channel_rows(said, classes, windowset, post, join_doubts(doubts))
    return pd.DataFrame(rows, columns=list(ANSWER))


def join_doubts(parts: Sequence[Doubts]) -> Doubts:
    """Doubts of several folds about the same channels: the mean of what each could tell."""
    domain = _mean([one.domain.channel_quantile for one in parts if one.domain is not None])
    novelty = _mean([one.novelty for one in parts if one.novelty is not None])
    return Doubts(None if domain is None else SimpleNamespace(channel_quantile=domain), novelty)


def _mean(parts: list[np.ndarray]) -> np.ndarray | None:
    """Of what is known of each channel; NaN where nothing is."""
    if not parts:
        return None
    known = np.isfinite(parts)
    total = np.where(known, parts, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def answers(key: dict[str, str]) -> pd.DataFrame:
    """Stored answers per channel of one training and one set of windows."""
    rows = prediction.Prediction.ChannelPrediction * prediction.PredictionTask & key
    return pd.DataFrame(rows.to_dicts(), columns=list(ANSWER))


def draw_probes(
    windowset: WindowSet,
    said: pd.DataFrame,
    model: str,
    held_out: np.ndarray | None = None,
    *,
    join: bool = False,
) -> list[InsertionReport]:
    """One InsertionReport per probe of a recording; ``join`` draws tetrodes and the like as one."""
    if windowset.lfp is None or not windowset.valid.any():
        return []
    valid = windowset.valid if held_out is None else windowset.valid & held_out[:, None]
    channels = windowset.channels.merge(said, on=["probe", "channel"], how="left")
    channels = channels.rename(
        columns={"predicted": "region_pred", "region": "region_file", "refused": "reason"}
    )
    spectra = power_spectra(windowset.lfp, windowset.rate, valid, SpectraParams())
    shown = (spectra.freqs > 0) & (spectra.freqs <= HIGHEST_HZ)
    made = []
    names, joined = _drawings(channels) if join else (channels["probe"], ())
    for probe, rows in channels.groupby(names, sort=False):
        at, profile, told = rows.index.to_numpy(), None, []
        if probe == TOGETHER:
            told = [f"{', '.join(joined)}: drawn as one, in file order."]
            rows = rows.drop(columns=["probe", "shank"])
        else:
            profile = phase_profile(
                windowset.lfp[:, :, at], windowset.rate, valid[:, at],
                rows.reset_index(drop=True), SpectraParams(),
            )  # fmt: skip
        made.append(
            InsertionReport(
                session=windowset.session,
                probe=str(probe),
                subject=windowset.subject,
                freqs=spectra.freqs[shown],
                power=spectra.power[at][:, shown],
                channels=rows.reset_index(drop=True),
                model=model,
                notes=(*told, *windowset.provenance.get("notes", ())),
                phase=None if profile is None else profile.phase,
                coherence=None if profile is None else profile.coherence,
                theta_hz=None if profile is None else profile.theta_hz,
            )
        )
    return made


def _drawings(channels: pd.DataFrame) -> tuple[pd.Series, tuple[str, ...]]:
    """Which picture each channel is in: its probe's, or one of all small probes without depth."""
    by = channels.groupby("probe", sort=False)
    small = (by.size() <= FEW) & by["depth_um"].apply(lambda depth: depth.isna().all())
    joined = tuple(small.index[small]) if small.sum() > 1 else ()
    names = channels["probe"].where(~channels["probe"].isin(joined), TOGETHER)
    return names, joined
