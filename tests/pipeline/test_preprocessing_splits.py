import numpy as np
import pandas as pd
import pytest

from pipeline.preprocessing.splits import (
    ROLES,
    Assignment,
    SplitParams,
    assign_split,
    select_windows,
)


def members(rng, labs=3, subjects=4, sessions=2, probes=2):
    rows = []
    for lab in range(labs):
        for subject in range(int(rng.integers(2, subjects + 1))):
            for session in range(int(rng.integers(1, sessions + 1))):
                for _ in range(int(rng.integers(1, probes + 1))):
                    start = rng.uniform(0, 50)
                    rows.append(
                        {
                            "windows": f"{len(rows):064d}",
                            "session": f"l{lab}s{subject}x{session}",
                            "subject": f"l{lab}s{subject}",
                            "lab": f"lab{lab}",
                            "n_windows": 40,
                            "t_start": start,
                            "t_stop": start + 120,
                        }
                    )
    return pd.DataFrame(rows).sample(frac=1, random_state=int(rng.integers(1000)))


def subjects_of(fold, table, *roles):
    subject = table.set_index("windows")["subject"]
    return {subject[a.windows] for a in fold.of(*roles)}


@pytest.mark.parametrize("by", ["subject", "lab"])
@pytest.mark.parametrize("folds", ["leave-one-out", "k-fold"])
@pytest.mark.parametrize("seed", range(5))
def test_no_subject_is_on_two_sides_and_every_recording_is_tested_once(by, folds, seed):
    table = members(np.random.default_rng(seed))
    split = assign_split(table, SplitParams(by=by, folds=folds, k=2, seed=seed))
    tested = [a.windows for fold in split for a in fold.of("test")]
    assert sorted(tested) == sorted(table["windows"])
    for fold in split:
        sides = [subjects_of(fold, table, role) for role in ("train", "validation", "test")]
        assert all(sides)
        assert not (sides[0] & sides[1])
        assert not (sides[0] & sides[2])
        assert not (sides[1] & sides[2])
        assert subjects_of(fold, table, "pretrain") == sides[0]
        assert not fold.transductive
        assert {a.role for a in fold.assignments} <= set(ROLES)


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does():
    table = members(np.random.default_rng(1))
    params = SplitParams()
    assert assign_split(table, params) == assign_split(table.iloc[::-1], params)
    others = [assign_split(table, SplitParams(seed=s)) for s in range(5)]
    assert any(o != assign_split(table, params) for o in others)


def test_sessions_of_one_subject_are_refused_unless_named():
    table = members(np.random.default_rng(0), labs=1, sessions=3)
    table["subject"] = "only"
    with pytest.raises(ValueError, match="subject only is in train"):
        assign_split(table, SplitParams(by="session", validation=0))
    split = assign_split(table, SplitParams(by="session", validation=0, allow_shared_subject=True))
    assert all(fold.name.startswith("within-subject") for fold in split)
    assert all(fold.transductive for fold in split)


def test_pretraining_on_all_makes_the_fold_transductive():
    table = members(np.random.default_rng(2))
    assert all(f.transductive for f in assign_split(table, SplitParams(pretrain="all")))
    none = assign_split(table, SplitParams(pretrain="none"))
    assert not any(f.transductive or f.of("pretrain") for f in none)


@pytest.mark.parametrize("k", [4, 6])
@pytest.mark.parametrize("validation", [0, 1, 2])
def test_time_blocks_keep_their_gap_and_cover_the_recording(k, validation):
    table = members(np.random.default_rng(3)).head(3)
    params = SplitParams(by="time", k=k, validation=validation, gap_s=4, pretrain="none")
    starts = {
        row.windows: np.arange(row.t_start, row.t_stop - 1, 1.0) for row in table.itertuples()
    }
    tested = {w: np.zeros(len(s), int) for w, s in starts.items()}
    for fold in assign_split(table, params):
        assert fold.name.startswith("within-subject")
        for w, s in starts.items():
            role = np.full(len(s), "", dtype=object)
            for a in (a for a in fold.assignments if a.windows == w):
                mask = select_windows(s, 1.0, a)
                assert not role[mask].any()
                role[mask] = a.role
                tested[w] += mask & (a.role == "test")
            used = np.flatnonzero(role)
            changes = used[1:][role[used[1:]] != role[used[:-1]]]
            before = used[:-1][role[used[1:]] != role[used[:-1]]]
            assert np.all(s[changes] - (s[before] + 1) >= 4 - 1e-9)
    assert all((count <= 1).all() and count.mean() > 0.6 for count in tested.values())


def test_support_windows_come_first_and_are_not_tested():
    table = members(np.random.default_rng(4))
    for fold in assign_split(table, SplitParams(support_windows=5, gap_s=3)):
        assert not fold.transductive
        for support in fold.of("support"):
            row = table.set_index("windows").loc[support.windows]
            (test,) = [a for a in fold.of("test") if a.windows == support.windows]
            starts = row.t_start + 3.0 * np.arange(40)
            assert select_windows(starts, 3.0, support).sum() == 5
            assert select_windows(starts, 3.0, test).sum() == 34
            assert not (
                select_windows(starts, 3.0, support) & select_windows(starts, 3.0, test)
            ).any()


def test_a_support_session_takes_its_subject_out_of_the_test():
    table = members(np.random.default_rng(5))
    for fold in assign_split(table, SplitParams(by="lab", support_sessions=1)):
        support = subjects_of(fold, table, "support")
        assert len(support) == 1
        assert not support & subjects_of(fold, table, "test", "train", "validation")


def test_fixed_folds_train_on_one_lab_and_test_on_another():
    table = members(np.random.default_rng(6))
    params = SplitParams(by="lab", folds="fixed", train=("lab0",), test=("lab2",), validation=0)
    (fold,) = assign_split(table, params)
    lab = table.set_index("windows")["lab"]
    assert {lab[a.windows] for a in fold.of("train")} == {"lab0"}
    assert {lab[a.windows] for a in fold.of("test")} == {"lab2"}
    with pytest.raises(ValueError, match="no lab named"):
        assign_split(table, SplitParams(by="lab", folds="fixed", test=("nowhere",)))


def test_a_group_may_be_held_out_by_the_last_part_of_its_name_unless_two_have_it():
    table = members(np.random.default_rng(6))
    params = SplitParams(by="subject", folds="fixed", test=("1",), validation=0)
    names = dict(zip(sorted(table["subject"].unique()), ["a/1", "a/2", "b/2"], strict=False))
    table = table.assign(subject=table["subject"].map(lambda name: names.get(name, name)))
    (fold,) = assign_split(table, params)
    assert subjects_of(fold, table, "test") == {"a/1"}
    with pytest.raises(ValueError, match=r"no subject named \['2'\]"):
        assign_split(table, params.model_copy(update={"test": ("2",)}))


def test_a_fold_without_training_says_what_took_it():
    table = members(np.random.default_rng(7), labs=1, subjects=2).iloc[:, :]
    with pytest.raises(ValueError, match="validation takes 1"):
        assign_split(table, SplitParams(validation=1))
    share = assign_split(table, SplitParams(validation=0, validation_share=0.25))
    for fold in share:
        for a in fold.of("validation"):
            (train,) = [b for b in fold.of("train") if b.windows == a.windows]
            assert a.start_s - train.stop_s == pytest.approx(10)


def test_a_limit_takes_the_first_windows():
    starts = np.arange(10.0)
    mask = select_windows(
        starts, 1.0, Assignment("w", "train", start_s=2.0, stop_s=8.0, max_windows=3)
    )
    assert list(starts[mask]) == [2, 3, 4]


@pytest.mark.parametrize("seed", range(4))
def test_subjects_set_aside_to_pretrain_do_nothing_else_and_are_the_same_in_every_fold(seed):
    table = members(np.random.default_rng(seed))
    params = SplitParams(pretrain="disjoint", pretrain_subjects=2, seed=seed)
    split = assign_split(table, params)
    aside = [subjects_of(fold, table, "pretrain") for fold in split]
    assert all(one == aside[0] and len(one) == 2 for one in aside)
    for fold in split:
        assert not aside[0] & subjects_of(fold, table, "train", "validation", "test", "calibrate")
        assert not fold.transductive
    tested = set().union(*(subjects_of(fold, table, "test") for fold in split))
    assert tested == set(table["subject"]) - aside[0]
    assert SplitParams().digest != params.digest
    with pytest.raises(ValueError, match="ask for fewer"):
        assign_split(table, SplitParams(pretrain="disjoint", pretrain_subjects=99))


def test_a_species_is_held_out_where_its_column_is_there():
    table = members(np.random.default_rng(0))
    with pytest.raises(ValueError, match="species"):
        assign_split(table, SplitParams(by="species"))
    table["species"] = np.where(table["lab"] == "lab0", "Macaca mulatta", "Mus musculus")
    params = SplitParams(by="species", folds="fixed", test=("Macaca mulatta",))
    (fold,) = assign_split(table, params)
    assert subjects_of(fold, table, "test") == set(table.loc[table["lab"] == "lab0", "subject"])
    assert "Macaca mulatta held out" in fold.name


def test_insertions_are_held_out_one_by_one_only_where_mice_may_be_shared():
    table = members(np.random.default_rng(3), labs=1, subjects=3, probes=3)
    table["insertion"] = table["session"] + "/" + table["windows"].str[-2:]
    shared = table["subject"].duplicated(keep=False)
    assert shared.any()
    with pytest.raises(ValueError, match="subject .* is in .* and in "):
        assign_split(table, SplitParams(by="insertion", validation=0))
    params = SplitParams(by="insertion", validation=2, allow_shared_subject=True)
    folds = assign_split(table, params)
    assert len(folds) == len(table)
    within = set(table.loc[shared, "windows"])
    for fold in folds:
        (tested,) = fold.of("test")
        assert len(fold.of("validation")) == 2
        assert len(fold.of("train")) == len(table) - 3
        together = subjects_of(fold, table, "test") & subjects_of(fold, table, "train")
        assert fold.transductive == bool(together)
        assert not together or fold.name.startswith("within-subject: insertion ")
        assert not together or tested.windows in within
