"""Stored answers per channel, after post-processing, beside the labels of their channels."""

from typing import Any

import pandas as pd

from . import prediction

SAID = ("probe", "channel", "predicted", "best", "confidence", "n_voting")


def stored_answers(name: str, channels: pd.DataFrame) -> pd.DataFrame:
    """What a prediction stored of each channel, with the channel's label: `SAID` and ``region``."""
    said = prediction.Prediction.ChannelPrediction & {"prediction": name}
    frame = pd.DataFrame(said.to_dicts(), columns=list(SAID))
    frame = frame.astype({"channel": "int64", "confidence": float})
    return frame.merge(channels[["probe", "channel", "region"]], on=["probe", "channel"])


def held_out_answers(asked: dict[str, Any]) -> pd.DataFrame:
    """Stored answers of every input of an evaluation; ``subject``, ``session``, ``channel`` too."""
    from ._roles import member_windows

    parts = []
    for member in asked["inputs"]:
        task = prediction.PredictionTask & {"prediction": member["prediction"]}
        windowset = member_windows(asked["task"]["eval_split"], task.fetch1("windows"))
        said = stored_answers(member["prediction"], windowset.channels)
        subject = f"{windowset.source}/{windowset.subject}"
        parts.append(said.assign(session=windowset.session, subject=subject))
    return pd.concat(parts, ignore_index=True)


def score_stored(answers: pd.DataFrame, classes, params) -> list:
    """Scores of the leading region of each channel that has windows, "unknown" or not."""
    from pipeline.evaluation.scorers import score_answers

    heard = answers[answers["n_voting"] > 0].reset_index(drop=True)
    if heard.empty:
        return []
    return score_answers(
        heard["best"], heard["confidence"].to_numpy(), classes, heard["region"], heard, params
    )
