from math import comb

import numpy as np
import pytest
from scipy import stats

from pipeline.evaluation import (
    ProbeParams,
    linear_probe,
    permuted_labels,
    permuted_units,
    phase_randomise,
    phase_randomise_windows,
    swap_control,
)


def test_permuting_keeps_the_labels_of_every_group_and_the_gaps():
    rng = np.random.default_rng(0)
    labels = rng.choice(["a", "b", None], 300)
    groups = rng.choice(list("xyz"), 300)
    shuffled = permuted_labels(labels, groups, np.random.default_rng(1))
    for group in "xyz":
        mine = groups == group
        assert sorted(map(str, labels[mine])) == sorted(map(str, shuffled[mine]))
    assert [x is None for x in labels] == [x is None for x in shuffled]
    assert (labels != shuffled).any()


def pooled(features, labels, groups):
    """Balanced accuracy of a probe over all held-out groups, three at a time."""
    params = ProbeParams(draws=1, max_folds=4)
    scores = linear_probe(features, labels, groups, params).scores
    return next(r for r in scores if (r.metric, r.level) == ("balanced_accuracy", "pooled")).value


def test_the_interval_over_permutations_holds_chance_and_no_permutation_reaches_the_real_labels():
    rng, names = np.random.default_rng(0), np.array(["CA1", "DG", "VIS"])
    labels, groups = rng.choice(names, 360, p=[0.5, 0.3, 0.2]), np.arange(360) % 12
    features = rng.normal(size=(360, 3)) + 1.2 * (labels[:, None] == names)
    null = [pooled(features, permuted_labels(labels, groups, rng), groups) for _ in range(12)]
    half = stats.t.ppf(0.975, 11) * np.std(null, ddof=1) / 12**0.5
    assert abs(np.mean(null) - 1 / 3) < half < 0.06
    assert pooled(features, labels, groups) > max(null) + 0.1


def test_permuting_units_gives_all_windows_of_a_channel_one_label():
    session, channel = np.repeat(["s", "t"], 60), np.tile(np.repeat(np.arange(6), 10), 2)
    labels = np.where(channel < 2, "CA1", "DG")
    shuffled = permuted_units(labels, session, channel, np.random.default_rng(2))
    for s in "st":
        counts = [set(shuffled[(session == s) & (channel == c)]) for c in range(6)]
        assert all(len(c) == 1 for c in counts)
        assert sum(c == {"CA1"} for c in counts) == 2


@pytest.mark.parametrize("n", [500, 501])
@pytest.mark.parametrize("shared", [True, False])
def test_random_phases_keep_the_amplitude_spectrum(n, shared):
    rng = np.random.default_rng(3)
    signal = np.cumsum(rng.normal(size=(n, 3)), axis=0)
    surrogate = phase_randomise(signal, rng, shared=shared)
    before, after = (np.abs(np.fft.rfft(x, axis=0)) for x in (signal, surrogate))
    assert np.allclose(before, after, rtol=1e-6, atol=1e-6 * before.max())
    assert np.abs(np.corrcoef(signal.T, surrogate.T)[0, 3]) < 0.99


def test_shared_phases_keep_the_correlation_of_channels_and_own_phases_lose_it():
    rng = np.random.default_rng(4)
    wave = rng.normal(size=(4000, 1))
    signal = np.concatenate([wave, wave + 0.1 * rng.normal(size=(4000, 1))], axis=1)
    kept = np.corrcoef(phase_randomise(signal, rng).T)[0, 1]
    lost = np.corrcoef(phase_randomise(signal, rng, shared=False).T)[0, 1]
    assert kept == pytest.approx(np.corrcoef(signal.T)[0, 1], abs=1e-9)
    assert abs(lost) < 0.2


def test_windows_get_phases_of_their_own_and_stay_single_precision():
    windows = np.tile(np.random.default_rng(5).normal(size=(1, 64, 2)), (3, 1, 1)).astype("f4")
    surrogate = phase_randomise_windows(windows, np.random.default_rng(6))
    assert surrogate.dtype == np.float32
    assert not np.allclose(surrogate[0], surrogate[1])


def six_channels():
    channels = np.repeat(list("abcdef"), 4)
    return channels, np.where(np.isin(channels, ["e", "f"]), "RSC", "SUB")


def test_every_pair_of_the_other_class_is_called_by_the_name_once():
    channels, labels = six_channels()
    seen = []

    def score(relabelled):
        seen.append({c for c, x in zip(channels, relabelled, strict=True) if x == "RSC"})
        assert all(x is None for c, x in zip(channels, relabelled, strict=True)
                   if c in "ef") or seen[-1] == {"e", "f"}  # fmt: skip
        return 0.5

    control = swap_control(labels, channels, score, carrier="RSC", pool="SUB")
    pairs = [set(c) for c in control.chosen]
    assert control.possible == len(pairs) == comb(4, 2)
    assert seen.count({"e", "f"}) == 1
    assert {frozenset(p) for p in pairs} == {frozenset(s) for s in seen} - {frozenset("ef")}
    assert control.at_least == 1.0


def test_sets_can_be_kept_inside_one_tetrode_and_drawn_at_random():
    channels, labels = six_channels()
    place = np.repeat([0, 0, 1, 1, 2, 2], 4)
    control = swap_control(labels, channels, lambda _: 0.1, carrier="RSC", pool="SUB", within=place)
    assert {frozenset(c) for c in control.chosen} == {frozenset("ab"), frozenset("cd")}
    few = swap_control(labels, channels, lambda _: 0.1, carrier="RSC", pool="SUB", max_draws=3)
    assert len(set(few.chosen)) == 3
    assert few.possible == 6


def test_fewer_channels_can_carry_the_name_where_the_real_ones_are_copies():
    channels, labels = six_channels()
    alone = swap_control(labels, channels, lambda _: 0.1, carrier="RSC", pool="SUB", size=1)
    assert sorted(alone.chosen) == [("a",), ("b",), ("c",), ("d",)]
    assert alone.possible == 4


def test_a_score_that_reads_the_wire_is_found_out_and_one_that_reads_the_region_is_not():
    channels, labels = six_channels()
    rng = np.random.default_rng(7)
    region = np.where(labels == "RSC", 3.0, 0.0) + rng.normal(size=len(labels))

    def contrast(relabelled):
        named = np.array([x == "RSC" for x in relabelled])
        rest = np.array([x == "SUB" for x in relabelled])
        return float(region[named].mean() - region[rest].mean())

    honest = swap_control(labels, channels, contrast, carrier="RSC", pool="SUB")
    assert honest.at_least == 0
    wire = swap_control(labels, channels, lambda _: 1.0, carrier="RSC", pool="SUB")
    assert wire.at_least == 1
    median, share = wire.rows()
    assert (median.value, median.n, share.value) == (1.0, 6, 1.0)
    assert "SUB called RSC" in median.detail


def test_a_class_too_large_to_be_stood_in_for_gives_a_reason():
    channels, labels = six_channels()
    control = swap_control(labels, channels, lambda _: 0.5, carrier="SUB", pool="RSC")
    assert all(row.value is None and "stand in" in row.reason for row in control.rows())
    with pytest.raises(ValueError, match="CA1"):
        swap_control(labels, channels, lambda _: 0.5, carrier="CA1", pool="SUB")
    labels[0] = "RSC"
    with pytest.raises(ValueError, match="channel a has labels"):
        swap_control(labels, channels, lambda _: 0.5, carrier="RSC", pool="SUB")
