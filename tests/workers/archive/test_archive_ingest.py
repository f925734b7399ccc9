"""Assets of an archive become the same rows however they are read, and never change unseen."""

import re
from collections import namedtuple
from pathlib import Path

import pytest
from archive_server import Asset, dandi_etag

from workers.archive.download import _goes_on, fetch_copies, keep_copies
from workers.archive.found import SourceError

DANDISET, VERSION = "000022", "0.220126.0855"

READ = (
    "Ingestion", "IngestionSession", "LfpSeries", "LfpColumn", "Unit", "Trial", "InvalidInterval",
)  # fmt: skip


def rows_of(tables, archive):
    """Everything read from this archive's files, without times."""
    found = {}
    files = [
        {"asset": a.identifier} for v in archive.dandisets[DANDISET].values() for a in v.values()
    ]
    files = (tables.session.NwbFile & files).proj()
    for name in READ:
        rows = (getattr(tables.recording, name) & files).to_dicts(order_by="KEY")
        found[name] = [{k: v for k, v in row.items() if k != "read_seconds"} for row in rows]
    files = (tables.session.NwbFile & files).to_dicts(order_by="KEY")
    return found, [{k: v for k, v in row.items() if k != "registered"} for row in files]


def forget(tables, archive):
    assets = [
        {"asset": a.identifier} for v in archive.dandisets[DANDISET].values() for a in v.values()
    ]
    (tables.session.NwbFile & assets).delete(prompt=False)


def test_streamed_and_downloaded_files_give_the_same_rows(
    archive, type_ingest, tables, allen_files, tmp_path
):
    source = f"dandi:{DANDISET}/sub-*/*.nwb"
    code, rows, said = type_ingest(source, "--stream")
    assert code == 0
    assert f"version {VERSION} of {DANDISET}, the most recent" in said
    streamed = rows_of(tables, archive)
    assert all(streamed[0][name] for name in READ)
    assert not list(tmp_path.rglob("home/**/*.nwb"))
    forget(tables, archive)
    code, rows, _ = type_ingest(source, "--to", tmp_path / "copies")
    assert code == 0
    assert rows_of(tables, archive) == streamed
    copies = {
        p.relative_to(tmp_path / "copies").as_posix(): p for p in tmp_path.rglob("copies/**/*.nwb")
    }
    assert {name: p.read_bytes() for name, p in copies.items()} == {
        f"{DANDISET}/{VERSION}/{path}": data for path, data in allen_files.items()
    }
    archive.sent.clear()
    assert type_ingest(source)[0] == 0  # known, and there: nothing to fetch
    assert sum(archive.sent.values()) == 0
    forget(tables, archive)


def test_the_columns_say_where_each_file_is_from(archive, type_ingest, tables, allen_files):
    type_ingest(f"dandi:{DANDISET}")
    for path, asset in archive.dandisets[DANDISET][VERSION].items():
        row = (tables.session.NwbFile & {"asset": asset.identifier}).fetch1()
        assert row["path"] == f"{DANDISET}/{path}"
        assert (row["dandiset"], row["dandi_version"]) == (DANDISET, VERSION)
        assert row["bytes"] == len(allen_files[path])
        assert row["etag"] == dandi_etag(allen_files[path])
        assert row["revision"] == 0
    forget(tables, archive)


def test_a_dry_run_lists_what_is_there_and_fetches_no_file(
    archive, type_ingest, tables, allen_files
):
    before = len(tables.session.NwbFile())
    code, rows, said = type_ingest("allen:910005000", "--dry-run")
    assert code == 0
    assert {row["path"].count("probe-") for row in rows.values()} == {0, 1}
    assert {row["layout"] for row in rows.values()} == {"allen"}
    assert {row["registered"] for row in rows.values()} == {"no"}
    assert {r["path"]: r["bytes"] for r in rows.values()} == {
        f"{DANDISET}/{path}": len(data) for path, data in allen_files.items() if "910005000" in path
    }
    assert sum(archive.sent.values()) == 0
    assert len(tables.session.NwbFile()) == before


def test_an_allen_probe_id_brings_its_session_file(archive, type_ingest, allen_files):
    probe = next(path for path in allen_files if "_probe-" in path)
    number = probe.partition("_probe-")[2].partition("_")[0]
    _, rows, _ = type_ingest(f"allen:{number}", "--dry-run")
    assert set(rows) == {f"{DANDISET}/{probe}", f"{DANDISET}/{probe.partition('_probe-')[0]}.nwb"}


def test_a_draft_is_used_where_nothing_is_published_and_it_is_said(
    archive, type_ingest, allen_files
):
    path, data = next(iter(allen_files.items()))
    archive.publish("000409", "draft", {path: data})
    _, rows, said = type_ingest("dandi:000409", "--dry-run")
    assert "draft of 000409, which may change" in said
    assert rows[f"000409/{path}"]["version"] == "draft"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("dandi:999999", "No such Dandiset"),
        ("dandi:000022@0.1.1", "No such version"),
        ("dandi:000022/sub-1/*.nwb", "no file in the dandiset fits"),
        ("allen:123", "no file of that session in 000021, 000022, 000713"),
        ("ibl:0802ced5-33a3-405e-8336-b65ebc5cb07c", "pid2eid"),
    ],
)
def test_what_the_archive_does_not_have_is_one_sentence(archive, type_ingest, source, told):
    archive.publish("000409", "0.1.1", {"sub-1/sub-1_ses-2_desc-raw_ecephys.nwb": b"x"})
    with pytest.raises(SourceError, match=told):
        type_ingest(source)


def test_an_archive_that_is_away_is_one_sentence(monkeypatch, tables):
    from workers.ingest import register

    monkeypatch.setenv("DANDI_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(SourceError, match="does not answer .*DANDI_API_URL"):
        register(["dandi:000022"], base=Path.cwd())


def test_an_embargoed_dandiset_needs_the_token_which_is_stored_nowhere(
    archive, type_ingest, tables, monkeypatch
):
    archive.token = "s3cr3t-token"
    with pytest.raises(SourceError, match="set DANDI_API_KEY"):
        type_ingest("dandi:000022", "--dry-run")
    monkeypatch.setenv("DANDI_API_KEY", archive.token)
    code, rows, said = type_ingest(f"dandi:{DANDISET}", "--stream")
    assert code == 0
    stored = repr((tables.session.NwbFile().to_dicts(), tables.recording.Ingestion().to_dicts()))
    assert archive.token not in stored + repr(rows) + said
    forget(tables, archive)


def test_the_same_asset_in_a_later_version_is_the_file_that_is_known(archive, type_ingest, tables):
    type_ingest(f"dandi:{DANDISET}")
    n = len(tables.session.NwbFile())
    same = dict(archive.dandisets[DANDISET][VERSION])
    path, old = next(iter(same.items()))
    same[path] = Asset(path, old.data)  # published anew with other metadata: new id, same bytes
    archive.publish(DANDISET, "0.230101.0000", same)
    archive.sent.clear()
    code, rows, _ = type_ingest(f"dandi:{DANDISET}")
    assert code == 0
    assert len(tables.session.NwbFile()) == n
    assert sum(archive.sent.values()) == 0
    forget(tables, archive)


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([503, ...], "answered 503; try again later"),
        (["slow", ...], "try again later"),
        (["cut", ...], "connection broke|bytes came"),
        ([404, ...], "is not there .404."),
        (["short", ...], "changed|bytes"),
    ],
)
def test_a_file_that_cannot_be_streamed_costs_itself_and_is_read_when_it_can(
    archive, type_ingest, tables, allen_files, faults, told
):
    bad = next(path for path in allen_files if "_probe-" in path)
    archive.faults[f"/{Path(bad).name}"] = faults
    code, rows, _ = type_ingest(f"dandi:{DANDISET}", "--stream")
    assert code == 1
    status = {path: row["status"] for path, row in rows.items()}
    assert status.pop(f"{DANDISET}/{bad}") == "error"
    assert "error" not in status.values()
    (message,) = rows[f"{DANDISET}/{bad}"]["messages"]
    assert re.search(told, message)
    archive.faults.clear()
    code, rows, _ = type_ingest(f"dandi:{DANDISET}", "--stream")
    assert code == 0
    assert rows[f"{DANDISET}/{bad}"]["lfp"] == 1
    forget(tables, archive)


@pytest.mark.parametrize(
    ("faults", "told", "left"),
    [
        (["cut", 503, "cut"], None, None),
        ([503, ...], "answered 503", False),
        (["cut", "cut", 404, ...], "is not there .404.", True),
        (["short", ...], "were announced; ingest it again with --revise", False),
        (["flip", ...], "came twice with another checksum", False),
        (["flip"], None, None),
    ],
)
def test_a_download_is_whole_and_checked_or_not_there(
    archive, type_ingest, tables, allen_files, tmp_path, faults, told, left
):
    bad = next(path for path in allen_files if "_probe-" in path)
    archive.faults[f"/{Path(bad).name}"] = list(faults)
    code, rows, _ = type_ingest(f"dandi:{DANDISET}", "--download")
    here = {p.name: p for p in tmp_path.rglob("recordings/**/*.nwb*")}
    row = rows[f"{DANDISET}/{bad}"]
    if told is None:
        assert code == 0
        assert here[Path(bad).name].read_bytes() == allen_files[bad]
        assert row["lfp"] == 1
    else:
        assert code == 1
        assert row["status"] == "error"
        assert re.search(told, row["messages"][0])
        assert Path(bad).name not in here
        assert any(name.endswith(".partial") for name in here) is left
    others = {Path(path).name for path in allen_files} - {Path(bad).name}
    assert others <= set(here)
    assert not any(row["status"] == "error" for path, row in rows.items() if bad not in path)
    forget(tables, archive)


def test_an_interrupted_download_goes_on_where_it_stopped(
    archive, type_ingest, tables, allen_files
):
    bad = next(path for path in allen_files if "_probe-" in path)
    name, size = Path(bad).name, len(allen_files[bad])
    archive.faults[f"/{name}"] = ["cut", 404]
    assert type_ingest(f"dandi:{DANDISET}/{bad}", "--download")[0] == 1
    archive.faults.clear()
    archive.asked.clear()
    assert type_ingest(f"dandi:{DANDISET}/{bad}", "--download")[0] == 0
    asked = [line for line in archive.asked if line.startswith("/blobs/")]
    assert len(asked) == 1
    begins = int(re.fullmatch(r".* bytes=(\d+)-", asked[0])[1])
    assert size // 2 - 70_000 < begins <= size // 2
    forget(tables, archive)


@pytest.mark.parametrize("faults", [["cut", "other part"], ["cut", "other part", "cut"]])
def test_a_server_that_goes_on_elsewhere_is_asked_from_the_beginning(
    archive, type_ingest, tables, allen_files, tmp_path, faults
):
    data = next(data for path, data in allen_files.items() if "_probe-" in path)
    (asset,) = archive.publish("000001", "0.1.1", {"a.nwb": data}).values()
    url = f"{archive.api.removesuffix('/api')}/blobs/{asset.blob}/a.nwb"
    row = {
        "nwb_file": "0" * 64, "root": None, "path": url, "bytes": len(data), "etag": None,
        "asset": None, "dandi_version": None, "revision": 0,
    }  # fmt: skip
    archive.faults["/a.nwb"] = list(faults)
    assert fetch_copies([row], to=tmp_path / "copies", on_file=lambda path: None) == {}
    (copy,) = (tmp_path / "copies").rglob("a.nwb")
    assert copy.read_bytes() == data
    ranges = [line.partition(" ")[2] for line in archive.asked]
    assert ranges[0] == ""
    assert re.fullmatch(r"bytes=\d{4,}-", ranges[1])
    assert set(ranges[2:]) == {""}
    assert archive.faults["/a.nwb"] == []


@pytest.mark.parametrize(
    ("told", "fits"),
    [
        ("bytes 500-999/1000", True), ("bytes 500-999/*", True), ("bytes 0-999/1000", False),
        ("bytes 500-998/999", False), ("", False), ("bytes */1000", False),
    ],
)  # fmt: skip
def test_a_partial_answer_must_say_that_it_goes_on_where_the_copy_ends(told, fits):
    answer = namedtuple("answer", "headers")({"Content-Range": told} if told else {})
    assert _goes_on(answer, 500, 1000) is fits


def test_a_copy_without_a_checksum_is_not_called_checked(archive, type_ingest, allen_files):
    path, data = next((path, data) for path, data in allen_files.items() if "_probe-" in path)
    (asset,) = archive.publish("000001", "0.1.1", {"b.nwb": data}).values()
    url = f"{archive.api.removesuffix('/api')}/blobs/{asset.blob}/b.nwb"
    _, rows, _ = type_ingest(url, f"dandi:{DANDISET}/{path}", "--download")
    told = "the server gives no checksum for the copy: its length alone was compared"
    assert told in rows[url]["messages"]
    assert not any("checksum" in text for text in rows[f"{DANDISET}/{path}"]["messages"])


def test_a_disk_without_room_is_said_before_a_byte_is_fetched(
    archive, type_ingest, tables, monkeypatch
):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(1 << 28))
    with pytest.raises(SourceError, match="nothing was fetched.*--stream"):
        type_ingest(f"dandi:{DANDISET}", "--download")
    assert sum(archive.sent.values()) == 0
    assert not rows_of(tables, archive)[1]


def test_copies_in_a_second_folder_are_refused_before_anything_is_registered(
    archive, type_ingest, tables, allen_files, tmp_path
):
    first, second = sorted(allen_files)[0], sorted(allen_files)[-1]
    assert type_ingest(f"dandi:{DANDISET}/{first}", "--to", tmp_path / "one")[0] == 0
    with pytest.raises(SourceError, match="copies of .* lie in .*/one on this machine, not in"):
        type_ingest(f"dandi:{DANDISET}/{second}", "--to", tmp_path / "two")
    assert [row["path"] for row in rows_of(tables, archive)[1]] == [f"{DANDISET}/{first}"]
    forget(tables, archive)


def test_a_copy_named_as_a_file_is_the_asset_it_is_a_copy_of(
    archive, type_ingest, tables, tmp_path
):
    type_ingest(f"dandi:{DANDISET}", "--download")
    n = len(tables.session.NwbFile())
    code, rows, _ = type_ingest(next((tmp_path / "home" / "recordings").iterdir()))
    assert code == 0
    assert len(rows) == 4
    assert len(tables.session.NwbFile()) == n
    forget(tables, archive)


def test_a_copy_that_was_written_over_is_refused(
    archive, type_ingest, tables, allen_files, tmp_path
):
    from pipeline.nwb import ContentChanged
    from schemas._sources import source_of

    type_ingest(f"dandi:{DANDISET}", "--download")
    path = next(iter(allen_files))
    row = (tables.session.NwbFile & {"path": f"{DANDISET}/{path}"}).fetch1()
    copy = Path(source_of(row))
    assert copy.read_bytes() == allen_files[path]
    copy.chmod(0o644)
    copy.write_bytes(b"something else")
    with pytest.raises(ContentChanged, match="14 bytes, .* when it was registered"):
        source_of(row)
    copy.unlink()
    assert source_of(row).startswith(archive.api)  # no copy: read where it is
    assert keep_copies([row["nwb_file"]], to=None) == {}
    assert Path(source_of(row)).read_bytes() == allen_files[path]
    forget(tables, archive)


def test_verify_tells_a_copy_in_which_one_bit_went_over(archive, type_ingest, tables):
    from schemas._sources import archive_root, source_of
    from workers.verify import verify

    def damage():
        return [found for found in verify(table="NwbFile").damage if found.key in mine]

    type_ingest(f"dandi:{DANDISET}", "--download")
    rows = tables.session.NwbFile & {"root": archive_root()}
    mine = rows.keys()
    assert len(mine) > 1
    assert not damage()
    row = rows.to_dicts(limit=1)[0]
    copy = Path(source_of(row))
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.chmod(0o644)
    copy.write_bytes(content)
    (found,) = damage()
    assert found.key == {"nwb_file": row["nwb_file"]}
    assert "another checksum" in found.what
    assert str(copy) in found.what
    assert "remove it" in found.way_out
    forget(tables, archive)


@pytest.mark.parametrize("name", ["../../out.nwb", "/etc/out.nwb", "a/../../../out.nwb"])
@pytest.mark.parametrize("version", ["draft", "../../..", "/etc"])
def test_no_name_in_the_archive_leads_out_of_the_folder(archive, tmp_path, name, version):
    from schemas._roots import add_root
    from schemas._sources import archive_root, place_of_copy

    folder = (tmp_path / "copies").resolve()
    add_root(archive_root(), folder)
    row = {
        "root": archive_root(), "path": f"{DANDISET}/{name}", "asset": "a1b2c3d4e5",
        "dandi_version": version, "revision": 0,
    }  # fmt: skip
    place = place_of_copy(row)
    assert place.resolve().is_relative_to(folder / DANDISET)
    assert ".." not in place.parts
