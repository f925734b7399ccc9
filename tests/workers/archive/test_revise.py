"""A file that changed is never read again unseen: what was computed keeps the file it came from."""

import hashlib
import os
import shutil
from pathlib import Path

import h5py
import pytest

from pipeline.nwb import ContentChanged
from schemas._sources import archive_root, content_mark, is_sampled
from workers.archive.dependants import results_of
from workers.ingest import register
from workers.study.plan import remember

DANDISET, VERSION = "000022", "0.220126.0855"


@pytest.fixture
def recording(fresh, tmp_path):
    """A file of a mouse of this test alone."""
    path = tmp_path / "mouse.nwb"
    shutil.copyfile(fresh, path)
    with h5py.File(path, "r+") as file:
        for place in ("general/subject/subject_id", "general/session_id"):
            del file[place]
            file[place] = tmp_path.name
    return path


def change(path, value=7):
    """Other signals, same length of everything."""
    with h5py.File(path, "r+") as file:
        series = []
        file.visititems(lambda name, node: series.append(name) if name.endswith("/data") else None)
        for name in series:
            data = file[name]
            if data.ndim == 2:
                data[: len(data) // 2] = data[: len(data) // 2] + value
    os.utime(path, (1e9, 1e9))  # nobody relies on the date


def windows_of(tables, spec_name, files):
    from workers.study.plan import enter_study, request_windows
    from workers.study.spec import StudySpec

    values = {
        "study": {"name": spec_name}, "data": {"recordings": ["x"]},
        "windows": {"length_s": 2.0}, "lfp": {"target_rate_hz": 250.0, "lowpass_hz": 100.0},
    }  # fmt: skip
    spec = StudySpec.model_validate(values)
    enter_study(spec)
    asked = request_windows(spec, files)
    names = [{"windows": name} for name in asked.windows]
    done = tables.windows.Windows.populate(names, suppress_errors=True)
    return names, done["error_list"]


def test_a_changed_file_is_told_in_a_line_and_not_read(type_ingest, tables, recording):
    assert type_ingest(recording)[0] == 0
    (key,) = register([str(recording)], base=recording.parent)
    before = (tables.recording.Ingestion & {"nwb_file": key}).fetch1()
    data = bytearray(recording.read_bytes())
    data[len(data) // 2] ^= 255  # as long as before, and as old
    times = recording.stat()
    recording.write_bytes(data)
    os.utime(recording, (times.st_atime, times.st_mtime))
    code, rows, _ = type_ingest(recording)
    assert code == 1
    (row,) = rows.values()
    assert row["status"] == "changed"
    (message,) = row["messages"]
    assert "changed since it was registered (etag sha256:" in message
    assert "--revise" in message
    assert (tables.recording.Ingestion & {"nwb_file": key}).fetch1() == before


def test_a_small_file_is_marked_by_all_it_holds_and_a_large_one_says_that_it_is_not(
    tmp_path, monkeypatch
):
    data, path = bytearray(os.urandom(8 << 20)), tmp_path / "a.nwb"
    path.write_bytes(data)
    old, sampled = content_mark(path), content_mark(path, like="sample-sha256:0")
    parts = [bytes(data[at : at + (1 << 20)]) for at in (0, 7 << 19, 7 << 20)]
    assert old == f"sha256:{hashlib.sha256(data).hexdigest()}"
    told = hashlib.sha256(str(8 << 20).encode() + b"".join(parts)).hexdigest()
    assert sampled == f"sample-sha256:{told}"
    data[2 << 20] ^= 1
    path.write_bytes(data)
    assert content_mark(path) != old
    assert content_mark(path, like=sampled) == sampled
    monkeypatch.setattr("schemas._sources.WHOLE_BYTES", 1 << 20)
    assert content_mark(path) == sampled
    assert [is_sampled(mark) for mark in (old, sampled, None)] == [False, True, False]
    assert content_mark(path, like=old).startswith("sha256:")


def test_rows_with_a_mark_of_samples_go_on_being_compared_by_it(
    type_ingest, tables, recording, tmp_path, monkeypatch
):
    from schemas._sources import source_of
    from workers import verify as verifying
    from workers.verify import tell_sampled, verify

    assert type_ingest(recording)[0] == 0
    (key,) = register([str(recording)], base=tmp_path)
    whole = verifying._file  # files of other tests lie on servers that are gone
    mine = lambda row: whole(row) if row["nwb_file"] == key else ()  # noqa: E731
    monkeypatch.setattr(verifying, "_file", mine)
    before = verify(table="NwbFile").sampled
    mark = {"etag": content_mark(recording, like="sample-sha256:0")}
    tables.session.NwbFile.update1({"nwb_file": key, **mark})
    row = (tables.session.NwbFile & {"nwb_file": key}).fetch1()
    assert type_ingest(recording)[0] == 0
    assert register([str(recording)], base=tmp_path) == [key]
    assert (tables.session.NwbFile & {"nwb_file": key}).fetch1() == row
    assert source_of(row) == str(recording)
    verdict = verify(table="NwbFile")
    assert verdict.sampled == before + 1
    assert tell_sampled(verdict).startswith(f"sampled: {before + 1} of the files")
    change(recording)
    with pytest.raises(ContentChanged, match="when it was registered"):
        source_of(row)
    code, rows, _ = type_ingest(recording)
    assert (code, [row["status"] for row in rows.values()]) == (1, ["changed"])


def test_revising_shows_what_depends_and_registers_beside(type_ingest, tables, recording, tmp_path):
    type_ingest(recording)
    (old,) = register([str(recording)], base=tmp_path)
    names, failed = windows_of(tables, f"old-{tmp_path.name}", [old])
    assert not failed
    kept = (tables.windows.Windows & names).fetch1("content_digest")
    change(recording)
    study = f"old-{tmp_path.name}"
    remember(study, "nwb_file", old)
    code, rows, said = type_ingest(recording, "--revise", "--dry-run")
    assert f"of revision 0, which stays: 1 Windows (of {study})" in said
    (row,) = rows.values()
    assert (row["revises"], row["depends"]) == (0, {"Windows": 1})
    assert row["studies"] == [study]
    assert row["differs"]
    assert register([str(recording)], base=tmp_path) == [old]
    code, rows, said = type_ingest(recording, "--revise")
    assert code == 0
    assert "of revision 0, which stays: 1 Windows" in said
    (new,) = register([str(recording)], base=tmp_path)
    assert new != old
    revisions = tables.session.NwbFile & [{"nwb_file": old}, {"nwb_file": new}]
    assert sorted(revisions.to_arrays("revision")) == [0, 1]
    digests = {
        key: (tables.recording.LfpSeries & {"nwb_file": key}).fetch1("lfp_digest")
        for key in (old, new)
    }
    assert digests[old] != digests[new]
    assert (tables.windows.Windows & names).fetch1("content_digest") == kept
    again, failed = windows_of(tables, f"new-{tmp_path.name}", [new])
    assert not failed
    assert again != names
    assert (tables.windows.Windows & again).fetch1("content_digest") != kept
    assert type_ingest(recording)[0] == 0  # known in its new content


def test_windows_are_never_cut_from_content_that_was_not_registered(
    type_ingest, tables, recording, tmp_path
):
    type_ingest(recording)
    (old,) = register([str(recording)], base=tmp_path)
    change(recording)
    names, failed = windows_of(tables, f"cut-{tmp_path.name}", [old])
    assert len(tables.windows.Windows & names) == 0
    ((_, message),) = failed
    assert "ContentChanged" in message
    assert "`fieldbase ingest --revise` registers it beside the old" in message


def test_a_study_says_that_a_file_changed_and_locate_refuses_it(
    type_ingest, tables, recording, tmp_path
):
    from workers.locate import LocateError, locate

    type_ingest(recording)
    change(recording)
    notes = []
    register([str(recording)], base=tmp_path, notes=notes)
    assert "was not read again" in notes[0]
    with pytest.raises(LocateError, match="changed since it was registered"):
        locate(str(recording), out=tmp_path / "out")


def test_going_back_to_the_old_content_finds_the_old_row(type_ingest, tables, recording, tmp_path):
    type_ingest(recording)
    (old,) = register([str(recording)], base=tmp_path)
    first = recording.read_bytes()
    change(recording)
    type_ingest(recording, "--revise")
    recording.write_bytes(first)
    assert register([str(recording)], base=tmp_path) == [old]
    n = len(tables.session.NwbFile())
    assert type_ingest(recording, "--revise")[0] == 0
    assert len(tables.session.NwbFile()) == n


def test_a_later_version_of_a_dandiset_is_a_revision_when_asked_for(
    archive, type_ingest, tables, allen_files, tmp_path
):
    type_ingest(f"dandi:{DANDISET}")
    path = next(p for p in allen_files if "_probe-" in p)
    changed = tmp_path / "changed.nwb"
    changed.write_bytes(allen_files[path])
    change(changed, 1e-4)
    archive.publish(DANDISET, "0.230101.0000", allen_files | {path: changed.read_bytes()})
    code, rows, said = type_ingest(f"dandi:{DANDISET}")
    assert code == 1
    row = rows[f"{DANDISET}/{path}"]
    assert row["status"] == "changed"
    assert "dandi_version 0.220126.0855 → 0.230101.0000" in row["messages"][0]
    assert sum(row["status"] == "changed" for row in rows.values()) == 1
    assert type_ingest(f"dandi:{DANDISET}", "--revise")[0] == 0
    files = (tables.session.NwbFile & {"path": f"{DANDISET}/{path}"}).to_dicts(order_by="revision")
    files = [row for row in files if row["root"] == files[-1]["root"]]
    assert [row["dandi_version"] for row in files] == [VERSION, "0.230101.0000"]
    newest = register([f"dandi:{DANDISET}/{path}"], base=tmp_path)
    pinned = register([f"dandi:{DANDISET}@{VERSION}/{path}"], base=tmp_path)
    assert [newest, pinned] == [[files[1]["nwb_file"]], [files[0]["nwb_file"]]]


def test_a_draft_whose_asset_was_replaced_by_the_same_content_goes_on_being_read(
    archive, type_ingest, tables, recording
):
    from archive_server import Asset

    from pipeline.nwb import ReadError, open_nwb
    from schemas._sources import source_of

    source, data = "dandi:000777", recording.read_bytes()
    archive.publish("000777", "draft", {"a.nwb": data})
    assert type_ingest(source, "--download")[0] == 0
    place = {"path": "000777/a.nwb", "root": archive_root()}
    old = (tables.session.NwbFile & place).fetch1()
    copy = Path(source_of(old))
    archive.publish("000777", "draft", {"a.nwb": Asset("a.nwb", data)})  # new metadata, new id
    archive.sent.clear()
    code, rows, _ = type_ingest(source, "--download")
    assert (code, rows["000777/a.nwb"]["status"] in ("ok", "warnings")) == (0, True)
    new = (tables.session.NwbFile & place).fetch1()
    assert new["asset"] == archive.dandisets["000777"]["draft"]["a.nwb"].identifier
    assert new == old | {"asset": new["asset"]}
    moved = Path(source_of(new))
    assert moved.read_bytes() == data
    assert not copy.exists()
    assert not archive.sent
    moved.unlink()
    with open_nwb(source_of(new)) as file:
        assert "acquisition" in file
    with pytest.raises(ReadError, match="is not there"):
        source_of(old)
    archive.publish("000777", "0.230101.0000", {"a.nwb": Asset("a.nwb", data)})
    assert type_ingest(source)[0] == 0
    named = (tables.session.NwbFile & place).fetch1()
    published = archive.dandisets["000777"]["0.230101.0000"]["a.nwb"].identifier
    assert named == new | {"asset": published, "dandi_version": "0.230101.0000"}
    archive.publish("000777", "0.230102.0000", {"a.nwb": Asset("a.nwb", data)})
    assert type_ingest(source)[0] == 0  # what is published stays: so does the row
    assert (tables.session.NwbFile & place).fetch1() == named


def test_a_changed_url_is_told_by_its_mark(archive, type_ingest, tables, recording):
    from pipeline.nwb.http import ask_about

    (asset,) = archive.publish("000001", "0.1.1", {"a.nwb": recording.read_bytes()}).values()
    url = f"{archive.api.removesuffix('/api')}/blobs/{asset.blob}/a.nwb"
    assert type_ingest(url)[0] == 0
    row = (tables.session.NwbFile & {"path": url}).fetch1()
    assert (row["bytes"], row["etag"]) == (asset.size, ask_about(url).etag)
    change(recording)
    asset.data = recording.read_bytes()
    asset.__post_init__()
    code, rows, _ = type_ingest(url)
    assert (code, rows[url]["status"]) == (1, "changed")
    from schemas._sources import source_of

    with pytest.raises(ContentChanged, match="when it was registered"):
        source_of(row)
    assert type_ingest(url, "--revise")[0] == 0
    assert sorted((tables.session.NwbFile & {"path": url}).to_arrays("revision")) == [0, 1]


def test_what_depends_on_a_file_goes_from_windows_to_scores(tables, mice):
    study = {"study": "locate_small", "member_table": "windows_task"}
    members = (tables.dataset.StudyMember & study).to_arrays("member")
    one = (tables.windows.WindowsLfp & {"windows": members[0]}).fetch1("nwb_file")
    counts = results_of([one])
    assert next(iter(counts)) == "Windows"
    trained = tables.dataset.StudyMember & {
        "study": "locate_small",
        "member_table": "training_task",
    }
    assert counts["Training"] >= len(trained)  # each fold saw the mouse, or was tested on it
    assert {"Split", "Prediction", "Evaluation"} <= set(counts)
    assert results_of([]) == {}
