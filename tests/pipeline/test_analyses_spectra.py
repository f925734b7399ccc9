"""Spectra, band power and phase along depth, on signals with a known answer."""

import numpy as np
import pandas as pd
import pytest
from scipy import signal

from pipeline.analyses.spectra import (
    SpectraParams,
    band_power,
    band_powers,
    phase_profile,
    power_spectra,
)

RATE = 625.0
PARAMS = SpectraParams()


def noise(n_windows=4, n_channels=6, seconds=3.0, seed=0):
    shape = (n_windows, int(seconds * RATE), n_channels)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def all_valid(lfp):
    return np.ones((lfp.shape[0], lfp.shape[2]), bool)


def theta_lfp(flip_at=8, n_channels=16, **noise_options):
    """8 Hz of 100 µV that turns over at a channel, in noise of 1 µV."""
    lfp = noise(n_channels=n_channels, **noise_options)
    time = np.arange(lfp.shape[1]) / RATE
    sign = np.where(np.arange(n_channels) < flip_at, 1, -1)
    return lfp + (100 * np.sin(2 * np.pi * 8 * time)[:, None] * sign).astype(np.float32)


def on_one_shank(n, spacing=20.0):
    return pd.DataFrame({"probe": "A", "depth_um": np.arange(n) * spacing})


def test_power_is_scipys_welch_averaged_over_windows():
    lfp = noise()
    spectra = power_spectra(lfp, RATE, all_valid(lfp), PARAMS)
    joined = [signal.welch(w[:, 2].astype(float), RATE, nperseg=625, noverlap=312) for w in lfp]
    assert spectra.freqs == pytest.approx(joined[0][0])
    assert spectra.power[2] == pytest.approx(np.mean([p for _, p in joined], axis=0), rel=1e-4)


def test_power_does_not_depend_on_how_windows_are_blocked(monkeypatch):
    lfp = noise()
    whole = power_spectra(lfp, RATE, all_valid(lfp), PARAMS).power
    monkeypatch.setattr("pipeline.analyses.spectra.BLOCK_BYTES", 1)
    assert power_spectra(lfp, RATE, all_valid(lfp), PARAMS).power == pytest.approx(whole)


def test_rejected_windows_do_not_count():
    lfp, valid = noise(), np.ones((4, 6), bool)
    lfp[1, :, 0], valid[1, 0] = np.nan, False
    valid[:, 3] = False
    spectra = power_spectra(lfp, RATE, valid, PARAMS)
    clean = power_spectra(lfp[[0, 2, 3]], RATE, valid[[0, 2, 3]], PARAMS)
    assert spectra.power[0] == pytest.approx(clean.power[0])
    assert np.isnan(spectra.power[3]).all()
    assert spectra.n_windows.tolist() == [3, 4, 4, 0, 4, 4]


def test_a_sine_carries_half_its_squared_amplitude_into_its_band():
    lfp = theta_lfp()
    spectra = power_spectra(lfp, RATE, all_valid(lfp), PARAMS)
    assert band_power(spectra, (6.0, 11.0)) == pytest.approx(100**2 / 2, rel=0.01)
    assert (band_power(spectra, (15.0, 30.0)) < 1).all()


def test_a_band_beyond_the_spectrum_is_undefined_not_zero():
    lfp = noise()
    slow = power_spectra(lfp, 200.0, all_valid(lfp), PARAMS)
    powers = band_powers(slow, PARAMS)
    assert powers["ripple"].isna().all()
    assert powers["theta"].notna().all()


def test_theta_that_turns_over_is_found_where_it_does():
    lfp = theta_lfp(flip_at=8)
    profile = phase_profile(lfp, RATE, all_valid(lfp), on_one_shank(16), PARAMS)
    assert profile.theta_hz == 8.0
    assert (profile.coherence > 0.99).all()
    apart = np.abs(np.degrees(np.angle(np.exp(1j * (profile.phase[:8] - profile.phase[8:])))))
    assert apart == pytest.approx(180, abs=2)
    assert len(profile.reversals) == 1
    assert profile.reversals["depth_um"][0] == pytest.approx(150, abs=2)
    assert (profile.reversals["below"][0], profile.reversals["above"][0]) == (7, 8)


def test_the_phase_is_that_of_scipys_cross_spectrum():
    lfp = theta_lfp(seed=3)
    lfp[..., 5] = np.roll(lfp[..., 5], 9, axis=1)
    profile = phase_profile(lfp, RATE, all_valid(lfp), on_one_shank(16), PARAMS)
    anchor = lfp[..., profile.reference].T
    freqs, cross = signal.csd(anchor, lfp[..., 5].T, RATE, nperseg=625, noverlap=312, axis=0)
    expected = np.angle(cross.mean(axis=1)[freqs == 8.0][0])
    assert profile.phase[5] == pytest.approx(expected, abs=0.01)


def test_in_phase_theta_and_plain_noise_have_no_reversal():
    same = theta_lfp(flip_at=0)
    profile = phase_profile(same, RATE, all_valid(same), on_one_shank(16), PARAMS)
    assert profile.reversals.empty
    lfp = noise(n_windows=20)
    profile = phase_profile(lfp, RATE, all_valid(lfp), on_one_shank(6), PARAMS)
    assert profile.reversals.empty


def test_shanks_are_read_apart_and_the_order_in_a_file_is_not_taken_for_depth():
    lfp = theta_lfp(flip_at=8)
    channels = pd.DataFrame({"shank": [0] * 8 + [1] * 8, "depth_um": np.arange(16) * 20.0})
    profile = phase_profile(lfp, RATE, all_valid(lfp), channels, PARAMS)
    assert profile.reversals.empty
    channels = pd.DataFrame({"shank": 0, "depth_um": np.full(16, np.nan)})
    assert phase_profile(lfp, RATE, all_valid(lfp), channels, PARAMS).reversals.empty


def test_without_a_valid_window_there_is_no_profile():
    lfp = noise()
    valid = np.zeros((4, 6), bool)
    assert phase_profile(lfp, RATE, valid, on_one_shank(6), PARAMS) is None


@pytest.mark.parametrize("seconds", [3, 60])
def test_noise_has_no_phase_reversal_however_short_the_recording(seconds):
    rng = np.random.default_rng(seconds)
    rate = 500.0
    lfp = rng.normal(size=(seconds // 3, int(3 * rate), 96)).astype(np.float32)
    channels = pd.DataFrame({"depth_um": np.arange(96) * 20.0})
    valid = np.ones((len(lfp), 96), bool)
    found = phase_profile(lfp, rate, valid, channels, SpectraParams())
    assert len(found.reversals) == 0
    assert (found.coherence > 0).sum() <= 2  # the reference, and one in a thousand
