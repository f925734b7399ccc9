"""What people write for a dandiset, an Allen session or an IBL session."""

import pytest

from workers.archive.found import SourceError
from workers.archive.names import names_assets, parse_name, path_fits

EID = "0802ced5-33a3-405e-8336-b65ebc5cb07c"
PROBE = "sub-730756767/sub-730756767_ses-757970808_probe-769322852_ecephys.nwb"


@pytest.mark.parametrize(
    ("typed", "dandiset", "version", "globs"),
    [
        ("dandi:000022", "000022", None, ("**/*.nwb",)),
        ("DANDI:000022/0.220126.0855", "000022", "0.220126.0855", ("**/*.nwb",)),
        ("dandi:000022@draft", "000022", "draft", ("**/*.nwb",)),
        ("dandi:000022@0.1.2/sub-1/*.nwb", "000022", "0.1.2", ("sub-1/*.nwb",)),
        ("dandi:000022/sub-1", "000022", None, ("sub-1/**/*.nwb",)),
        (f"dandi:000022/{PROBE}", "000022", None, (PROBE,)),
        ("https://dandiarchive.org/dandiset/000022", "000022", None, ("**/*.nwb",)),
        ("https://dandiarchive.org/dandiset/000022/0.1.2/files", "000022", "0.1.2", ("**/*.nwb",)),
    ],
)
def test_a_dandiset_is_named_with_version_and_path_or_without(typed, dandiset, version, globs):
    wanted = parse_name(typed)
    assert (wanted.dandisets, wanted.version, wanted.globs) == ((dandiset,), version, globs)


@pytest.mark.parametrize(
    ("path", "glob", "fits"),
    [
        (PROBE, "sub-*/*_probe-*_ecephys.nwb", True),
        (PROBE, "*_probe-*_ecephys.nwb", False),
        (PROBE, "**/*.nwb", True),
        ("top.nwb", "**/*.nwb", True),
        (PROBE, "sub-*/*_ses-757970808.nwb", False),
        ("sub-1/a.nwb", "sub-?/a.nwb", True),
        ("sub-1/aXnwb", "sub-1/a.nwb", False),
    ],
)
def test_a_star_stays_in_its_folder_and_two_go_into_all(path, glob, fits):
    assert path_fits(path, glob) is fits


def test_an_allen_session_or_probe_id_is_no_part_of_another_number():
    fits = parse_name("allen:757970808").fits
    assert fits.search(PROBE)
    assert fits.search("sub-7/sub-7_ses-757970808.nwb")
    assert not fits.search(PROBE.replace("757970808", "7579708081"))
    assert not fits.search("sub-757970808/sub-757970808_ses-1.nwb")  # a subject, not a session
    assert parse_name("allen:769322852").fits.search(PROBE)


def test_an_ibl_eid_finds_raw_and_processed_files():
    fits = parse_name(f"ibl:{EID.upper()}").fits
    assert fits.search(f"sub-Z/sub-Z_ses-{EID}_desc-raw_ecephys.nwb")
    assert fits.search(f"sub-Z/sub-Z_ses-{EID}_desc-processed_behavior+ecephys.nwb")
    assert not fits.search(f"sub-Z/sub-Z_ses-{EID[:-1]}d_desc-raw_ecephys.nwb")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("dandi:22", "write dandi:000022"),
        ("dandi:000022@latest", "write dandi:000022"),
        ("allen:mouse", "an ecephys session or probe id"),
        ("ibl:KS051", "the session's eid, a UUID"),
    ],
)
def test_a_name_that_is_none_says_how_it_is_written(typed, told):
    assert names_assets(typed)
    with pytest.raises(SourceError, match=told):
        parse_name(typed)


@pytest.mark.parametrize("typed", ["a.nwb", "https://host/a.nwb", "folder/dandi/000022"])
def test_files_and_urls_are_not_for_the_archive(typed):
    assert not names_assets(typed)


def test_a_url_with_a_password_is_refused_without_showing_it(tmp_path):
    from workers.archive.find import find_sources
    from workers.archive.found import SourceError

    with pytest.raises(SourceError, match="of https://host.org:8080/a.nwb holds .*netrc") as told:
        find_sources(["https://me:hunter2@host.org:8080/a.nwb"], base=tmp_path)
    assert "hunter2" not in str(told.value)
    plain = "https://host.org/a@b.nwb"
    assert find_sources([plain], base=tmp_path) == [plain]


def test_a_folder_that_cannot_be_made_is_said_and_not_remembered(tmp_path, monkeypatch):
    from schemas._roots import data_roots
    from workers.archive.download import prepare_root
    from workers.archive.found import SourceError

    monkeypatch.setenv("FIELDBASE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FIELDBASE_ROOTS", raising=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot lie in .*file/copies .*; name another folder"):
        prepare_root("dandi", tmp_path / "file" / "copies")
    assert data_roots() == {}
