import numpy as np
import pytest
from scipy import signal

from pipeline.synthetic import LabParams, simulate_session
from pipeline.synthetic.laboratories import HARDWARE, response
from pipeline.synthetic.regions import CA1, DG, LP, OUTSIDE, REGIONS, VISP
from pipeline.synthetic.signals import draw_brain, draw_rhythm, simulate_lfp
from pipeline.synthetic.track import Track, theta_profile

SPACING_UM = 40.0


def plain_track(regions):
    """A probe through equal stretches of regions, the last one at the surface."""
    each = 12
    names = [region for region in regions for _ in range(each)]
    within = np.tile(np.linspace(1, 0, each), len(regions))
    place = SPACING_UM * np.arange(len(names))
    return Track(tuple(names), place, within, place, place, place)


@pytest.fixture(scope="module")
def recorded():
    rng = np.random.default_rng(0)
    track, rate = plain_track((LP, DG, CA1, VISP, OUTSIDE)), HARDWARE["allen"].rate
    brain = draw_brain(rng, list(REGIONS), 0.0)
    rhythm = draw_rhythm(rng, np.full(60_000, 20.0), brain, rate)
    return track, rate, simulate_lfp(rng, track, brain, rhythm, HARDWARE["allen"])


@pytest.fixture(scope="module")
def spectra(recorded):
    track, rate, lfp = recorded
    return track, *signal.welch(lfp, rate, nperseg=2048, axis=0)


def power(spectra, region, low, high):
    track, freqs, density = spectra
    mine = np.array([r is region for r in track.regions])
    return density[(freqs >= low) & (freqs < high)][:, mine].mean()


def test_theta_turns_over_across_ca1_and_stays_turned_below(recorded):
    track, rate, lfp = recorded
    sos = signal.butter(3, [6, 9], "bandpass", fs=rate, output="sos")
    theta = signal.hilbert(signal.sosfiltfilt(sos, lfp[:, 12:36], axis=0), axis=0)
    top = theta[:, -1:]  # stratum oriens
    phase = np.abs(np.angle((theta * top.conj()).mean(axis=0)))
    assert np.degrees(phase[:12]).min() > 140  # dentate gyrus
    assert np.degrees(phase[-4:]).max() < 30  # oriens
    amplitude = np.abs(theta).mean(axis=0)[12:]
    assert amplitude.argmin() not in (0, 11)
    _, turned = theta_profile(track.regions, track.within)
    assert np.all(np.diff(turned[24:36]) <= 0)


def test_each_region_shows_its_own_rhythm(spectra):
    ripple = {r: power(spectra, r, 120, 180) / power(spectra, r, 200, 260) for r in (CA1, DG, LP)}
    assert ripple[CA1] > 1.2 * max(ripple[DG], ripple[LP])
    gamma = {r: power(spectra, r, 75, 95) / power(spectra, r, 120, 180) for r in (CA1, DG, LP)}
    assert gamma[DG] > 1.5 * max(gamma[CA1], gamma[LP])
    spindle = {r: power(spectra, r, 11, 13) / power(spectra, r, 3, 5) for r in (VISP, LP)}
    assert spindle[LP] > 2 * spindle[VISP]
    assert power(spectra, OUTSIDE, 1, 100) < 0.2 * power(spectra, LP, 1, 100)


def test_neighbouring_channels_share_more_than_distant_ones(recorded):
    _, _, lfp = recorded
    correlation = np.corrcoef(lfp[:, 36:48].T)
    near, far = np.diag(correlation, 1).mean(), np.diag(correlation, 10).mean()
    assert near > 0.7
    assert near > far + 0.3


def test_gamma_is_nested_in_theta(recorded):
    _, rate, lfp = recorded
    bands = {}
    for name, band in (("theta", [6, 9]), ("gamma", [55, 90])):
        sos = signal.butter(3, band, "bandpass", fs=rate, output="sos")
        bands[name] = signal.hilbert(signal.sosfiltfilt(sos, lfp[:, 18]))
    envelope = np.abs(bands["gamma"])
    phase = np.angle(bands["theta"])
    mean = np.array(
        [
            envelope[np.digitize(phase, np.linspace(-np.pi, np.pi, 9)) == b].mean()
            for b in range(1, 9)
        ]
    )
    assert mean.max() > 1.15 * mean.min()


@pytest.mark.parametrize(("hz", "ratio"), [(100, 1.0), (200, 3.3), (300, 33.0), (500, 768.0)])
def test_allen_holds_more_high_frequencies_than_ibl_by_the_published_factors(hz, ratio):
    freqs = np.array([50.0, float(hz)])
    power = {lab: response(HARDWARE[lab], freqs) ** 2 for lab in ("allen", "ibl")}
    relative = power["allen"] / power["ibl"]
    assert relative[1] / relative[0] == pytest.approx(ratio, rel=1e-3)


def test_the_same_parameters_make_the_same_session_and_another_subject_another():
    params = LabParams(channels=8, duration_s=6.0, units=4)
    first, again = simulate_session(params, 0), simulate_session(params, 0)
    assert np.array_equal(first.probes[0].lfp, again.probes[0].lfp)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(first.probes[0].spikes, again.probes[0].spikes, strict=True)
    )
    other = simulate_session(params, 1)
    assert not np.array_equal(first.probes[0].lfp[:100], other.probes[0].lfp[:100])


def test_flaws_are_where_the_session_says_they_are():
    params = LabParams(channels=16, duration_s=30.0, bad_channels=2, artifacts=2)
    made = simulate_session(params, 0)
    (probe,) = made.probes
    assert probe.bad.sum() == 2
    jumps = np.diff(probe.lfp, axis=0).std(axis=0)
    usual = np.median(jumps[~probe.bad])
    spoilt = jumps[probe.bad]
    assert (spoilt < 0.5 * usual).any()
    assert (spoilt > 5 * usual).any()
    (marked,) = made.invalid
    inside = (made.times >= marked[0]) & (made.times < marked[1])
    largest = np.abs(probe.lfp[inside][:, ~probe.bad]).max(axis=0)
    assert (largest > 2000).all()


def test_units_fire_at_their_phase_of_theta():
    made = simulate_session(LabParams(channels=24, duration_s=60.0, units=40), 2)
    (probe,) = made.probes
    regions = np.array(probe.units["region"])
    rng = np.random.default_rng(0)
    lfp = probe.lfp[:, probe.track.acronyms.index("CA1")]
    sos = signal.butter(3, [5, 10], "bandpass", fs=made.rate, output="sos")
    phase = np.exp(1j * np.angle(signal.hilbert(signal.sosfiltfilt(sos, lfp))))
    locked = {}
    for name in ("CA1", "LP"):
        times = np.concatenate(
            [s for s, r in zip(probe.spikes, regions, strict=True) if r == name and len(s)]
        )
        at = np.searchsorted(made.times, times).clip(0, len(phase) - 1)
        locked[name] = abs(phase[at].mean())
    chance = abs(phase[rng.integers(0, len(phase), 2000)].mean())
    assert locked["CA1"] > 0.2 > chance
    assert locked["CA1"] > 2 * locked["LP"]
