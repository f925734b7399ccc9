import numpy as np
import pytest

from pipeline.preprocessing.binning import bin_spikes, resample_behavior


@pytest.mark.parametrize("bin_s", [0.001, 0.02, 0.1])
def test_counts_equal_numpys_histogram(bin_s):
    rng = np.random.default_rng(0)
    times = [np.sort(rng.uniform(0, 60, n)) for n in (0, 50, 20_000)]
    starts = np.array([0.0, 3.1, 20.05, 55.0])
    counts = bin_spikes(times, starts, 3.0, bin_s)
    assert counts.dtype == np.uint16
    for w, start in enumerate(starts):
        edges = start + np.arange(round(3 / bin_s) + 1) * bin_s
        for u, spikes in enumerate(times):
            assert np.array_equal(counts[w, :, u], np.histogram(spikes, edges)[0])


def test_a_spike_on_an_edge_belongs_to_the_bin_it_opens():
    counts = bin_spikes([np.array([0.0, 0.5, 1.0])], np.array([0.0]), 1.0, 0.5)
    assert counts[0, :, 0].tolist() == [1, 1]


def test_a_window_that_is_no_whole_number_of_bins_is_refused():
    with pytest.raises(ValueError, match="no whole number of bins"):
        bin_spikes([], np.array([0.0]), 3.0, 0.7)


def test_fast_behavior_is_averaged_within_bins():
    times = np.arange(1000) / 100.0 + 0.005
    values = np.random.default_rng(1).normal(size=(1000, 2))
    out = resample_behavior(times, values, np.array([0.0, 5.0]), 5.0, 0.1)
    assert np.allclose(out, values.reshape(2, 50, 10, 2).mean(axis=2), atol=1e-5)


def test_slow_behavior_follows_the_line_between_its_samples():
    times = np.arange(0, 30, 0.5)
    values = np.stack([3 * times + 1, np.where(times == 10, np.nan, times)], axis=1)
    out = resample_behavior(times, values, np.array([6.0, 9.0]), 3.0, 0.02)
    centres = np.array([6.0, 9.0])[:, None] + np.arange(150) * 0.02 + 0.01
    assert np.allclose(out[..., 0], 3 * centres + 1, atol=1e-4)
    assert np.allclose(out[..., 1], centres, atol=1e-4)


def test_behavior_is_missing_where_nothing_was_recorded():
    times = np.concatenate([np.arange(0, 5, 0.5), np.arange(12, 20, 0.5)])
    out = resample_behavior(times, times[:, None], np.array([0.0]), 30.0, 0.1)[0, :, 0]
    centres = np.arange(300) * 0.1 + 0.05
    recorded = (centres < 4.5) | ((centres > 12) & (centres < 19.5))
    assert np.array_equal(np.isfinite(out), recorded)
