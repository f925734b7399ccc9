"""A folder of an acquisition system is answered with lines that can be pasted."""

import ast

import pytest

from pipeline.nwb import ReadError, conversion_lines, open_nwb

FOLDERS = {
    "SpikeGLX": "run_g0/run_g0_imec0/run_g0_t0.imec0.lf.meta",
    "Open Ephys": "Record Node 101/experiment1/recording1/structure.oebin",
}


@pytest.mark.parametrize("system", FOLDERS)
def test_the_lines_are_python_with_the_folder_filled_in(tmp_path, system):
    folder = tmp_path / "my run"
    (folder / FOLDERS[system]).parent.mkdir(parents=True)
    (folder / FOLDERS[system]).touch()
    lines = conversion_lines(folder)
    assert system in lines
    ast.parse("\n".join(line.strip() for line in lines.splitlines()[1:]))
    assert str(folder) in lines
    assert str(tmp_path / "my run.nwb") in lines
    with pytest.raises(ReadError, match="is a folder, not an NWB file; this is " + system):
        open_nwb(folder).__enter__()


def test_any_other_folder_gets_no_lines(tmp_path):
    assert conversion_lines(tmp_path) is None
    with pytest.raises(ReadError, match="is a folder"):
        open_nwb(tmp_path).__enter__()
