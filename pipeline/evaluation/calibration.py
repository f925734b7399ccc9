"""Whether a probability of 0.8 is right eight times in ten, and one number that mends it."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64, Integer

TEMPERATURES = (0.05, 20.0)


def reliability(
    proba: Float[np.ndarray, "sample class"],
    truth: Integer[np.ndarray, " sample"],
    *,
    bins: int = 15,
) -> pd.DataFrame:
    """Accuracy beside confidence in equal bins of confidence.

    Returns
    -------
    ``low``, ``high`` (edges), ``n``, ``confidence`` and ``accuracy`` (means, NaN if empty).
    """
    confidence = proba.max(axis=1)
    right = proba.argmax(axis=1) == truth
    edges = np.linspace(0, 1, bins + 1)
    index = bin_numbers(confidence, bins)
    n = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(index, confidence, minlength=bins) / n
        accuracy = np.bincount(index, right, minlength=bins) / n
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "n": n,
            "confidence": mean_confidence,
            "accuracy": accuracy,
        }
    )


def bin_numbers(
    confidence: Float[np.ndarray, " sample"], bins: int
) -> Int64[np.ndarray, " sample"]:
    """Which of the equal bins each confidence is in; one on an edge belongs to the lower bin."""
    edges = np.linspace(0, 1, bins + 1)
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)


def expected_calibration_error(
    proba: Float[np.ndarray, "sample class"],
    truth: Integer[np.ndarray, " sample"],
    *,
    bins: int = 15,
) -> float:
    """Mean gap between confidence and accuracy over equal bins, weighted by count.

    Source: Guo et al. 2017, ICML (equation 3).
    """
    table = reliability(proba, truth, bins=bins)
    gap = (table["accuracy"] - table["confidence"]).abs().fillna(0.0)
    return float((gap * table["n"]).sum() / max(int(table["n"].sum()), 1))


def fit_temperature(
    proba: Float[np.ndarray, "sample class"], truth: Integer[np.ndarray, " sample"]
) -> float:
    """The one divisor of log probabilities that makes held-out labels likeliest.

    Raises
    ------
    ValueError
        If there is no sample.

    Source: Guo et al. 2017, ICML (section 4.2).
    """
    from scipy.optimize import minimize_scalar  # slow to import

    if len(proba) == 0:
        raise ValueError(
            "temperature needs labelled samples that the model did not train on, got 0"
        )
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        scaled = apply_temperature(proba, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(scaled[rows, truth], 1e-300)).mean())

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def apply_temperature(
    proba: Float[np.ndarray, "sample class"], temperature: float
) -> Float[np.ndarray, "sample class"]:
    """Softmax of the log probabilities divided by the temperature."""
    log = np.log(np.maximum(proba.astype(np.float64), 1e-300)) / temperature
    weight = np.exp(log - log.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)
