"""Damaged recordings through the tables: all rows of what was read, or one error and no other."""

import sys
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from mutation_trials import Reader, write_layouts  # noqa: E402
from mutations import KINDS, mutations  # noqa: E402

SESSIONS = {"allen": 2, "ibl": 2, "generic": 1}  # files of one session
EACH = 10


@pytest.fixture(scope="module")
def reader():
    with Reader() as made:
        yield made


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """One session of each layout, every file of it."""
    made = write_layouts(tmp_path_factory.mktemp("layouts"))
    assert {layout: len(files) for layout, files in made.items()} == SESSIONS
    return made


@pytest.fixture
def enter(tables, roots, monkeypatch):
    """Ingest a file that has been read already, or was not to be read, as a source of its own."""
    from pipeline.nwb import FileSummary, ReadError
    from schemas import _ingest, recording
    from workers.ingest import register

    def run(path, value, error=None):
        def answer(*_, **__):
            if error is not None:
                raise ReadError(*error)
            return FileSummary.from_json(value)

        monkeypatch.setattr(_ingest, "read_summary_isolated", answer)
        lab = f"bad-{uuid.uuid4().hex[:12]}"
        place = roots[1] / f"{lab}.nwb"
        place.write_bytes(path.read_bytes() if path else lab.encode())
        (key,) = register([place.name], base=roots[1], lab=lab)
        recording.Ingestion.populate({"nwb_file": key})
        return key

    return run


def rows_of(key):
    """How many rows of each table speak of a file."""
    from schemas import recording

    tables = ("IngestionSession", "ProbeInsertion", "Channel", "LfpSeries", "LfpColumn", "Unit",
              "Trial", "BehaviorSeries", "InvalidInterval", "LabelSet")  # fmt: skip
    return {name: len(getattr(recording, name) & {"nwb_file": key}) for name in tables}


def wrong_with(key, value, error):
    """What of a file's rows is other than what was read; empty if all is well."""
    from schemas import recording

    row = (recording.Ingestion & {"nwb_file": key}).fetch1()
    rows = rows_of(key)
    if error is not None:
        told = row["ingestion_status"] == "error" and row["message"] and row["way_out"]
        return [] if told and not any(rows.values()) else [f"half a recording: {row} {rows}"]
    probes = {p["probe"] for p in value["probes"]} | {c["probe"] for c in value["channels"]}
    expected = {
        "IngestionSession": 1, "ProbeInsertion": len(probes), "Channel": len(value["channels"]),
        "LfpSeries": len(value["lfp"]), "LfpColumn": sum(s["n_channels"] for s in value["lfp"]),
        "Unit": len(value["units"]), "Trial": len(value["trials"]),
        "BehaviorSeries": len(value["behavior"]), "InvalidInterval": len(value["invalid"]),
    }  # fmt: skip
    wrong = [f"{t}: {rows[t]} rows, read {n}" for t, n in expected.items() if rows[t] != n]
    if row["ingestion_status"] != ("warnings" if value["warnings"] else "ok"):
        wrong.append(f"status {row['ingestion_status']}, warnings {value['warnings']}")
    for series in (recording.LfpSeries & {"nwb_file": key}).to_dicts():
        read = next(s for s in value["lfp"] if s["series"][:500] == series["series_path"][:500])
        if (series["n_samples"], series["lfp_digest"]) != (read["n_samples"], read["digest"]):
            wrong.append(f"{series['series']}: {series} is not {read}")
    return wrong


@pytest.mark.parametrize("layout", SESSIONS)
def test_a_damaged_file_is_all_of_its_rows_or_one_error(
    layout, recordings, reader, enter, tmp_path
):
    broken = []
    for number, source in enumerate(recordings[layout]):
        seed = len(KINDS) * 7 + 10 * (2 * list(SESSIONS).index(layout) + number)
        for one in mutations(source, tmp_path, EACH, seed=seed):
            read = reader.read(one.path)
            wrong = [read.broken] if read.broken else []
            try:
                wrong += wrong_with(enter(one.path, read.value, read.error), read.value, read.error)
            except Exception as error:
                wrong.append(f"{type(error).__name__}: {error}")
            broken += [f"{one.kind}-{one.seed} ({one.what}): {text}" for text in wrong]
    assert not broken, "\n".join(broken)


def test_a_worker_reads_a_damaged_file_to_one_row(recordings, tables, roots):
    """The whole way, child process and all."""
    from schemas import recording
    from workers.ingest import ingest, register

    whole, place = recordings["generic"][0].read_bytes(), roots[1] / "torn.nwb"
    place.write_bytes(whole[: len(whole) // 2])
    (key,) = register([place.name], base=roots[1], lab="torn")
    (row,) = ingest([key])
    assert row["status"] == "error"
    assert "cut short" in row["messages"][0]
    assert not any(rows_of(key).values())
    assert len(recording.Ingestion & {"nwb_file": key}) == 1
