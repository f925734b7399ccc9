"""What predictions and embeddings are worth: scores with chance, count and interval."""

from .intervals import Clusters, IntervalParams, cluster
from .metrics import classification_scores, most_likely
from .rates import rates_scores
from .scorers import SCORERS, ClassOutputs, EvalParams, RateOutputs
from .scores import ScoreRow, as_labels, score_frame

__all__ = [
    "SCORERS",
    "ClassOutputs",
    "Clusters",
    "EvalParams",
    "IntervalParams",
    "RateOutputs",
    "ScoreRow",
    "as_labels",
    "classification_scores",
    "cluster",
    "most_likely",
    "rates_scores",
    "score_frame",
]
