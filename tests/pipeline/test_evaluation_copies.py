"""Channels that carry one signal are found, whatever their number, sign and gain."""

import numpy as np
import pytest

from pipeline.evaluation.copies import (
    Recorded,
    correlate_channels,
    independent_channels,
    signal_groups,
)


def recording(seed=0, windows=6, time=200):
    """Channels 0 and 1 one signal, 2 and 3 their own."""
    x = np.random.default_rng(seed).normal(size=(windows, time, 4)).astype(np.float32)
    x[:, :, 1] = -3 * x[:, :, 0] + 7
    return x


def test_correlations_are_those_of_the_windows_joined():
    x = recording()
    x[0, :, 3] = 1e6
    valid = np.ones((6, 4), bool)
    valid[0, 3] = False
    centred = x.astype(float) - x.mean(axis=1, keepdims=True, dtype=float)
    joined = centred.reshape(-1, 4)
    found = correlate_channels(x, valid)
    expected = np.corrcoef(joined[:, :3].T)
    np.testing.assert_allclose(found[:3, :3], expected, atol=1e-5)
    late = centred[1:].reshape(-1, 4)
    assert found[3, 2] == pytest.approx(np.corrcoef(late.T)[3, 2], abs=1e-5)


def test_a_pair_that_shares_no_window_and_a_silent_channel_have_no_correlation():
    x, valid = recording(), np.ones((6, 4), bool)
    valid[:3, 2], valid[3:, 3] = False, False
    x[:, :, 0] = 5
    found = correlate_channels(x, valid)
    assert np.isnan(found[2, 3])
    assert np.isnan(found[0]).all()


def test_copies_of_copies_are_one_signal():
    r = np.eye(4)
    r[0, 1] = r[1, 0] = 0.995
    r[1, 2] = r[2, 1] = -0.992
    r[2, 3] = r[3, 2] = np.nan
    groups = signal_groups(r)
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_a_region_on_two_copies_is_one_independent_channel():
    x = recording()
    r = correlate_channels(x, np.ones((6, 4), bool))
    regions = np.array(["RSC", "RSC", "SUB", None], dtype=object)
    other = Recorded("s2", "m2", np.array(["SUB"] * 4, dtype=object), np.eye(4))
    table = independent_channels([Recorded("s1", "m1", regions, r), other]).set_index("region")
    assert list(table.index) == ["SUB", "RSC"]
    assert table.loc["RSC", ["channels", "independent", "subjects"]].tolist() == [2, 1, 1]
    assert table.loc["SUB", ["channels", "independent", "subjects"]].tolist() == [5, 5, 2]
    assert table.loc["RSC", "largest_r"] == pytest.approx(1, abs=1e-5)


def test_without_labels_there_is_no_row():
    r = Recorded("s", "m", np.array([None, None], dtype=object), np.eye(2))
    assert independent_channels([r]).empty
