"""What predictions and embeddings are worth: scores with chance, count and interval."""

from .calibration import apply_temperature, fit_temperature, reliability
from .controls import permuted_labels, permuted_units, phase_randomise, phase_randomise_windows
from .features_file import FeatureMapping, FeatureTable, read_feature_file
from .intervals import Clusters, IntervalParams, cluster
from .metrics import classification_scores, most_likely
from .probes import ProbeParams, ProbeResult, linear_probe
from .rates import rates_scores
from .scorers import SCORERS, ClassOutputs, EvalParams, RateOutputs
from .scores import ScoreRow, as_labels, score_frame
from .silhouette import SilhouetteParams, silhouette_samples, silhouette_scores, silhouettes
from .swaps import SwapControl, swap_control

__all__ = [
    "SCORERS",
    "ClassOutputs",
    "Clusters",
    "EvalParams",
    "FeatureMapping",
    "FeatureTable",
    "IntervalParams",
    "ProbeParams",
    "ProbeResult",
    "RateOutputs",
    "ScoreRow",
    "SilhouetteParams",
    "SwapControl",
    "apply_temperature",
    "as_labels",
    "classification_scores",
    "cluster",
    "fit_temperature",
    "linear_probe",
    "most_likely",
    "permuted_labels",
    "permuted_units",
    "phase_randomise",
    "phase_randomise_windows",
    "rates_scores",
    "read_feature_file",
    "reliability",
    "score_frame",
    "silhouette_samples",
    "silhouette_scores",
    "silhouettes",
    "swap_control",
]
