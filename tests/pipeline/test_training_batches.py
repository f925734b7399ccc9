"""Batches hold what the windows hold, whatever the order and the grain."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from model_worlds import context_of, world  # noqa: E402

from pipeline.training.batches import POSITION, iterate_batches, rows_of  # noqa: E402

SETS = [world("s1"), world("s2", seed=1, channels=4), world("s3", seed=2, rate=200.0)]
CONTEXT = context_of(SETS)
NEEDS = {"lfp", "features", "spikes"}


def all_batches(
    sets=SETS, *, grain="channel", seed=0, needs=NEEDS, batch_size=7, part=None, **options
):
    rows = rows_of(sets, grain=grain, classes=CONTEXT.classes, **options)
    rng = None if seed is None else np.random.default_rng(seed)
    return list(
        iterate_batches(
            sets, rows, context=CONTEXT, batch_size=batch_size, needs=needs, rng=rng, part=part
        )
    )


@pytest.mark.parametrize("seed", [None, 0])
def test_every_valid_pair_comes_once_with_its_own_signal_label_and_place(seed):
    seen = []
    for batch in all_batches(seed=seed):
        assert batch.channel_valid.all()
        for i in range(len(batch)):
            s, w, c = (int(v) for v in (batch.windowset[i], batch.window[i], batch.channel[i, 0]))
            seen.append((s, w, c))
            assert np.array_equal(batch.lfp[i, :, 0], SETS[s].lfp[w, :, c])
            assert np.array_equal(batch.features[i, 0], SETS[s].features[w, c])
            assert batch.session[i] == SETS[s].session
            assert batch.rate == SETS[s].rate
            assert CONTEXT.classes[batch.region[i, 0]] == SETS[s].channels["region"][c]
            assert (
                batch.position[i, 0, POSITION.index("depth_um")] == SETS[s].channels["depth_um"][c]
            )
    wanted = [(s, w, c) for s, x in enumerate(SETS) for w, c in np.argwhere(x.valid)]
    assert sorted(seen) == wanted
    assert (seen == wanted) == (seed is None)


@pytest.mark.parametrize("grain", ["channel", "window"])
def test_of_a_shared_batch_only_the_own_rows_are_read(grain):
    same = SETS[:2]
    for whole, shared in zip(
        all_batches(same, grain=grain),
        all_batches(same, grain=grain, part=lambda n: slice(n // 3, n)),
        strict=True,
    ):
        first, n = len(whole) // 3, len(whole)
        assert (len(shared), shared.first, len(shared.lfp)) == (n, first, n - first)
        assert torch.equal(shared.region, whole.region)
        for rows in (slice(first, n), slice(n - 1, n)):
            one, other = whole[rows], shared[rows]
            for name in ("lfp", "spikes", "features", "region", "window", "unit_valid"):
                assert torch.equal(getattr(one, name), getattr(other, name))
            assert other.first == 0


def test_the_seed_sets_the_order():
    a, b, c = (all_batches(seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(x.window, y.window) for x, y in zip(a, b, strict=True))
    assert any(
        len(x) != len(y) or not torch.equal(x.window, y.window) for x, y in zip(a, c, strict=False)
    )


def test_whole_windows_come_one_session_at_a_time_with_all_channels_and_units():
    sessions = set()
    for batch in all_batches(grain="window"):
        assert len(set(batch.session)) == 1
        s = int(batch.windowset[0])
        sessions.add(s)
        assert np.array_equal(batch.lfp, SETS[s].lfp[batch.window.numpy()])
        assert np.array_equal(batch.channel_valid, SETS[s].valid[batch.window.numpy()])
        assert np.array_equal(batch.spikes, SETS[s].spikes[batch.window.numpy()])
        assert [CONTEXT.unit_regions[r] for r in batch.unit_region[0]] == list(
            SETS[s].units["region"]
        )
    assert sessions == {0, 1, 2}


def test_only_labelled_channels_when_asked_and_at_most_so_many_windows_of_each():
    channels = SETS[0].channels.assign(region=["CA1", None, "elsewhere", "VISp", np.nan, "VISp"])
    one = replace(SETS[0], channels=channels)
    rows = rows_of([one], grain="channel", classes=CONTEXT.classes, labelled=True)
    assert set(rows.channel) == {0, 3, 5}
    few = rows_of([one], grain="channel", max_windows_per_channel=3, rng=np.random.default_rng(0))
    assert np.bincount(few.channel).tolist() == [3] * 6
    other = rows_of([one], grain="channel", max_windows_per_channel=3, rng=np.random.default_rng(1))
    assert few.window.tolist() != other.window.tolist()


def test_signals_on_disk_are_read_as_they_are(tmp_path):
    np.save(tmp_path / "lfp.npy", SETS[0].lfp)
    mapped = replace(SETS[0], lfp=np.load(tmp_path / "lfp.npy", mmap_mode="r"))
    for a, b in zip(all_batches([mapped]), all_batches(SETS[:1]), strict=True):
        assert torch.equal(a.lfp, b.lfp)


def test_windows_without_what_the_model_needs_are_refused_by_name():
    with pytest.raises(ValueError, match=r"windows of s1 have no \['behavior'\]"):
        all_batches(needs={"behavior"})


def test_part_of_a_batch_is_a_batch():
    batch = all_batches(seed=None)[0]
    part = batch[2:5]
    assert len(part) == 3
    assert torch.equal(part.lfp, batch.lfp[2:5])
    assert part.session == batch.session[2:5]
