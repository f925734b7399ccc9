"""The experiments' own files, from their names to the download, on an archive of the tests' own."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from experiment_files import (
    LACKING,
    MONKEYS,
    catalogue,
    ibl_files,
    write_experiments,
    write_private,
)

from workers.archive.found import SourceError
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
    """An archive, and a folder as `studies`: what is private lies beside the catalogue."""
    from archive_server import serve

    folder = tmp_path_factory.mktemp("studies")
    shutil.copytree(STUDIES / "catalogue", folder / "catalogue")
    write_private(folder)
    before = set(tables.session.NwbFile().to_arrays("nwb_file"))
    with pytest.MonkeyPatch.context() as patch, serve() as archive:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("FIELDBASE_PATIENCE", "5")
        patch.setenv("DANDI_API_URL", archive.api)
        patch.setattr("schemas._roots.home_folder", lambda: home)
        patch.setattr("workers.archive.download.home_folder", lambda: home)
        for dandiset, files in write_experiments(tmp_path_factory.mktemp("public")).items():
            left_out = {path: data for path, data in files.items() if LACKING not in path}
            archive.publish(dandiset, "0.220126.0855", left_out)
        yield folder
    (tables.dataset.Study & "study like 'lfp2vec_%'").delete(prompt=False)
    made = set(tables.session.NwbFile().to_arrays("nwb_file")) - before
    (tables.session.NwbFile & [{"nwb_file": key} for key in made]).delete(prompt=False)


def data_of(file):
    """What the variants of a study file read, each once."""
    return {spec.data.digest: spec for spec in read_experiment(file).specs}.values()


def kinds_of(data):
    return {name.partition(":")[0].partition("/")[0] for name in data.recordings}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_experiment_goes_from_its_real_file_up_to_the_download(file, served, tables):
    from schemas._sources import place_of_copy
    from workers.archive.download import keep_copies
    from workers.ingest import ingest
    from workers.study.cost import plan_study
    from workers.study.notes import notes as report_notes
    from workers.study.plan import enter_study, find_sources
    from workers.study.run import register_recordings

    folder = served
    for spec in data_of(file):
        data = spec.data
        plan = plan_study(spec, base=folder)
        gone = [row["name"] for row in plan["recordings"] if row["state"] != "found"]
        assert gone == [name for name in data.recordings if LACKING in name]
        assert all(any(name in note and "ONE" in note for note in plan["notes"]) for name in gone)
        assert all(row["bytes"] for row in plan["recordings"] if row["state"] == "found")
        assert sum(plan["jobs"]["Ingestion"]) == plan["files"]
        enter_study(spec)
        notes, found = [], set()
        keys = register_recordings(spec, base=folder, notes=notes)
        assert [note.count("left out, as the study allows: ibl:") for note in notes] == [1] * len(
            gone
        )
        told = report_notes(spec, [])
        assert sum("the study was run without it" in note for note in told) == len(gone)
        assert all(any(note.startswith(f"{name}: not found") for note in told) for name in gone)
        assert keep_copies(keys, to=None) == {}
        rows = (tables.session.NwbFile & [{"nwb_file": key} for key in keys]).to_dicts()
        for row in [row for row in rows if row["asset"]]:
            assert place_of_copy(row).stat().st_size == row["bytes"]
        assert {row["status"] for row in ingest(keys)} <= {"ok", "warnings"}
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


def test_where_one_insertion_comes_by_one_its_folder_stands_for_it(served, tables, tmp_path):
    from workers.study.run import register_recordings

    (spec, *_) = data_of(STUDIES / "lfp2vec_within_ibl.toml")
    files = ibl_files(tmp_path)
    own = tmp_path / "one" / "raw.nwb"
    own.parent.mkdir()
    (own_bytes,) = [b for path, b in files.items() if LACKING in path and "desc-raw" in path]
    own.write_bytes(own_bytes)
    name = f"ibl:{LACKING}"
    given = [str(own.parent) if one == name else one for one in spec.data.recordings]
    data = spec.data.model_copy(update={"recordings": tuple(given), "may_lack": ()})
    spec = spec.model_copy(update={"data": data})
    notes = []
    keys = register_recordings(spec, base=served, notes=notes)
    assert notes == []
    paths = (tables.session.NwbFile & [{"nwb_file": key} for key in keys]).to_arrays("path")
    assert sum("raw.nwb" in path for path in paths) == 1
    strict = data.model_copy(update={"recordings": (name, *given)})
    with pytest.raises(SourceError, match=f"{name}: no file of that session in 000409; .*ONE"):
        register_recordings(spec.model_copy(update={"data": strict}), base=served, notes=notes)


def test_a_study_may_lack_none_but_its_own_recordings():
    from pydantic import ValidationError

    from workers.study.spec import Data

    with pytest.raises(ValidationError, match="may_lack names .'b'., which are none"):
        Data(recordings=("a",), may_lack=("b",))
