"""A multinomial logistic regression that knows of classes it has not seen."""

from typing import Literal

import numpy as np
from sklearn.linear_model import LogisticRegression

UNSEEN = -30.0
"""Logit offset of a class that the training data lacks."""


def fit_logistic(
    x: np.ndarray,
    y: np.ndarray,
    *,
    n_classes: int,
    inverse_penalty: float = 1.0,
    max_iterations: int = 1000,
    class_weight: Literal["balanced"] | None = None,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients ``(class, feature)`` and intercepts ``(class,)``, fitted by scikit-learn.

    Parameters
    ----------
    x, y
        ``(row, feature)`` and the class index of each row.
    inverse_penalty
        C of the regression.
    weights
        Of each row.
    """
    coef = np.zeros((n_classes, x.shape[1]))
    intercept = np.full(n_classes, UNSEEN)
    seen = np.unique(y)
    if len(seen) == 1:
        intercept[seen] = 0
        return coef, intercept
    regression = LogisticRegression(
        C=inverse_penalty, max_iter=max_iterations, class_weight=class_weight
    ).fit(x, y, sample_weight=weights)
    found, offset = regression.coef_, regression.intercept_
    if len(seen) == 2:  # scikit-learn keeps one score for two classes
        found, offset = np.stack([-found[0], found[0]]) / 2, np.array([-1, 1]) * offset / 2
    coef[seen], intercept[seen] = found, offset
    return coef, intercept
