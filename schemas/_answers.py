"""Stored answers per channel, after post-processing, beside the labels of their channels."""

from typing import Any

import pandas as pd

from . import prediction
from ._tables import among

SAID = ("probe", "channel", "predicted", "best", "confidence", "n_voting")


def stored_answers(name: str, channels: pd.DataFrame) -> pd.DataFrame:
    """What a prediction stored of each channel, with the channel's label: `SAID` and ``region``."""
    said = prediction.Prediction.ChannelPrediction & {"prediction": name}
    frame = pd.DataFrame(said.to_dicts(), columns=list(SAID))
    frame = frame.astype({"channel": "int64", "confidence": float})
    return frame.merge(channels[["probe", "channel", "region"]], on=["probe", "channel"])


def predictions_of(inputs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Predictions among the inputs of an evaluation, with what was asked, by name."""
    asked = among([{"prediction": member["prediction"]} for member in inputs])
    rows = (prediction.Prediction * prediction.PredictionTask & asked).to_dicts()
    return {row["prediction"]: row for row in rows}


def held_out_answers(asked: dict[str, Any]) -> pd.DataFrame:
    """Stored answers of every input of an evaluation; ``subject``, ``session``, ``channel`` too."""
    from ._roles import members_windows

    rows = predictions_of(asked["inputs"])
    heard = {row["windows"] for row in rows.values()}
    windowsets = members_windows(asked["task"]["eval_split"], heard)
    parts = []
    for member in asked["inputs"]:
        windowset = windowsets[rows[member["prediction"]]["windows"]]
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
