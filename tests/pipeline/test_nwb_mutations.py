"""Ten ways to damage each recording: a correct row or one clear error, soon, in little memory."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from mutation_trials import LAYOUTS, SIGNALS, Reader, write_layouts  # noqa: E402
from mutations import KINDS, MARK, mutate, mutations  # noqa: E402

EACH = 10
REAL = (
    "nwb/aibs_ecephys.nwb", "nwb/buzsaki_DT9_20170428_stub.nwb", "nwb/aibs.nwb",
    "nwb/sub-anm369963_ses-20170228.nwb", "ieeg_nwb/sub-BW001_ses-supereeg_ieeg.nwb",
    "rodent_nwb/sub-K265_ses-20190611_ecephys.nwb", "ieeg_nwb/sub-CH003_ses-supereeg_ieeg.nwb",
    "ieeg_nwb/sub-CH012_ses-supereeg_ieeg.nwb", "ieeg_nwb/sub-mneecogpat01_ses-seizure_ieeg.nwb",
    "nwb/20080606_R1.nwb", "nwb/sub-001_ses-1.nwb", "nwb/sub-4_ses-4_ecephys+image.nwb",
    "rodent_nwb/sub-CSR6_ses-20180320-sq8_ecephys.nwb",
    "rodent_nwb/sub-Jango_ses-20160626-day0_ecephys.nwb",
    "rodent_nwb/sub-T170_ses-20180911_ecephys.nwb", "rodent_nwb/sub-T179_ses-20190321_ecephys.nwb",
    "rodent_nwb/sub-T181_ses-20191111_ecephys.nwb", "rodent_nwb/sub-T182_ses-20181001_ecephys.nwb",
    "rodent_nwb/sub-T196_ses-20190509_ecephys.nwb", "rodent_nwb/sub-T209_ses-20190522_ecephys.nwb",
    "rodent_nwb/sub-T219_ses-20191203_ecephys.nwb", "rodent_nwb/sub-T224_ses-20200116_ecephys.nwb",
    "rodent_nwb/sub-install_ses-20170708-lineartrack_ecephys.nwb",
)  # fmt: skip
OF_SIGNALS = ("flipped_chunks", "wrong_times", "wrong_rate", "wrong_attribute", "bomb_in_a_series",
              "flipped_structure")  # fmt: skip


@pytest.fixture(scope="module")
def reader():
    with Reader() as made:
        yield made


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return write_layouts(tmp_path_factory.mktemp("layouts"))


def broken_promises(reader, source, folder, seed, target=None, only=()):
    """Of each damaged copy, which promise was not kept."""
    found = []
    for one in mutations(source, folder, EACH, seed=seed, only=only):
        read = reader.read(one.path, *([target] if target else []))
        if read.broken:
            found.append(f"{one.kind}-{one.seed} ({one.what}): {read.broken}")
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_damaged_file_is_a_summary_or_one_clear_error(layout, recordings, reader, tmp_path):
    seed = 20 * LAYOUTS.index(layout)
    for number, source in enumerate(recordings[layout]):
        assert broken_promises(reader, source, tmp_path, seed + 10 * number) == []


@pytest.mark.real
def test_every_real_recording_is_damaged(real_data):
    found = {str(path.relative_to(real_data)) for path in real_data.glob("*/*.nwb")}
    assert found == set(REAL)


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_a_damaged_real_file_is_a_summary_or_one_clear_error(name, real_data, reader, tmp_path):
    seed = 300 + 13 * REAL.index(name)  # some make HDF5 turn in circles until it is stopped
    assert broken_promises(reader, real_data / name, tmp_path, seed) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_signals_of_a_damaged_file_are_read_or_one_clear_error(
    layout, recordings, reader, tmp_path
):
    source, seed = recordings[layout][-1], 7 * LAYOUTS.index(layout)
    assert broken_promises(reader, source, tmp_path, seed, SIGNALS, OF_SIGNALS) == []


def test_damage_to_the_signal_alone_changes_no_row_but_the_signals_digest(
    recordings, reader, tmp_path
):
    source = recordings["generic"][-1]
    whole, changed = reader.read(source).value, 0
    for seed in range(8):
        one = mutate(source, tmp_path, "flipped_chunks", seed)
        read = reader.read(one.path)
        if read.error is not None:
            assert "damaged" in read.error[1]
            continue
        for series, true in zip(read.value["lfp"], whole["lfp"], strict=True):
            changed += series["digest"] != true["digest"]
            series["digest"] = true["digest"]
        assert read.value == whole
    assert changed or read.error


@pytest.mark.parametrize("kind", ["link_outside", "bytes_from_outside"])
def test_what_lies_outside_of_a_file_is_never_read_and_that_is_said(
    kind, recordings, reader, tmp_path
):
    told = 0
    for seed in range(12):
        one = mutate(recordings["generic"][-1], tmp_path, kind, seed)
        read = reader.read(one.path)
        assert read.broken is None, (one.what, read.broken)
        assert MARK not in json.dumps(read.value)
        told += any("leads out of the file" in text for text in (read.value or {})["warnings"])
    assert told > 3  # elsewhere it is a member that nothing asks for


def test_regions_are_never_written_outside_of_the_copy(recordings, tmp_path):
    import h5py

    from pipeline.nwb import ReadError, write_regions

    source = recordings["generic"][-1]
    elsewhere, linked = tmp_path / "elsewhere.nwb", tmp_path / "linked.nwb"
    elsewhere.write_bytes(source.read_bytes())
    linked.write_bytes(source.read_bytes())
    with h5py.File(linked, "r+") as file:
        del file["general/extracellular_ephys/electrodes"]
        file["general/extracellular_ephys/electrodes"] = h5py.ExternalLink(
            str(elsewhere), "/general/extracellular_ephys/electrodes"
        )
    with pytest.raises(ReadError, match="has no electrode table"):
        write_regions(linked, tmp_path / "out.nwb", {0: ("CA1", 0.9)}, model="m")
    assert elsewhere.read_bytes() == source.read_bytes()
    assert not (tmp_path / "out.nwb").exists()


def test_gigabytes_of_zeros_cost_an_error_and_hardly_any_memory(recordings, reader, tmp_path):
    for kind in ("bomb_in_a_column", "bomb_in_one_chunk", "huge_shape_everywhere"):
        one = mutate(recordings["generic"][-1], tmp_path, kind, 3)
        read = reader.read(one.path)
        assert read.peak_bytes < 600 << 20, (one.what, read)
        assert read.seconds < 10, (one.what, read)


def test_the_same_seed_damages_a_file_in_the_same_way(recordings, tmp_path):
    source = recordings["generic"][-1]
    (tmp_path / "a").mkdir()
    for kind in ("flipped_bytes", "cut_anywhere", "zeroed_block", "flipped_structure"):
        one = mutate(source, tmp_path / "a", kind, 4)
        first = one.path.read_bytes()
        again = mutate(source, tmp_path / "a", kind, 4)
        assert (again.what, again.path.read_bytes()) == (one.what, first)
        other = mutate(source, tmp_path / "a", kind, 5)
        assert other.path.read_bytes() != first
    assert len(KINDS) >= 30
    assert np.unique(list(KINDS)).size == len(KINDS)
