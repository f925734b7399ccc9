import numpy as np
import pytest
from scipy import signal

from pipeline.preprocessing import (
    ArrayReader,
    LfpParams,
    WindowParams,
    cut_lfp_windows,
    window_starts,
)
from pipeline.preprocessing.cutting import CODE

AS_IS = LfpParams(highpass_hz=None, lowpass_hz=None, target_rate_hz=None, bad_channels="given")


def noise(seconds, rate, channels, seed=0):
    shape = (round(seconds * rate), channels)
    return np.random.default_rng(seed).normal(0, 100, shape).astype(np.float32)


def test_windows_hold_the_samples_of_their_time():
    data = noise(20, 100.0, 3)
    cut = cut_lfp_windows(ArrayReader(data, 100.0, start_s=5.0), AS_IS, WindowParams(length_s=2.0))
    assert np.allclose(cut.start_s, 5 + 2 * np.arange(10))
    assert np.array_equal(cut.data.reshape(-1, 3), data)
    assert cut.valid.all()


def test_each_reason_for_rejection_is_stored_with_its_window_and_channel():
    data = noise(30, 200.0, 6)
    data[450, 1] = np.nan  # 2.25 s: window 0
    data[600:1200, 2] = 0  # 3 to 6 s: window 1
    data[1900:1905, 3] = 50_000  # 9.5 s: window 3
    bad = np.zeros(6, bool)
    bad[5] = True
    cut = cut_lfp_windows(
        ArrayReader(data, 200.0),
        AS_IS,
        WindowParams(),
        bad_channels=bad,
        invalid_intervals=[(13.0, 13.5), (18.0, 18.0001)],
    )
    want = np.zeros((10, 6), np.uint8)
    want[:, 5] = CODE["bad_channel"]
    want[[4, 6]] = CODE["invalid_interval"]
    want[0, 1], want[1, 2], want[3, 3] = CODE["nan"], CODE["zero"], CODE["artifact"]
    assert np.array_equal(cut.reasons, want)
    assert np.isfinite(cut.data).all()


def test_one_missing_sample_costs_one_window_after_filtering_too():
    data = noise(30, 500.0, 2)
    data[7000, 0] = np.nan
    params = LfpParams(bad_channels="given")
    cut = cut_lfp_windows(ArrayReader(data, 500.0), params, WindowParams())
    assert np.argwhere(~cut.valid).tolist() == [[4, 0]]
    whole = cut_lfp_windows(ArrayReader(noise(30, 500.0, 2), 500.0), params, WindowParams())
    assert np.abs(cut.data[6:] - whole.data[6:]).max() < 1


def test_a_window_that_spans_a_break_is_rejected_and_the_clock_goes_on_after_it():
    data = noise(20, 100.0, 2)
    timestamps = np.arange(2000) / 100.0
    timestamps[1050:] += 7.33
    cut = cut_lfp_windows(
        ArrayReader(data, timestamps=timestamps), AS_IS, WindowParams(length_s=1.0)
    )
    spans = cut.reasons == CODE["invalid_interval"]
    assert np.flatnonzero(spans.all(axis=1)).tolist() == list(range(10, 18))
    for w in np.flatnonzero(cut.valid.all(axis=1)):
        first = np.searchsorted(timestamps, cut.start_s[w] - 1e-9)
        assert np.array_equal(cut.data[w], data[first : first + 100])
        assert timestamps[first] == pytest.approx(cut.start_s[w], abs=1e-9)


def test_the_measured_rate_decides_how_many_samples_make_a_window():
    drifting = np.arange(30_000) / 1249.0
    cut = cut_lfp_windows(
        ArrayReader(noise(24, 1250.0, 1), timestamps=drifting), AS_IS, WindowParams()
    )
    assert cut.rate == pytest.approx(1249)
    assert cut.data.shape[1] == 3747


def test_only_the_windows_and_their_surroundings_are_read():
    reader = ArrayReader(noise(600, 250.0, 2), 250.0)
    params = LfpParams(bad_channels="given", lowpass_hz=100.0)
    cut = cut_lfp_windows(reader, params, WindowParams(start_s=300.0, max_windows=10))
    assert cut.start_s[0] == 300
    assert reader.samples_read < 60 * 250
    whole = cut_lfp_windows(reader, params, WindowParams())
    assert np.abs(whole.data[100:110] - cut.data).max() < 0.01 * cut.data.std()


def test_bad_channels_are_found_by_comparison_with_the_others():
    data = noise(60, 500.0, 12)
    data[:, 4] *= 1e-3
    data[:, 7] *= 20
    cut = cut_lfp_windows(ArrayReader(data, 500.0), LfpParams(), WindowParams())
    assert np.flatnonzero(cut.labels).tolist() == [4, 7]
    assert (cut.reasons[:, [4, 7]] == CODE["bad_channel"]).all()


def test_windows_after_the_chain_equal_scipy_on_the_whole_array():
    rate, data = 500.0, noise(60, 500.0, 3)
    cut = cut_lfp_windows(
        ArrayReader(data, rate), LfpParams(lowpass_hz=100.0, block_s=4.0), WindowParams()
    )
    sos = np.vstack(
        [
            signal.butter(3, 0.5, "highpass", fs=rate, output="sos"),
            signal.butter(3, 100, "lowpass", fs=rate, output="sos"),
        ]
    )
    oracle = signal.sosfiltfilt(sos, data.astype(float), axis=0)
    assert np.abs(cut.data.reshape(-1, 3) - oracle).max() < 2e-3 * oracle.std()


def test_a_recording_shorter_than_a_window_gives_none_and_says_so():
    cut = cut_lfp_windows(ArrayReader(noise(0.08, 1250.0, 4), 1250.0), LfpParams(), WindowParams())
    assert len(cut.start_s) == 0
    assert cut.data.shape == (0, 3750, 4)
    assert "spans 0 to 0.08 s" in cut.notes[-1]


@pytest.mark.parametrize("stride", [1.0, 3.0, 4.5])
@pytest.mark.parametrize("placement", ["consecutive", "spread"])
def test_starts_fit_between_the_limits(stride, placement):
    params = WindowParams(
        stride_s=stride, start_s=10.0, stop_s=70.0, max_windows=7, placement=placement
    )
    starts = window_starts(params, 0.0, 100.0)
    assert len(starts) == 7
    assert starts[0] == 10
    assert starts[-1] + 3 <= 70
    if placement == "spread":
        assert starts[-1] + 3 + stride > 70
    else:
        assert np.allclose(np.diff(starts), stride)


@pytest.mark.real
def test_a_rat_session_loses_no_channel_and_few_windows(real_data):
    from pipeline.nwb import open_lfp, read_summary

    path = real_data / "rodent_nwb" / "sub-CSR6_ses-20180320-sq8_ecephys.nwb"
    (series,) = read_summary(path).lfp
    with open_lfp(path, series.series) as lfp:
        cut = cut_lfp_windows(
            lfp, LfpParams(lowpass_hz=100.0), WindowParams(max_windows=40, placement="spread")
        )
        raw = lfp.read(0, 750)
    assert cut.rate == pytest.approx(lfp.rate)
    assert not cut.labels.any()
    assert cut.valid.mean() > 0.9
    assert np.corrcoef(raw[250:, 0], cut.data[0, 250:, 0])[0, 1] > 0.9
    assert "nothing is upsampled" in cut.notes[0]


@pytest.mark.real
def test_intracranial_recordings_skip_what_cannot_apply(real_data):
    from pipeline.nwb import open_lfp, read_summary

    counts = {}
    for name in ("BW001", "CH003", "CH012"):
        path = real_data / "ieeg_nwb" / f"sub-{name}_ses-supereeg_ieeg.nwb"
        (series,) = read_summary(path).lfp
        with open_lfp(path, series.series) as lfp:
            cut = cut_lfp_windows(lfp, LfpParams(lowpass_hz=100.0), WindowParams())
        counts[name] = cut.data.shape
        assert any("low-pass at 100 Hz left out" in n for n in cut.notes) == (name == "BW001")
        assert cut.valid.mean() > 0.8
    assert counts == {"BW001": (1, 600, 64), "CH003": (6, 768, 64), "CH012": (6, 768, 64)}


@pytest.mark.real
def test_bench_noise_at_2500_hz_is_destriped_and_decimated(real_data):
    pytest.importorskip("ibldsp.voltage")
    from pipeline.nwb import open_lfp, read_summary
    from pipeline.preprocessing import Geometry

    path = real_data / "nwb" / "sub-001_ses-1.nwb"
    summary = read_summary(path)
    (series,) = summary.lfp
    geometry = Geometry(
        np.array([c.rel_x for c in summary.channels]),
        np.array([c.rel_y for c in summary.channels]),
        np.zeros(384, int),
        1,
    )
    with open_lfp(path, series.series) as lfp:
        params = LfpParams(destripe="ibl", bad_channels="given")
        cut = cut_lfp_windows(lfp, params, WindowParams(), geometry=geometry)
    assert cut.data.shape == (1, 3750, 384)
    assert cut.rate == pytest.approx(1250, rel=1e-3)
    assert np.abs(np.median(cut.data[0], axis=1)).max() < 0.05 * cut.data.std()
