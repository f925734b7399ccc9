"""The later content of a file stands for it, once it was read."""


def test_only_the_revision_that_counts_gives_units_and_invalid_times(tables, ingest, summary):
    from schemas._revisions import files_of, superseded

    session = tables.session
    (old,) = ingest(twice=summary(session_id="revised"))
    row = (session.NwbFile & {"nwb_file": old}).fetch1()
    new = "f" * 64
    session.NwbFile.insert1(row | {"nwb_file": new, "revision": 1, "etag": None, "bytes": None})
    (name,) = (tables.recording.IngestionSession & {"nwb_file": old}).to_arrays("session")
    assert files_of(name) == [old]  # not read yet: it takes over from nothing
    tables.recording.Ingestion.populate({"nwb_file": new})
    assert superseded([old, new]) == {old}
    assert files_of(name) == [new]
