"""Distance of a recording to the training domain."""

import json

import numpy as np
import pytest

from pipeline.analyses.domain import (
    DomainParams,
    DomainReference,
    Recording,
    check_domain,
    learn_domain,
)
from pipeline.analyses.spectra import Spectra

FREQS = np.arange(0, 313.0)
PARAMS = DomainParams()
TRAINED = Recording(1250.0, (0.5, 300.0), "median", "Neuropixels 1.0", "Mus musculus")


def spectra(n_channels=30, *, exponent=1.5, gain_db=0.0, seed=0, freqs=FREQS):
    rng = np.random.default_rng(seed)
    level = -10 * exponent * np.log10(np.maximum(freqs, 0.5)) + gain_db
    power = 10 ** ((level + rng.normal(0, 1, (n_channels, len(freqs)))) / 10)
    return Spectra(freqs, power, np.full(n_channels, 10))


@pytest.fixture(scope="module")
def reference():
    return learn_domain([spectra(seed=s) for s in range(5)], [TRAINED] * 5, PARAMS)


def test_a_recording_like_training_raises_no_warning(reference):
    check = check_domain(spectra(seed=9), TRAINED, reference, PARAMS)
    assert check.warnings == []
    assert 0.2 < check.quantile < 0.8


def test_a_gain_of_six_decibel_is_measured_as_about_that(reference):
    check = check_domain(spectra(seed=9, gain_db=6.0), TRAINED, reference, PARAMS)
    assert check.distance == pytest.approx(6, abs=0.5)
    assert check.quantile == 1.0
    assert "farther than 100%" in check.warnings[0]


def test_one_strange_channel_is_seen_on_its_own(reference):
    mixed = spectra(seed=9)
    mixed.power[3] *= 100
    check = check_domain(mixed, TRAINED, reference, PARAMS)
    assert check.warnings == []
    assert check.channel_quantile[3] == 1.0
    assert check.channel_distance.argmax() == 3


def test_every_difference_in_recording_is_one_sentence(reference):
    other = Recording(2500.0, (0.5, 100.0), "none", "Neuropixels 1.0", None)
    check = check_domain(spectra(seed=9), other, reference, PARAMS)
    assert check.warnings == [
        "reference: none here, median in training",
        "sampling rate (Hz): 2500 here, 1250 in training",
        "band (Hz): 0.5 to 100 here, 0.5 to 300 in training",
    ]


def test_a_spectrum_that_ends_too_early_is_said_to_be_incomparable(reference):
    check = check_domain(spectra(freqs=np.arange(0, 81.0)), TRAINED, reference, PARAMS)
    assert np.isnan(check.distance)
    assert "could not be compared" in check.warnings[0]


def test_a_reference_survives_json(reference):
    back = DomainReference.from_json(json.loads(json.dumps(reference.to_json())))
    check = check_domain(spectra(seed=9), TRAINED, back, PARAMS)
    same = check_domain(spectra(seed=9), TRAINED, reference, PARAMS)
    assert check.distance == pytest.approx(same.distance, abs=0.02)
    assert back.recordings == reference.recordings


def test_a_single_recording_still_makes_a_reference():
    alone = learn_domain([spectra()], [TRAINED], PARAMS)
    assert np.isfinite(alone.distances).all()
    assert (alone.distances > 0).all()


def test_silent_training_is_refused():
    silent = Spectra(FREQS, np.zeros((3, len(FREQS))), np.zeros(3, int))
    with pytest.raises(ValueError, match="no training channel has power from 2 to 100 Hz"):
        learn_domain([silent], [TRAINED], PARAMS)
