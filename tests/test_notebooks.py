"""Every notebook runs on what `fieldbase demo` leaves behind, and is committed without outputs."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

CHECK = """
assert len(training.Training & task) == 1
assert "band power, by hand" in set(channels["model"])
for row in channels.sample(6, random_state=0).to_dict("records"):
    site = {name: row[name] for name in ("session", "probe", "channel")}
    assert (recording.Channel & site).fetch1("depth_um") == row["depth_um"]
    said = prediction.Prediction.ChannelPrediction & site & {"prediction": row["prediction"]}
    assert said.fetch1("predicted") == row["predicted"]
    there = (anatomy.ChannelLabel.Region & site & scheme).fetch1("region")
    assert there == row["region"] or (there is None and pd.isna(row["region"]))
assert len(vectors) == len(about)
assert set(about["subject"]) == set(channels["subject"])
assert {"value", "chance", "n", "low", "high"} <= set(scores)
"""


def names(paths):
    return [path.stem for path in paths]


@pytest.fixture(scope="module")
def environment():
    """Settings under which `schemas.activate()` finds a small demo."""
    from schemas._server import stop_server

    with tempfile.TemporaryDirectory(prefix="fbn-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        mine = {k: v for k, v in os.environ.items() if k[:3] != "DJ_" and k != "MPLBACKEND"}
        mine |= {"FIELDBASE_HOME": str(home), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(ROOT / "tests" / "tiny_demo.py"), folder]
        try:
            made = subprocess.run(command, env=mine, capture_output=True, text=True)
            assert made.returncode == 0, made.stdout + made.stderr
            yield mine
        finally:
            stop_server(home)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=names(NOTEBOOKS))
def test_a_notebook_runs_on_the_demo(path, environment):
    from nbclient import NotebookClient

    notebook = nbformat.read(path, 4)
    drawn = sum("plt.show()" in cell.source for cell in notebook.cells)
    notebook.cells.append(nbformat.v4.new_code_cell(CHECK))
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}})
    client.execute(env=environment)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    kinds = [kind for output in outputs for kind in output.get("data", ())]
    assert kinds.count("image/png") == drawn
    assert kinds.count("image/svg+xml") == 1
    assert "error" not in {output.output_type for output in outputs}
    assert not any(output.get("name") == "stderr" for output in outputs), outputs


@pytest.mark.parametrize("path", NOTEBOOKS, ids=names(NOTEBOOKS))
def test_a_notebook_is_committed_without_outputs_and_names_no_machine(path):
    notebook = json.loads(path.read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
        assert set(cell["metadata"]) == set()
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for word in ("/home/", "/Users/", "/work", "/tmp", "C:\\", "site-packages"):
        assert word not in path.read_text()


def test_there_is_a_notebook():
    assert names(NOTEBOOKS)[0] == "01_query"
