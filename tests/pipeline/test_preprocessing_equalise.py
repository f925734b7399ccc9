"""Spectral equalisation: what a laboratory did to all channels alike is undone."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import signal

from pipeline.preprocessing import (
    ArrayReader,
    LfpParams,
    WindowParams,
    cut_lfp_windows,
    preprocess_lfp,
)

RATE = 500.0
PLAIN = LfpParams(highpass_hz=1.0, lowpass_hz=None, bad_channels="given")
EQUAL = PLAIN.model_copy(update={"equalise_to_hz": 100.0, "equalise_resolution_hz": 1.0})
BAND = slice(2, 90)


def field(seconds=40.0, channels=9, seed=0):
    """Channels of three kinds: all fall with frequency, each kind has a rhythm of its own."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(round(seconds * RATE), channels))
    slow = signal.sosfilt(signal.butter(1, 3.0, fs=RATE, output="sos"), 40 * noise, axis=0)
    for channel in range(channels):
        hz = (15.0, 30.0, 60.0)[channel % 3]
        peak = signal.butter(2, (0.8 * hz, 1.2 * hz), "band", fs=RATE, output="sos")
        slow[:, channel] += 2 * signal.sosfilt(peak, noise[:, channel])
    return slow.astype(np.float32)


def elsewhere(data):
    """The same field as another laboratory's filter and gain would leave it."""
    other = signal.butter(2, 60.0, fs=RATE, output="sos")
    return (0.4 * signal.sosfiltfilt(other, data, axis=0)).astype(np.float32)


def run(data, params=EQUAL, **options):
    return np.concatenate(
        [b.data for b in preprocess_lfp(ArrayReader(data, RATE), params, **options)]
    )


def power(data):
    return signal.welch(data[1000:-1000], RATE, nperseg=500, axis=0)[1]


def differ(one, other):
    """Error in the band, relative to its size."""
    sos = signal.butter(4, (2, 90), "band", fs=RATE, output="sos")
    one, other = (signal.sosfiltfilt(sos, x, axis=0)[1000:-1000] for x in (one, other))
    return float((one - other).std() / one.std())


@pytest.mark.parametrize(
    ("reference", "resolution_hz"), [("none", 1.0), ("average", 1.0), ("average", 8.0)]
)
def test_a_known_filter_and_gain_leave_nothing_behind(reference, resolution_hz):
    here, there = field(), elsewhere(field())
    plain = PLAIN.model_copy(update={"reference": reference})
    equal = EQUAL.model_copy(
        update={"reference": reference, "equalise_resolution_hz": resolution_hz}
    )
    assert differ(run(here, plain), run(there, plain)) > 0.5
    assert differ(run(here, equal), run(there, equal)) < 0.03


def test_the_typical_spectrum_is_the_fixed_one_and_channels_keep_their_differences():
    data = field()
    before, after = power(run(data, PLAIN))[BAND], power(run(data))[BAND]
    wanted = 1e4 / np.maximum(np.arange(501), 2.0)[BAND] ** 2
    assert np.abs(10 * np.log10(np.median(after, axis=1) / wanted)).mean() < 0.5
    ratio = np.log10((after / after[:, :1]) / (before / before[:, :1]))
    assert np.abs(10 * ratio).mean() < 0.3  # dB, of gains that span 40
    assert np.abs(10 * np.log10(before / before[:, :1])).max() > 6


def test_what_lies_beyond_the_highest_frequency_is_damped():
    after = power(run(field()))
    assert (after[200] < 1e-4 * after[100]).all()


@pytest.mark.parametrize("block_s", [1.0, 7.3])
def test_the_result_does_not_depend_on_the_blocks(block_s):
    data = field(20.0)
    whole, parts = (run(data, EQUAL.model_copy(update={"block_s": s})) for s in (1000.0, block_s))
    assert np.abs(whole - parts).max() < 2e-3 * whole.std()


def test_windows_are_cut_from_the_same_signal():
    data = field(24.0)
    reader = ArrayReader(data, RATE)
    cut = cut_lfp_windows(reader, EQUAL, WindowParams(artifact_ratio=None))
    whole = run(data)
    assert np.abs(cut.data.reshape(-1, 9) - whole[: 24 * 500]).max() < 0.02 * whole.std()


def last_windows(data, **options):
    """The last three windows of a channel that nothing was done to."""
    reader = ArrayReader(data, RATE)
    return cut_lfp_windows(reader, EQUAL, WindowParams(), **options).data[-3:, :, 2].reshape(-1, 1)


def test_bad_channels_do_not_count():
    data, bad = field(42.0), np.arange(9) % 2 == 1
    loud = np.where(bad, 1000, 1) * data
    found = [last_windows(x.astype(np.float32), bad_channels=bad) for x in (data, loud)]
    assert differ(*found) < 0.01


def test_invalid_stretches_do_not_count():
    data = field(42.0)
    loud = data.copy()
    loud[: 27 * 500] *= 50
    found = [last_windows(x, invalid_intervals=[(0.0, 30.0)]) for x in (data, loud)]
    assert differ(*found) < 0.01


def test_channels_do_not_count_where_samples_are_missing():
    data = field(42.0)
    holed = data.copy()
    missing = np.flatnonzero(np.arange(27 * 500) % 500 < 350)
    holed[missing[:, None], [0, 1, 4, 5, 6, 7]] = np.nan
    assert differ(last_windows(data), last_windows(holed)) < 0.15


def test_a_long_recording_is_not_read_twice():
    class Long(ArrayReader):
        def __init__(self, seconds):
            super().__init__(field(10.0), RATE)
            self.n_samples = round(seconds * RATE)

        def read(self, start, stop):
            self.samples_read += stop - start
            return self.data[np.arange(start, stop) % len(self.data)]

    extra = []
    for seconds in (900.0, 3600.0):
        window = WindowParams(max_windows=20, placement="spread")
        counts = []
        for params in (PLAIN, EQUAL):
            reader = Long(seconds)
            cut_lfp_windows(reader, params, window)
            counts.append(reader.samples_read)
        extra.append(counts[1] - counts[0])
    assert extra[0] == extra[1] < 240 * RATE


def test_a_break_in_the_clock_is_not_read_across():
    data = field(30.0)
    times = np.arange(len(data)) / RATE + np.where(np.arange(len(data)) >= 7250, 60.0, 0.0)
    cut = cut_lfp_windows(
        ArrayReader(data, timestamps=times), EQUAL, WindowParams(artifact_ratio=None)
    )
    whole = cut_lfp_windows(ArrayReader(data, RATE), EQUAL, WindowParams(artifact_ratio=None))
    one, other = (found.data[0][500:1000] for found in (cut, whole))
    assert (one - other).std() < 0.15 * other.std()
    assert cut.valid[:4].all()


def test_without_a_good_channel_it_is_left_out_and_said():
    cut = cut_lfp_windows(
        ArrayReader(field(9.0), RATE), EQUAL, WindowParams(), bad_channels=np.ones(9, bool)
    )
    assert "equalisation left out: no stretch of a good channel to measure" in cut.notes


def test_a_slow_recording_is_equalised_as_far_as_it_goes_and_it_is_said():
    params = EQUAL.model_copy(update={"equalise_to_hz": 240.0, "target_rate_hz": None})
    cut = cut_lfp_windows(ArrayReader(field(9.0), RATE), params, WindowParams())
    assert cut.notes == ["equalised to 200 Hz only: sampling at 500 Hz holds no more"]


def test_beyond_the_low_pass_there_is_nothing_to_equalise():
    with pytest.raises(ValidationError, match="nothing to equalise up to 200 Hz"):
        LfpParams(lowpass_hz=100.0, equalise_to_hz=200.0)


def test_parameters_stored_before_keep_their_digest():
    before = "5238400b4bc8859ff2ad002ef3e3278906a20cf5ed051406fd06b583574d3e5b"
    assert LfpParams().digest == before
    assert LfpParams(equalise_to_hz=250.0).digest != LfpParams().digest
    assert LfpParams.from_json(EQUAL.to_json()) == EQUAL
