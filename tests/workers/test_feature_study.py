"""Real features and real spikes through every table, against figures computed without them."""

import tomllib
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

STUDIES = Path(__file__).parents[2] / "studies"
FEATURES = ["lfp_power", "theta_power"]

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def laboratories(tables, real_data):
    """The IBL study, each lab's rows as one session so that it is quick."""
    values = tomllib.loads((STUDIES / "ibl_features_by_lab.toml").read_text())
    values["study"]["name"] = "labs"
    values["data"]["mapping"] |= {"subject": "lab", "session": "lab", "probe": "pid"}
    values["analyses"] |= {"silhouettes": [], "controls": []}
    return run(values, tables)


@pytest.fixture(scope="module")
def rats(tables, real_data):
    """The spike study, of three rats and two epochs."""
    values = tomllib.loads((STUDIES / "rat_units_mtm.toml").read_text())
    values["study"]["name"] = "rats"
    folder = "../../shared/data/rodent_nwb"
    values["data"]["recordings"] = [f"{folder}/sub-{rat}_*.nwb" for rat in ("T179", "T196", "T209")]
    values["split"] |= {"k": 3}
    values["model"][0]["stages"][0] |= {"epochs": 2}
    values["analyses"] = {}
    return run(values, tables)


def run(values, tables):
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    spec = StudySpec.model_validate(values)
    assert not run_study(spec, base=STUDIES).failed
    return spec, tables.scores(values["study"]["name"])


@pytest.fixture(scope="module")
def reference(real_data):
    """Truth, held-out answer and lab of each row, by scikit-learn alone."""
    table = pd.read_parquet(real_data / "features" / "ibl_reproducible_lfp_power.parquet")
    table = table.dropna(subset=FEATURES).reset_index(drop=True)
    said = pd.Series(index=table.index, dtype=object)
    for train, test in LeaveOneGroupOut().split(table, groups=table["lab"]):
        model = make_pipeline(
            StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
        )
        model.fit(table.loc[train, FEATURES], table.loc[train, "region"])
        said[test] = model.predict(table.loc[test, FEATURES])
    return table["region"], said, table["lab"]


def pooled_scores(scores, name):
    """Rows of one table over all folds, of raw answers, by metric."""
    mine = scores["fold"].isna() & (scores["table"] == name) & (scores["level"] != "post-processed")
    return scores[mine].set_index("metric")


@pytest.mark.parametrize("name", ["LinearProbe", "Evaluation"])
def test_region_in_a_lab_never_seen_is_what_scikit_learn_finds(laboratories, reference, name):
    truth, said, labs = reference
    scores, pooled = laboratories[1], pooled_scores(laboratories[1], name)
    row = pooled.loc["balanced_accuracy"]
    assert row["value"] == pytest.approx(balanced_accuracy_score(truth, said), abs=1e-9)
    assert pooled.loc["accuracy", "value"] == pytest.approx((truth == said).mean(), abs=1e-9)
    assert round(row["value"], 2) == 0.70
    assert (row["n"], row["chance"]) == (322, 0.2)
    fold = scores[(scores["fold"] == 0) & (scores["metric"] == "accuracy")]
    first = labs == sorted(set(labs))[0]
    assert set(fold["n"]) == {first.sum()}
    assert fold["value"].to_numpy() == pytest.approx((truth == said)[first].mean(), abs=1e-9)


@pytest.mark.parametrize("name", ["LinearProbe", "Evaluation"])
def test_its_interval_draws_whole_labs(laboratories, reference, name):
    truth, said, labs = reference
    pooled = pooled_scores(laboratories[1], name)
    row = pooled.loc["balanced_accuracy"]
    assert row["reason"] == "interval over 11 labs"
    rng, rows = np.random.default_rng(1), {lab: np.flatnonzero(labs == lab) for lab in set(labs)}
    drawn = []
    for _ in range(1000):
        index = np.concatenate([rows[lab] for lab in rng.choice(sorted(rows), len(rows))])
        recalls = (said[index] == truth[index]).groupby(truth[index].to_numpy()).mean()
        drawn.append(recalls.mean())
    assert [row["low"], row["high"]] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.01)


def test_the_report_of_a_feature_study_shows_what_there_is_and_no_more(laboratories):
    from workers.study.report import report_data

    data = report_data(*laboratories)
    assert data.headline.value == pytest.approx(0.703, abs=5e-4)
    assert "11 labs" in data.headline.interval
    assert not data.insertions
    assert data.curves.empty
    assert [note for note in data.notes if "123 of 445 rows" in note] == [data.notes[0]]


def held_out(tables, recording):
    """Training, stored log-rates, and counts taken from the file alone: one of each per fold."""
    prediction, windows = tables.prediction, tables.windows
    asked = prediction.Prediction * prediction.PredictionTask * windows.WindowsTask
    pairs = []
    for row in (asked & f"session like '%{recording.stem.split('_')[0][4:]}%'").to_dicts():
        if row["output"] != "rates":
            continue
        starts = (windows.Windows & {"windows": row["windows"]}).fetch1("window_start_s").load()
        with h5py.File(recording) as file:
            ends, times = file["units/spike_times_index"][:], file["units/spike_times"][:]
        trains = np.split(times, ends[:-1])
        edges = starts[row["window_index"].load(), None] + np.arange(41) * 0.05
        counts = [np.diff(np.searchsorted(train, edges), axis=1) for train in trains]
        pairs.append((row["training"], row["outputs"].load(), np.stack(counts, axis=2)))
    return pairs


def test_bits_per_spike_are_those_of_scipy_on_counts_from_the_files(rats, tables, real_data):
    spec, scores = rats
    wanted = {row["training"] for row in trainings(spec)}
    gain, spikes, units = 0.0, 0, []
    for name in ("T179", "T196", "T209"):
        recording = next((real_data / "rodent_nwb").glob(f"sub-{name}_*.nwb"))
        pairs = [pair[1:] for pair in held_out(tables, recording) if pair[0] in wanted]
        assert len(pairs) == 3
        log_rates, counts = (np.concatenate(part) for part in zip(*pairs, strict=True))
        null = np.broadcast_to(counts.mean(axis=(0, 1)), counts.shape)
        model = poisson.logpmf(counts, np.exp(log_rates.astype(float)))
        each = (model - poisson.logpmf(counts, null)).sum(axis=(0, 1)) / np.log(2)
        total = counts.sum(axis=(0, 1))
        gain, spikes = gain + each.sum(), spikes + total.sum()
        units += list(each[total > 0] / total[total > 0])
    pooled = scores[scores["fold"].isna()].set_index("metric")
    assert pooled.loc["co_bps", "value"] == pytest.approx(gain / spikes, abs=1e-6)
    assert pooled.loc["co_bps_unit_mean", "value"] == pytest.approx(np.mean(units), abs=1e-6)
    assert set(pooled["n"]) == {len(units)}
    assert set(pooled["chance"]) == {0.0}
    assert pooled.loc["co_bps_train_null", "value"] > pooled.loc["co_bps", "value"]


def trainings(spec):
    from workers.study.models import final_trainings

    return final_trainings(spec)


def test_a_spike_study_leads_its_report_with_bits_per_spike(rats):
    from workers.study.report import report_data

    data = report_data(*rats)
    assert (data.headline.metric, data.headline.counted) == ("co_bps", "units")
    assert data.headline.low < data.headline.value < data.headline.high
    assert not data.insertions
    assert not data.confusions
    assert len(data.curves) == 3 * 2
