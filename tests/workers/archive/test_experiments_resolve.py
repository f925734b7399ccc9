"""The experiments' own files, from their names to the download, on an archive of the tests' own."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from experiment_files import LACKING, MONKEYS, catalogue, write_experiments, write_private

from workers.study.experiment import read_experiment

STUDIES = Path(__file__).parents[3] / "studies"
FILES = sorted(STUDIES.glob("lfp2vec_*.toml"))
ALLEN = {
    (row["session"], probe["probe"])
    for row in catalogue()["allen"] for probe in row["probes"] if "flaw" not in probe
}  # fmt: skip
IBL = {(row["eid"], row["probe"]) for row in catalogue()["ibl"] if row["eid"] != LACKING}
SINAPS, MACAQUE = ({(name, "") for name in row["sessions"]} for row in catalogue()["private"])
EXPECTED = {
    "allen": ALLEN, "ibl": IBL, "sinaps": SINAPS, "macaque": MACAQUE,
    "dandi": {(f"{name}-20090601", "") for names in MONKEYS.values() for name in names},
    "lf_compressed_all_bwm.h5": {("session-1", ""), ("session-2", "")},
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tables, tmp_path_factory):
    """The archive, and a folder as `studies` with what is private beside the catalogue."""
    from archive_server import serve

    folder = tmp_path_factory.mktemp("studies")
    shutil.copytree(STUDIES / "catalogue", folder / "catalogue")
    write_private(folder)
    with pytest.MonkeyPatch.context() as patch, serve() as archive:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("FIELDBASE_PATIENCE", "5")
        patch.setenv("DANDI_API_URL", archive.api)
        patch.setattr("schemas._roots.home_folder", lambda: home)
        patch.setattr("workers.archive.download.home_folder", lambda: home)
        for dandiset, files in write_experiments(tmp_path_factory.mktemp("public")).items():
            left_out = {path: data for path, data in files.items() if LACKING not in path}
            archive.publish(dandiset, "0.220126.0855", left_out)
        yield archive, folder


def data_of(file):
    """What the variants of a study file read, each once."""
    return {spec.data.digest: spec for spec in read_experiment(file).specs}.values()


def kinds_of(data):
    return {name.partition(":")[0].partition("/")[0] for name in data.recordings}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_experiment_goes_from_its_real_file_up_to_the_download(file, served, tables):
    from schemas._sources import place_of_copy
    from workers.archive.download import keep_copies
    from workers.ingest import ingest, register
    from workers.study.cost import plan_study
    from workers.study.plan import find_sources

    archive, folder = served
    for spec in data_of(file):
        data = spec.data
        plan = plan_study(spec, base=folder)
        gone = [row["name"] for row in plan["recordings"] if row["state"] != "found"]
        assert gone == [name for name in data.recordings if LACKING in name]
        assert all(any(name in note and "ONE" in note for note in plan["notes"]) for name in gone)
        assert all(row["bytes"] for row in plan["recordings"] if row["state"] == "found")
        assert sum(plan["jobs"]["Ingestion"]) == plan["files"]
        there = [name for name in data.recordings if name not in gone]
        keys = register(there, base=folder, lab=data.lab, subjects=data.subjects)
        assert keep_copies(keys, to=None) == {}
        rows = (tables.session.NwbFile & [{"nwb_file": key} for key in keys]).to_dicts()
        for row in [row for row in rows if row["asset"]]:
            assert place_of_copy(row).stat().st_size == row["bytes"]
        assert {row["status"] for row in ingest(keys)} <= {"ok", "warnings"}
        notes, found = [], set()
        for key in keys:
            for one in find_sources(data, {"nwb_file": key}, notes):
                found.add(probe_of(one["lfp"], tables))
        assert found == set().union(*(EXPECTED[kind] for kind in kinds_of(data)))
        if "allen" in kinds_of(data):
            assert sum("holds nothing but zeros" in note for note in notes) == 2


def probe_of(series, tables):
    """Session and, where the catalogue knows the session, probe of an LFP series."""
    name = (tables.session.Session & {"session": series["session"]}).fetch1("session_id")
    path = series["series_path"].lower()
    probes = [probe for session, probe in ALLEN | IBL if session == name]
    mine = [probe for probe in probes if probe.lower() in path]
    return name, mine[0] if mine else (path if probes else "")
