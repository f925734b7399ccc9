"""How hard the synthetic laboratory is, with scikit-learn as judge.

Over seeds 0 to 7: spectrum 0.70 (0.46 to 0.86), position 0.41, another lab 0.43, another lab up to
100 Hz 0.50; chance 0.25.
"""

import numpy as np
import pytest
from scipy import signal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.preprocessing import ArrayReader, LfpParams, WindowParams, cut_lfp_windows
from pipeline.synthetic import LabParams, simulate_session

EDGES_HZ = (1, 4, 8, 12, 30, 60, 100, 200, 500)
HARMONISED = 6
"""Bands up to 100 Hz."""


def samples(layout, seed):
    """Log band power, position, region and subject of every kept window of a small lab."""
    params = LabParams(layout=layout, channels=32, duration_s=24.0, units=0, seed=seed)
    parts = []
    for subject in range(4):
        made = simulate_session(params, subject)
        (probe,) = made.probes
        reader = ArrayReader(probe.lfp, made.rate, start_s=float(made.times[0]))
        cut = cut_lfp_windows(reader, LfpParams(), WindowParams(), bad_channels=probe.bad)
        region = np.array(probe.track.acronyms)
        window, channel = np.nonzero(cut.valid & np.isin(region, ["VISp", "CA1", "CA3", "DG"]))
        freqs, density = signal.welch(cut.data, cut.rate, nperseg=512, axis=1)
        bands = [
            density[:, (freqs >= a) & (freqs < b)].sum(axis=1)
            for a, b in zip(EDGES_HZ[:-1], EDGES_HZ[1:], strict=True)
        ]
        track = probe.track
        where = np.stack([track.from_tip_um, track.x, track.y, track.z], axis=1) / 1000
        parts.append(
            (
                np.log10(np.stack(bands, axis=-1) + 1e-9)[window, channel],
                where[channel],
                region[channel],
                np.full(len(window), subject),
            )
        )
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def judge():
    return make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=300, class_weight="balanced")
    )


def within(x, y, subject):
    predicted = cross_val_predict(judge(), x, y, groups=subject, cv=LeaveOneGroupOut())
    return balanced_accuracy_score(y, predicted)


def across(one, other, n):
    model = judge().fit(one[0][:, :n], one[2])
    return balanced_accuracy_score(other[2], model.predict(other[0][:, :n]))


def told_apart(one, other):
    """Area under the curve of a line between two laboratories, on subjects it has not seen."""
    x = np.concatenate([one[0], other[0]])
    lab = np.repeat([0, 1], [len(one[0]), len(other[0])])
    subject = np.concatenate([one[3], other[3]])
    found = []
    for left_out in np.unique(subject):
        test = subject == left_out
        score = judge().fit(x[~test], lab[~test]).decision_function(x[test])
        found.append(roc_auc_score(lab[test], score))
    return np.mean(found)


@pytest.mark.slow
def test_spectra_tell_regions_positions_do_not_and_another_lab_is_harder(capsys):
    scores = {"spectrum": [], "position": [], "another lab": [], "another lab to 100 Hz": [],
              "which lab": []}  # fmt: skip
    for seed in (2, 5):
        labs = {name: samples(name, seed) for name in ("allen", "ibl")}
        for power, where, region, subject in labs.values():
            scores["spectrum"].append(within(power, region, subject))
            scores["position"].append(within(where, region, subject))
        scores["which lab"].append(told_apart(labs["allen"], labs["ibl"]))
        for a, b in (("allen", "ibl"), ("ibl", "allen")):
            scores["another lab"].append(across(labs[a], labs[b], None))
            scores["another lab to 100 Hz"].append(across(labs[a], labs[b], HARMONISED))
    with capsys.disabled():
        for name, found in scores.items():
            print(f"\n  {name}: {np.round(found, 2)} (chance 0.25)", end="")
    mean = {name: np.mean(found) for name, found in scores.items()}
    assert 0.6 < mean["spectrum"] < 0.9
    assert mean["position"] < mean["spectrum"] - 0.15
    assert mean["another lab"] < mean["another lab to 100 Hz"] < mean["spectrum"]
    assert mean["another lab"] < mean["spectrum"] - 0.2
    assert min(scores["which lab"]) >= 0.95
