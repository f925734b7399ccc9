"""Reading files into rows: one bad file costs itself, two files of a session agree or say so."""

import json

import pytest


def read_error(stage="read"):
    from pipeline.nwb import ReadError

    def fail():
        raise ReadError(stage, "the file is damaged.", "Fetch it again.")

    return fail


@pytest.fixture
def nwb_file(tmp_path_factory, tables):
    """A real NWB file: a synthetic session of a few seconds."""
    from pipeline.synthetic.lab import write_sessions
    from pipeline.synthetic.session import LabParams

    folder = tmp_path_factory.mktemp("two roots")
    params = LabParams(layout="generic", subjects=1, channels=4, duration_s=3, units=1, seed=77)
    return next(iter(write_sessions(folder, params)))[0]


def test_a_bad_file_is_one_row_with_its_way_out_and_costs_no_other_file(ingest, tables, summary):
    from schemas import recording

    good, bad, other = ingest(
        good=summary(session_id="g"), bad=read_error(), other=summary(session_id="o")
    )
    status = (recording.Ingestion & [{"nwb_file": f} for f in (good, other)]).to_arrays(
        "ingestion_status"
    )
    assert set(status) == {"ok"}
    row = (recording.Ingestion & {"nwb_file": bad}).fetch1()
    assert (row["ingestion_status"], row["stage"]) == ("error", "read")
    assert row["message"] == "the file is damaged."
    assert row["way_out"] == "Fetch it again."
    assert not len(recording.IngestionSession & {"nwb_file": bad})


def test_a_file_that_failed_is_read_again_when_asked_for_and_others_are_not(
    ingest, tables, summary
):
    from schemas import recording
    from workers.ingest import ingest as read

    answers = [read_error(), summary(session_id="mended")]
    calls = []

    def answer():
        calls.append(1)
        found = answers[min(len(calls), 2) - 1]
        return found() if callable(found) else found

    (file,) = ingest(torn=answer)
    assert (recording.Ingestion & {"nwb_file": file}).fetch1("ingestion_status") == "error"
    assert [row["status"] for row in read([file])] == ["ok"]
    assert [row["status"] for row in read([file])] == ["ok"]
    assert len(calls) == 2


def test_two_files_of_one_session_are_merged_and_what_differs_is_written_down(
    ingest, tables, summary
):
    from schemas import recording, session
    from workers.ingest import ingest as read

    subject = {"subject_id": "rat 1", "species": "Rattus norvegicus"}
    first = summary(session_id="shared", subject=subject | {"sex": "F"})
    second = summary(session_id="shared", subject=subject | {"sex": "M", "age": "P90D"}, lfp=[])
    one, two = ingest(first=first, second=second)
    key = (recording.IngestionSession & {"nwb_file": one}).fetch1("session")
    assert (recording.IngestionSession & {"nwb_file": two}).fetch1("session") == key
    conflicts = (recording.IngestionSession & {"nwb_file": two}).fetch1("conflicts")
    differs = [c for c in conflicts if c["table"] == "Subject" and c["column"] == "sex"]
    assert [(c["stored"], c["given"]) for c in differs] == [("F", "M")]
    animal = (session.Subject & (session.Session & {"session": key})).fetch1()
    assert (animal["sex"], animal["age"]) == ("F", "P90D")
    assert len(recording.Channel & {"session": key}) == 2
    told = {row["status"]: row["messages"] for row in read([one, two])}
    assert told["ok"] == []
    assert "session shared: 1 × other than an earlier file says" in told["warnings"][0]
    assert "Subject.sex" in told["warnings"][0]


def test_one_database_is_read_from_two_roots(tables, nwb_file, tmp_path, monkeypatch):
    """A second machine has the same files elsewhere; only its own configuration differs."""
    from schemas import recording, session
    from schemas._load import load_windows
    from schemas._roots import resolve
    from workers.ingest import ingest as read
    from workers.ingest import register
    from workers.study import plan
    from workers.study.spec import StudySpec

    here, there = nwb_file.parent, tmp_path / "elsewhere"
    monkeypatch.setenv("FIELDBASE_ROOTS", json.dumps({"two-roots": str(here)}))
    (file,) = register([nwb_file.name], base=here)
    row = (session.NwbFile & {"nwb_file": file}).fetch1()
    assert (row["root"], row["path"]) == ("two-roots", nwb_file.name)
    assert not any(str(here) in str(value) for value in row.values())
    assert [r["status"] for r in read([file])] == ["ok"]

    there.mkdir()
    nwb_file.rename(there / nwb_file.name)
    from schemas import windows

    spec = StudySpec.model_validate(
        {
            "study": {"name": "two-roots"},
            "data": {"recordings": [nwb_file.name]},
            "windows": {"length_s": 0.5},
        }
    )
    plan.enter_study(spec)
    (task,) = plan.request_windows(spec, [file]).windows
    with pytest.raises(FileNotFoundError, match="is not in"):
        windows.Windows.populate({"windows": task})
    monkeypatch.setenv("FIELDBASE_ROOTS", json.dumps({"two-roots": str(there)}))
    assert resolve(row["root"], row["path"]) == str(there / nwb_file.name)
    assert windows.Windows.populate({"windows": task})["success_count"] == 1
    assert load_windows(task).lfp.shape[0] == 6
    assert register([str(there / nwb_file.name)], base=tmp_path) == [file]
    assert len(recording.Ingestion & {"nwb_file": file}) == 1


def test_a_machine_that_lacks_the_file_makes_no_row_and_says_what_to_do(
    tables, nwb_file, monkeypatch
):
    from schemas import recording
    from workers.ingest import ingest as read
    from workers.ingest import register

    monkeypatch.setenv("FIELDBASE_ROOTS", json.dumps({"lacking": str(nwb_file.parent)}))
    (file,) = register([nwb_file.name], base=nwb_file.parent)
    monkeypatch.setenv("FIELDBASE_ROOTS", "{}")
    with pytest.raises(FileNotFoundError, match=r"fieldbase init --root lacking=FOLDER"):
        recording.Ingestion.populate({"nwb_file": file})
    (row,) = read([file])
    assert row["status"] == "error"
    assert "lacking" in row["messages"][0]
    assert not len(recording.Ingestion & {"nwb_file": file})
