"""Predicted regions stand in a copy that is as good NWB as the original, and in a CSV."""

import sys
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from nwbinspector import Importance, inspect_nwbfile
from pynwb import NWBHDF5IO

sys.path.insert(0, str(Path(__file__).parent))
from nwb_files import WRITERS, new_file, save  # noqa: E402

from pipeline.nwb import ReadError, read_summary, write_regions, write_regions_csv  # noqa: E402

REAL = [
    "nwb/buzsaki_DT9_20170428_stub.nwb",
    "nwb/sub-anm369963_ses-20170228.nwb",
    "nwb/sub-4_ses-4_ecephys+image.nwb",
    "ieeg_nwb/sub-CH003_ses-supereeg_ieeg.nwb",
]


def complaints(path):
    return Counter(
        (m.check_function_name, m.location, m.message)
        for m in inspect_nwbfile(nwbfile_path=str(path))
        if m.importance.value >= Importance.BEST_PRACTICE_VIOLATION.value
    )


@pytest.mark.parametrize("layout", ["generic", "allen", "ibl_legacy"])
def test_the_copy_gains_columns_and_no_complaint(tmp_path, layout):
    made = WRITERS[layout](tmp_path / "in.nwb")
    before = made.path.read_bytes()
    regions = {made.ids[0]: ("CA1", 0.75), made.ids[2]: ("DG", 0.5), 12345: ("VISp", 1.0)}
    out = write_regions(made.path, tmp_path / "out.nwb", regions, model="tiny", watermark="SYNTH")
    with NWBHDF5IO(str(out), "r") as io:
        table = io.read().electrodes.to_dataframe()
    region, confidence = table.predicted_region, table.predicted_region_confidence
    assert region.loc[[made.ids[0], made.ids[2], made.ids[1]]].tolist() == ["CA1", "DG", "unknown"]
    assert confidence.loc[made.ids[0]] == 0.75
    assert np.isnan(confidence.loc[made.ids[1]])
    assert not complaints(out) - complaints(made.path)
    assert made.path.read_bytes() == before


def test_model_and_watermark_stand_in_the_description(tmp_path):
    made = WRITERS["generic"](tmp_path / "in.nwb")
    out = write_regions(made.path, tmp_path / "out.nwb", {}, model="tiny-7", watermark="SYNTHETIC")
    with h5py.File(out) as file:
        column = file["general/extracellular_ephys/electrodes/predicted_region"]
        assert "tiny-7" in column.attrs["description"]
        assert "SYNTHETIC" in column.attrs["description"]


def test_a_prediction_written_back_is_no_label_when_read_again(tmp_path):
    made = WRITERS["generic"](tmp_path / "in.nwb")
    out = write_regions(made.path, tmp_path / "out.nwb", {0: ("VISp", 0.9)}, model="m")
    assert read_summary(out).channels == read_summary(made.path).channels


def test_writing_twice_replaces_the_columns(tmp_path):
    made = WRITERS["generic"](tmp_path / "in.nwb")
    once = write_regions(made.path, tmp_path / "1.nwb", {0: ("VISp", 0.9)}, model="m")
    twice = write_regions(once, tmp_path / "2.nwb", {0: ("CA1", 0.8)}, model="m")
    with NWBHDF5IO(str(twice), "r") as io:
        table = io.read().electrodes
        assert table.colnames.count("predicted_region") == 1
        assert table["predicted_region"][0] == "CA1"


def test_nothing_is_overwritten_and_nothing_half_written_stays(tmp_path):
    made = WRITERS["generic"](tmp_path / "in.nwb")
    with pytest.raises(FileExistsError, match="is there already"):
        write_regions(made.path, made.path, {}, model="m")
    bare = save(new_file(), tmp_path / "bare.nwb")
    with pytest.raises(ReadError, match="no electrode table"):
        write_regions(bare, tmp_path / "out.nwb", {}, model="m")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bare.nwb", "in.nwb"]


def test_the_csv_has_one_row_per_column_of_the_data_in_order(tmp_path):
    made = WRITERS["allen"](tmp_path / "in.nwb")
    lfp = read_summary(made.path).lfp
    regions = {made.ids[3]: ("DG", 0.25), made.ids[0]: ("VISp", 0.5)}
    path = write_regions_csv(tmp_path / "r.csv", lfp, regions, model="m", watermark="SYNTH")
    table = pd.read_csv(path)
    assert table.electrode.tolist() == made.ids
    assert table.region.tolist() == ["VISp", "unknown", "unknown", "DG"]
    assert table.confidence.tolist()[::3] == [0.5, 0.25]
    assert set(table.watermark) == {"SYNTH"}


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_real_files_gain_no_complaint(real_data, tmp_path, name):
    source = real_data / name
    ids = [c.channel for c in read_summary(source).channels]
    regions = {i: ("CA1" if i % 3 else None, 0.5 + i * 1e-3) for i in ids}
    out = write_regions(source, tmp_path / "out.nwb", regions, model="m")
    assert not complaints(out) - complaints(source)
