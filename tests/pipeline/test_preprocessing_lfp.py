import sys
import tracemalloc

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import signal

from pipeline.preprocessing import ArrayReader, Geometry, LfpParams, preprocess_lfp
from pipeline.preprocessing.filtering import anti_alias_taps, decimation_factor


def run(reader, params, **options):
    return np.concatenate([block.data for block in preprocess_lfp(reader, params, **options)])


def wandering(seconds, rate, channels, seed=0):
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=(round(seconds * rate), channels)), axis=0)
    return (walk - walk.mean(axis=0)).astype(np.float32)


@pytest.mark.parametrize("block_s", [1.0, 7.3, 1000.0])
def test_the_chain_in_blocks_equals_scipy_on_the_whole_array(block_s):
    rate, data = 2500.0, wandering(30, 2500.0, 2)
    out = run(ArrayReader(data, rate), LfpParams(block_s=block_s))
    slow = signal.resample_poly(
        data.astype(float), 1, 2, axis=0, window=anti_alias_taps(2), padtype="edge"
    )
    sos = np.vstack(
        [
            signal.butter(3, 0.5, "highpass", fs=1250, output="sos"),
            signal.butter(3, 300, "lowpass", fs=1250, output="sos"),
        ]
    )
    oracle = signal.sosfiltfilt(sos, slow, axis=0)
    assert out.shape == oracle.shape
    assert np.abs(out - oracle).max() < 1e-3 * oracle.std()


def test_decimation_keeps_the_band_and_lets_nothing_fold_into_it():
    t = np.arange(20_000) / 20_000
    params = LfpParams(highpass_hz=None, lowpass_hz=None)
    for hz, gain in ((5, 1.0), (300, 1.0), (450, 1.0), (650, 0.0), (1240, 0.0), (5000, 0.0)):
        tone = np.sin(2 * np.pi * hz * t)[:, None].astype(np.float32)
        out = run(ArrayReader(tone, 20_000.0), params)[125:-125]
        assert np.sqrt(2) * out.std() == pytest.approx(gain, abs=2e-3), hz


def test_a_measured_rate_just_below_a_multiple_still_decimates():
    assert decimation_factor(2499.996, 1250.0) == 2
    assert decimation_factor(30_000.1, 1250.0) == 24
    assert decimation_factor(2400.0, 1250.0) == 1
    assert decimation_factor(200.0, 1250.0) == 1


def test_memory_does_not_grow_with_the_recording():
    class Endless(ArrayReader):
        def __init__(self, seconds):
            super().__init__(np.zeros((1, 8), np.float32), 20_000.0)
            self.n_samples = round(seconds * 20_000)

        def read(self, start, stop):
            self.largest_read = max(self.largest_read, stop - start)
            return np.ones((stop - start, 8), np.float32)

    peaks, reads = [], []
    for seconds in (6, 18):
        reader = Endless(seconds)
        tracemalloc.start()
        samples = sum(
            len(b.data) for b in preprocess_lfp(reader, LfpParams(highpass_hz=5.0, block_s=1.0))
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        reads.append(reader.largest_read)
        tracemalloc.stop()
        assert samples == seconds * 1250
    assert reads[0] == reads[1] <= 4_000_000 // 8 + 2000
    assert peaks[1] < 1.1 * peaks[0]


def test_steps_that_cannot_apply_are_left_out_and_named():
    from pipeline.preprocessing.lfp import Run, build_chain

    reader = ArrayReader(wandering(5, 200.0, 4), 200.0)
    params = LfpParams(lowpass_hz=100.0, destripe="ibl")
    chain = build_chain(Run(reader, 0, 1000), params, labels=np.zeros(4, np.uint8))
    assert chain.last.rate == 200
    notes = " | ".join(chain.notes)
    assert "low-pass at 100 Hz left out" in notes
    assert "destriping left out" in notes
    assert "nothing is upsampled" in notes


def test_a_break_in_the_clock_is_never_filtered_across():
    data = np.zeros((2000, 1), np.float32)
    data[1000:] = 1000.0
    timestamps = np.arange(2000) / 500.0
    timestamps[1000:] += 10
    blocks = list(preprocess_lfp(ArrayReader(data, timestamps=timestamps), LfpParams()))
    assert [b.start_s for b in blocks] == [0.0, 12.0]
    assert all(np.abs(b.data).max() < 1e-2 for b in blocks)


def test_a_shared_signal_vanishes_under_either_reference():
    shared = np.repeat(wandering(4, 500.0, 1), 5, axis=1)
    shared[:, 4] = 7e4 * np.random.default_rng(0).normal(size=2000)
    good = np.array([True] * 4 + [False])
    for reference in ("median", "average"):
        out = run(ArrayReader(shared, 500.0), LfpParams(reference=reference), good=good)
        assert np.abs(out[:, :4]).max() < 1e-3


def test_the_bipolar_reference_takes_the_next_site_of_the_same_shank():
    data = wandering(2, 500.0, 6)
    geometry = Geometry(
        np.zeros(6), np.array([0.0, 40, 20, 0, 20, 40]), np.array([0, 0, 0, 1, 1, 1])
    )
    params = LfpParams(reference="bipolar", highpass_hz=None, lowpass_hz=None)
    out = run(ArrayReader(data, 500.0), params, geometry=geometry)
    assert np.array_equal(out, data - data[:, [2, 2, 1, 4, 5, 4]])


def neuropixels(seconds=4, seed=0):
    rng = np.random.default_rng(seed)
    channels = np.arange(384)
    geometry = Geometry(
        np.tile([43.0, 11, 59, 27], 96), 20.0 * (channels // 2), np.zeros(384, int), 1
    )
    local = wandering(seconds, 2500.0, 24, seed).repeat(16, axis=1)
    stripe = 200 * rng.normal(size=(len(local), 1)).astype(np.float32)
    return geometry, local, (local + stripe).astype(np.float32)


def test_destriping_is_the_librarys_and_does_not_depend_on_the_cut():
    ibl = pytest.importorskip("ibldsp.voltage")
    geometry, _, striped = neuropixels()
    params = LfpParams(destripe="ibl", target_rate_hz=None, block_s=2.0)
    out = run(ArrayReader(striped, 2500.0), params, geometry=geometry)
    h = {"x": geometry.x_um, "y": geometry.y_um, "shank": np.zeros(384)}
    h["sample_shift"] = __import__("neuropixel").trace_header(version=1)["sample_shift"]
    whole = ibl.destripe_lfp(striped.T * 1e-6, 2500.0, h=h, channel_labels=np.zeros(384))
    inside = slice(500, -500)
    error = out[inside] - whole.T[inside] * 1e6
    assert np.abs(error).max() < 2e-3 * out.std()


def test_without_the_package_destriping_names_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ibldsp", None)
    monkeypatch.setitem(sys.modules, "ibldsp.voltage", None)
    geometry, _, striped = neuropixels(1)
    with pytest.raises(ModuleNotFoundError, match='pip install "ibl-neuropixel>=1.11"'):
        run(ArrayReader(striped, 2500.0), LfpParams(destripe="ibl"), geometry=geometry)


def test_bands_that_make_no_sense_are_refused():
    with pytest.raises(ValidationError, match="not below"):
        LfpParams(highpass_hz=100.0, lowpass_hz=10.0)
    with pytest.raises(ValidationError, match="give highpass_hz"):
        LfpParams(destripe="ibl", highpass_hz=None)
