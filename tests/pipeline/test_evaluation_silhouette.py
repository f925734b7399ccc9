import numpy as np
import pytest
from sklearn import metrics as peer

from pipeline.evaluation import SilhouetteParams, silhouette_samples, silhouette_scores, silhouettes
from pipeline.evaluation.distances import TILE


def clouds(seed, n=900, dim=12, k=5, spread=1.0, offset=0.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(k, size=n)
    points = rng.normal(size=(k, dim))[labels] + spread * rng.normal(size=(n, dim)) + offset
    return points, labels


@pytest.mark.parametrize(
    "case",
    [
        {"n": 2 * TILE + 7},
        {"n": 50, "k": 20},
        {"spread": 1e-3},
        {"spread": 1e-4, "k": 60, "n": 1300},
        {"offset": 1e3},
        {"dim": 1},
        {"k": 2, "spread": 20.0},
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_silhouettes_equal_scikit_learn(case, dtype):
    points, labels = clouds(0, **case)
    points = points.astype(dtype)
    theirs = peer.silhouette_samples(points.astype(np.float64), labels)
    assert np.abs(silhouette_samples(points, labels) - theirs).max() < 1e-5


def test_heavy_tails_and_copies_keep_five_digits():
    rng = np.random.default_rng(1)
    points = rng.standard_t(1.5, size=(400, 6))
    points = np.concatenate([points, points[:200], points[:100] + 1e-6])
    labels = rng.integers(3, size=len(points))
    theirs = peer.silhouette_samples(points, labels)
    assert np.abs(silhouette_samples(points, labels) - theirs).max() < 1e-5


def test_two_pairs_on_a_line_have_the_silhouette_worked_out_by_hand():
    points = np.array([[0.0], [1.0], [10.0], [11.0]])
    by_hand = [1 - 1 / 10.5, 1 - 1 / 9.5, 1 - 1 / 9.5, 1 - 1 / 10.5]
    assert silhouette_samples(points, list("aabb")) == pytest.approx(by_hand)


def test_a_sample_alone_in_its_cluster_scores_zero():
    assert silhouette_samples(np.array([[0.0], [1.0], [9.0]]), list("aab"))[2] == 0


def test_several_labelings_in_one_pass_equal_each_alone():
    points, labels = clouds(2)
    other = np.arange(len(points)) % 3
    both = silhouettes(points, {"region": labels, "session": other})
    assert np.allclose(both["region"], silhouette_samples(points, labels), atol=1e-6)
    assert np.allclose(both["session"], silhouette_samples(points, other), atol=1e-6)


def test_what_has_no_silhouette_is_refused_with_its_numbers():
    points, labels = clouds(3, n=20)
    with pytest.raises(ValueError, match="19 labels"):
        silhouette_samples(points, labels[:19])
    with pytest.raises(ValueError, match="has 1"):
        silhouette_samples(points, np.zeros(20))
    points[0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        silhouette_samples(points, labels)


def test_rows_hold_the_mean_its_clusters_and_a_chance_near_zero():
    points, labels = clouds(4, spread=0.3)
    subject = np.arange(len(points)) % 7
    rows = silhouette_scores(points, labels, subject)
    assert rows[0].value == pytest.approx(peer.silhouette_score(points, labels), abs=1e-6)
    assert rows[0].low < rows[0].value < rows[0].high
    assert -0.05 < rows[0].chance < 0  # shuffled labels lie on average a little behind the next
    assert [r.detail for r in rows[1:]] == ["0", "1", "2", "3", "4"]
    assert sum(r.n * r.value for r in rows[1:]) == pytest.approx(rows[0].n * rows[0].value)


def test_one_cluster_gives_a_reason_and_many_samples_are_drawn_from():
    points, labels = clouds(5)
    (row,) = silhouette_scores(points, np.zeros(len(points), int), labels)
    assert row.value is None
    assert "needs 2" in row.reason
    assert silhouette_scores(points, labels, labels, SilhouetteParams(max_rows=100))[0].n == 100
