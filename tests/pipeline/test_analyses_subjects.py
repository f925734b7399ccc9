"""Sections of the report about subjects, regions of diseased animals, and models."""

import re

import pandas as pd
import pytest
from matplotlib.figure import Figure

from pipeline.analyses.report_abnormality import abnormality
from pipeline.analyses.report_cards import cards
from pipeline.analyses.report_data import ModelCard, SubjectValues
from pipeline.analyses.report_subjects import _Lines, draw_subjects, short_subjects, subjects


def values(models=("ours", "theirs"), n=4, seeds=2):
    rows = [
        {"model": model, "seed": seed, "subject": f"lab/m{s}", "chance": 0.25,
         "value": 0.5 + 0.05 * s + 0.1 * at + 0.01 * seed}
        for at, model in enumerate(models) for seed in range(seeds) for s in range(n)
    ]  # fmt: skip
    return SubjectValues("balanced_accuracy", "channel", pd.DataFrame(rows), list(models))


def words(markup):
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r'="data:[^"]*"', "", markup)).split())


def test_every_subject_is_drawn_through_all_models_and_p_stands_beside_the_smallest():
    section = subjects(values())
    said = words(section.body)
    assert "exact sign-flip test over subjects, two-sided" in said
    assert "theirs 0.100 4 2 0.125 0.125" in said  # difference, subjects, seeds, p, smallest p
    assert "p is not corrected for 1 comparison." in said
    assert re.search(r"ours 0\.580 0\.065 0\.007 \S+ 4 2", said)  # mean, SD of subjects, of seeds
    wide = values().rows.groupby(["model", "subject"])["value"].mean().unstack("subject")
    ax = Figure().add_subplot()
    draw_subjects(ax, _Lines(("ours", "theirs"), wide, wide, wide, 0.25), names_above=False)
    drawn = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata()) == 2]
    assert sorted(line.get_xdata()[0] for line in drawn) == pytest.approx(sorted(wide.loc["ours"]))


def test_one_subject_is_not_drawn_and_hostile_names_stay_text():
    assert subjects(values(n=1)) is None
    assert subjects(None) is None
    body = subjects(values(models=("<script>x</script>", "b"))).body
    assert "<script>" not in body
    assert "&lt;script&gt;" in body
    named = short_subjects(values().rows)
    assert set(named["subject"]) == {"m0", "m1", "m2", "m3"}


def test_a_region_shows_its_shares_the_range_of_permuted_animals_and_the_smallest_p():
    row = {"model": "m", "seed": 0, "low": None, "high": None, "n": 10, "n_groups": 4,
           "reason": None, "chance": None}  # fmt: skip
    rows = pd.DataFrame([
        row | {"metric": "abnormality_session", "detail": "CA1; diseased; s1", "value": 0.9},
        row | {"metric": "abnormality_session", "detail": "CA1; control; s2; x", "value": 0.2},
        row | {"metric": "abnormality", "detail": "CA1", "value": 0.9, "chance": 0.2},
        row | {"metric": "abnormality_difference", "detail": "CA1", "value": 0.7, "low": -0.7,
               "high": 0.71},
        row | {"metric": "abnormality_p", "detail": "CA1", "value": 0.5, "chance": 1 / 6,
               "reason": "two-sided, 6 of 6 ways"},
    ])  # fmt: skip
    said = words(abnormality(rows).body)
    minus = "\N{MINUS SIGN}"
    dash = "\N{EM DASH}"
    assert f"m CA1 0.900 {dash} 0.200 0.700 {minus}0.700 to 0.710 0.500 0.167 6 of 6 ways" in said
    assert "models are not fitted again" in said
    assert abnormality(rows.iloc[:0]) is None


def test_a_card_names_data_scores_and_every_training():
    score = {"which": "all folds", "level": "channel", "metric": "ece", "value": 0.1, "low": None,
             "high": None, "chance": None, "n": 5, "n_groups": 3, "detail": None,
             "score_reason": "no interval is made"}  # fmt: skip
    trainings = [
        {"fold": str(f), "seed": s, "training": f"t{f}{s}", "weights": "w", "best": 2,
         "seconds": 1.25}
        for f in range(2) for s in range(2)
    ]  # fmt: skip
    card = ModelCard(
        "lfp2vec (transductive)", "mouse 1 held out", [("licence", "Apache-2.0"), ("empty", "")],
        pd.DataFrame([{"role": "test", "subjects": 1, "sessions": 2, "windows": 3}]),
        pd.DataFrame([score, score | {"metric": "macro_f1", "value": None}]), pd.DataFrame(),
        pd.DataFrame(trainings), ["Transductive: it heard them."],
    )  # fmt: skip
    said = words(cards([card]).body)
    for text in ("lfp2vec (transductive)", "licence Apache-2.0", "mouse 1 held out", "test 1 2 3",
                 "all folds channel expected calibration error 0.100", "All 4 trainings",
                 "5 3 no interval is made", "No control was run", "t11",
                 "fieldbase export model t00 --to FOLDER", "Transductive: it heard"):  # fmt: skip
        assert text in said, text
    assert "empty" not in said
    assert "macro" not in said  # without a value there is nothing to say
    assert cards([]) is None
