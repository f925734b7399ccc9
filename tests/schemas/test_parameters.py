"""A name in the database never changes its meaning, and equal requests are one row."""

import pytest


@pytest.fixture
def bins(tables):
    """Register bin parameters under a name of this test; gone after it."""
    from pipeline.preprocessing import BinParams
    from schemas import windows

    made = []

    def register(name, **values):
        made.append(windows.BinParamSet.register(name, BinParams(**values)))
        return made[-1]

    yield register
    (windows.BinParamSet & made).delete()


def test_equal_values_return_the_row_that_is_there_whatever_they_are_called(bins):
    first = bins("eleven", bin_s=0.011)
    assert bins("another name", bin_s=0.011) == first == {"bin_params": "eleven"}
    assert bins(None, bin_s=0.011) == first


def test_a_name_taken_by_other_values_is_refused_and_the_change_is_named(bins):
    bins("twelve", bin_s=0.012)
    with pytest.raises(
        ValueError, match=r"'twelve' is already .*'bin_s': \(0\.012, 0\.013\)"
    ) as told:
        bins("twelve", bin_s=0.013)
    assert "max_gap_s" not in str(told.value)
    assert "new name" in str(told.value)


def test_without_a_name_the_digest_serves(bins):
    from schemas import windows

    key = bins(None, bin_s=0.014)
    row = (windows.BinParamSet & key).fetch1()
    assert row["bin_params"] == row["bin_params_digest"][:12]
    assert row["bin_s"] == 0.014


def test_parameters_come_back_equal(bins):
    from pipeline.preprocessing import BinParams
    from schemas import windows

    key = bins("fifteen", bin_s=0.015, max_gap_s=2.5)
    found = windows.BinParamSet.get(key)
    assert found == BinParams(bin_s=0.015, max_gap_s=2.5)
    assert found.digest == (windows.BinParamSet & key).fetch1("bin_params_digest")


@pytest.mark.parametrize("name", ["Ä µ 🧠", "'; DROP TABLE x; --", 'say "no"', "{}", "µ" * 64])
def test_a_row_is_found_by_whatever_name_it_was_given(bins, name):
    from schemas import windows

    key = bins(name, bin_s=0.016)
    assert len(windows.BinParamSet & key) == 1
    assert len(windows.BinParamSet & {"bin_params": name}) == 1


@pytest.mark.parametrize("name", ["50 %", "a\\b", "two\nlines", " padded", "x" * 65])
def test_a_name_that_restrictions_would_not_find_again_is_refused(bins, name):
    from schemas import windows

    with pytest.raises(ValueError, match="is no name for a row of BinParamSet: take 1 to 64"):
        bins(name, bin_s=0.016)
    assert not windows.BinParamSet & {"bin_s": 0.016}


def test_the_same_request_is_one_row_and_an_other_seed_another(lab, tables):
    from schemas import training

    row = training.TrainingTask().to_dicts(limit=1)[0]
    before = len(training.TrainingTask())
    content = {name: row[name] for name in ("split", "fold", "model", "fit_params")}
    one = training.TrainingTask.ensure(**content, seed=31)
    assert training.TrainingTask.ensure(**content, seed=31) == one
    two = training.TrainingTask.ensure(**content, seed=32)
    child = training.TrainingTask.ensure(**content, seed=31, parents={"init": two["training"]})
    assert len({one["training"], two["training"], child["training"]}) == 3
    assert len(training.TrainingTask()) == before + 3
    (training.TrainingTask & [one, child]).delete()
    (training.TrainingTask & two).delete()


def test_a_request_whose_inputs_fail_leaves_nothing_behind(lab, tables):
    from schemas import analysis

    row = analysis.EvaluationTask().to_dicts(limit=1)[0]
    row.pop("evaluation")
    before = len(analysis.EvaluationTask())
    nowhere = [{"prediction": "0" * 64, "input_split": row["eval_split"], "input_fold": 0}]
    with pytest.raises(Exception, match="(?i)foreign key"):
        analysis.EvaluationTask.ensure(inputs=nowhere, **row)
    assert len(analysis.EvaluationTask()) == before
