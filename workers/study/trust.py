"""Scores that say how far a study's confidences are to be believed."""

import pandas as pd

from pipeline.analyses.report_trust import RISKS


def trust_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """Rows of the control "calibration", and of answers that were given at a stated risk."""
    control = (scores["table"] == "Control") & (scores["target"] == "calibration")
    risk = (scores["table"] == "Evaluation") & scores["metric"].isin(RISKS) & scores["fold"].isna()
    risk &= scores["detail"].fillna("").str.startswith("asked ")
    return scores[(control & scores["detail"].notna()) | risk]
