import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipeline.evaluation import ProbeParams, linear_probe, probes
from pipeline.evaluation.softmax import class_scores, fit_softmax


def samples(seed, n=600, dim=12, classes=3):
    """Correlated features of unequal spread, standardised; unequal classes that overlap."""
    rng = np.random.default_rng(seed)
    y = rng.choice(classes, n, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    x = rng.normal(size=(n, dim)) @ rng.normal(size=(dim, dim)) + rng.normal(size=(classes, dim))[y]
    return (x - x.mean(0)) / x.std(0), y


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("c", [0.01, 1.0])
def test_coefficients_equal_those_of_scikit_learn(classes, balanced, c):
    x, y = samples(classes, classes=classes)
    weight = "balanced" if balanced else None
    peer = LogisticRegression(C=c, class_weight=weight, max_iter=5000, tol=1e-9).fit(x, y)
    coef, intercept = fit_softmax(x, y, classes, c=c, balanced=balanced)
    assert np.allclose(coef.T, peer.coef_, atol=1e-4)
    assert np.allclose(intercept, peer.intercept_, atol=1e-4)
    assert (class_scores(x, coef, intercept).argmax(axis=1) == peer.predict(x)).all()


def test_more_features_than_samples_and_a_constant_one_are_no_trouble():
    x, y = samples(7, n=40, dim=60)
    x[:, 3] = 0
    peer = LogisticRegression(max_iter=5000, tol=1e-9).fit(x, y)
    coef, intercept = fit_softmax(x, y, 3)
    assert np.allclose(coef.T, peer.coef_, atol=1e-4)


def test_single_precision_names_the_same_classes_as_double(monkeypatch):
    x, y = samples(8, n=3000, dim=40, classes=4)
    x = (50 + 30 * x).astype(np.float32)
    groups = np.arange(len(y)) % 3
    params = ProbeParams(draws=20)
    exact = linear_probe(x, y.astype(str), groups, params).predicted
    monkeypatch.setattr(probes, "SMALL", 0)
    single = linear_probe(x, y.astype(str), groups, params).predicted
    assert (exact == single).mean() > 0.999


def test_steps_that_do_not_suffice_are_said():
    x, y = samples(9)
    with pytest.warns(RuntimeWarning, match="did not settle in 2 steps"):
        fit_softmax(x, y, 3, max_iterations=2)


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="needs 2 classes"):
        fit_softmax(np.zeros((3, 2)), np.zeros(3, int), 1)
