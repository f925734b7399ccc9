"""Logistic regression on many samples: scikit-learn's optimum, in few steps.

The minimum is found in coordinates in which the training features are uncorrelated, so that the
number of steps does not grow with how correlated an embedding is, and large problems are multiplied
in single precision.
"""

import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int64
from scipy import linalg, optimize

SMALL = 4_000_000
"""Entries of a feature matrix up to which all is computed in double precision."""
ROWS_PER_FEATURE = 8
"""Rows that the correlation of features is estimated from; it decides the way, not the minimum."""
AT_ONCE = 512
"""Rows multiplied together."""
STEEPEST = {np.float32: 1e-5, np.float64: 1e-6}
"""Largest slope of the mean loss, along any uncorrelated direction, that counts as the minimum."""

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


def fit_softmax(
    x: Float[np.ndarray, "sample dim"],
    y: Int64[np.ndarray, " sample"],
    n_classes: int,
    *,
    c: float = 1.0,
    balanced: bool = False,
    max_iterations: int = 1000,
) -> tuple[Float[np.ndarray, "dim column"], Float[np.ndarray, " column"]]:
    """Coefficients and intercepts of an L2-penalised logistic regression.

    The objective is that of scikit-learn's ``LogisticRegression``: multinomial, and of two classes
    one column, the score of the second.

    Parameters
    ----------
    x
        Features, standardised by the caller.
    y
        Class of each sample; every class occurs.
    c
        Inverse strength of the penalty.
    balanced
        Weight samples by the inverse frequency of their class.

    Raises
    ------
    ValueError
        If there are fewer than two classes.
    """
    if n_classes < 2:
        raise ValueError(f"a logistic regression needs 2 classes, got {n_classes}")
    columns = 1 if n_classes == 2 else n_classes
    counts = np.bincount(y, minlength=n_classes)
    weight = (len(y) / (n_classes * counts))[y] if balanced else np.ones(len(y))
    penalty = 1 / (c * weight.sum())
    way = _uncorrelated(x, penalty, 1 / n_classes**2 if columns == 1 else 1 / n_classes)
    found = optimize.minimize(
        _objective(x, y, weight, penalty, way, columns),
        np.zeros((x.shape[1] + 1) * columns),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": max_iterations,
            "maxfun": 2 * max_iterations,
            "maxls": 50,
            "gtol": STEEPEST[x.dtype.type],
            "ftol": 64 * np.finfo(np.float64).eps,
        },
    )
    if found.nit >= max_iterations:
        warnings.warn(
            f"the regression of {len(x)} samples did not settle in {max_iterations} steps; "
            "raise max_iterations or standardise the features",
            RuntimeWarning,
            stacklevel=2,
        )
    whole = found.x.reshape(-1, columns)
    return way @ whole[:-1], whole[-1]


def class_scores(
    x: Float[np.ndarray, "sample dim"],
    coef: Float[np.ndarray, "dim column"],
    intercept: Float[np.ndarray, " column"],
) -> Float[np.ndarray, "sample klass"]:
    """Unnormalised log probability of each class."""
    scores = x @ coef.astype(x.dtype) + intercept
    return np.hstack([np.zeros((len(x), 1)), scores]) if len(intercept) == 1 else scores


def _uncorrelated(x: np.ndarray, penalty: float, spread: float) -> Float[np.ndarray, "dim dim"]:
    """A matrix that turns round coordinates into coefficients: the inverse root of the Hessian.

    ``spread`` is the curvature of the loss in a score where all classes are equally likely.
    """
    every = max(1, len(x) // (ROWS_PER_FEATURE * x.shape[1]))
    some = x[::every]
    curvature = spread * (some.T @ some).astype(np.float64) / len(some)
    ridge = penalty + 1e-6 * curvature.trace() / len(curvature)
    root = linalg.cholesky(curvature + ridge * np.eye(len(curvature)), lower=True)
    return linalg.solve_triangular(root, np.eye(len(root)), lower=True).T


def _objective(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, penalty: float, way: np.ndarray, columns: int
) -> Objective:
    """Mean loss and its slope, by round coordinates and intercepts in one row.

    Scores and slope of a few rows are computed while they are in the cache.
    """
    share = weight / weight.sum()
    pieces = [slice(i, i + AT_ONCE) for i in range(0, len(y), AT_ONCE)]

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        whole = flat.reshape(-1, columns)
        coef = way @ whole[:-1]
        single = coef.astype(x.dtype)
        loss, slope, lean = 0.5 * penalty * np.sum(coef**2), penalty * coef, np.zeros(columns)
        for piece in pieces:
            scores = class_scores(x[piece], single, whole[-1])
            lost, error = _errors(scores, y[piece], share[piece])
            loss += lost
            slope += x[piece].T @ error[:, -columns:].astype(x.dtype)
            lean += error[:, -columns:].sum(axis=0)
        return float(loss), np.vstack([way.T @ slope, lean]).ravel()

    return evaluate


def _errors(scores: np.ndarray, y: np.ndarray, share: np.ndarray) -> tuple[float, np.ndarray]:
    """Weighted loss of some samples, and its slope in their scores (which are overwritten)."""
    rows = np.arange(len(y))
    scores -= scores.max(axis=1, keepdims=True)
    own = scores[rows, y]
    np.exp(scores, out=scores)
    total = scores.sum(axis=1)
    lost = share @ (np.log(total) - own)
    scores *= (share / total)[:, None]
    scores[rows, y] -= share
    return lost, scores
