"""Files that share a session are removed one by one, and what they share is read anew."""

import pytest

TIMES = {"read_seconds", "added", "registered"}


@pytest.fixture(scope="module")
def rows_of_session():
    """Rows of a session, but for times: by table."""
    from workers.export.lineage import all_tables

    def rows(name):
        found = {}
        for place, table in all_tables().items():
            if place.startswith("recording") and "session" in table().heading.names:
                told = (table & {"session": name}).to_dicts()
                kept = [{k: v for k, v in row.items() if k not in TIMES} for row in told]
                found[place] = sorted(map(repr, kept))
        return found

    return rows


def test_a_file_whose_channels_another_brought_is_read_again(
    ingest, summary, rows_of_session, tables
):
    from schemas import recording, session
    from workers.remove import plan_removal, remove

    first = summary(session_id="brought by two", units=[], lfp=[])
    second = summary(session_id="brought by two", trials=[])
    (alone,) = ingest(second=second)
    name = (recording.IngestionSession & {"nwb_file": alone}).fetch1("session")
    expected = rows_of_session(name)
    assert len(expected["recording.LfpColumn"]) == 2
    remove("session", name)
    assert not len(session.NwbFile & {"nwb_file": alone})
    first, second = ingest(first=first, second=second)
    assert second == alone
    assert set((recording.Channel & {"session": name}).to_arrays("nwb_file")) == {first}

    plan = plan_removal("file", first[:10])
    assert plan.read_again == ["second.nwb"]
    remove("file", first[:10])
    assert not len(session.NwbFile & {"nwb_file": first})
    assert not len(session.Session & {"session": name})
    assert not len(recording.Ingestion & {"nwb_file": second})
    assert recording.Ingestion.populate({"nwb_file": second})["success_count"] == 1
    assert rows_of_session(name) == expected
    remove("session", name)


def test_a_file_beside_which_another_brought_the_channels_goes_alone(ingest, summary, tables):
    from schemas import recording, session
    from workers.remove import plan_removal, remove

    first, second = ingest(
        beside1=summary(session_id="beside", trials=[]),
        beside2=summary(session_id="beside", units=[], lfp=[], channels=[]),
    )
    name = (recording.IngestionSession & {"nwb_file": first}).fetch1("session")
    plan = plan_removal("file", second[:10])
    assert not plan.read_again
    assert "recording.Channel" not in plan.rows
    remove("file", second[:10])
    assert len(recording.Channel & {"session": name}) == 2
    assert len(session.Session & {"session": name}) == 1
    remove("session", "beside")
    assert not len(session.Session & {"session": name})


def test_a_session_of_a_file_that_holds_others_too_is_not_taken_out_of_it(ingest, summary):
    from schemas import recording, session
    from workers.remove import NoSuchName, remove

    keys = ingest(inner=summary(session_id="inner"), outer=summary(session_id="outer"))
    inner, outer = [
        (recording.IngestionSession & {"nwb_file": key}).fetch1("session") for key in keys
    ]
    link = {"nwb_file": keys[0], "session": outer, "conflicts": []}
    recording.IngestionSession.insert1(link)
    with pytest.raises(NoSuchName, match=r"inner\.nwb, which also holds 1 other session\(s\)"):
        remove("session", inner)
    assert len(session.Session & {"session": inner}) == 1
    remove("subject", "rat 1")
    assert not len(session.Session & [{"session": inner}, {"session": outer}])
    assert not len(session.NwbFile & [{"nwb_file": key} for key in keys])


def test_labels_that_a_person_gave_are_told_before_they_go(ingest, summary):
    from schemas import recording
    from schemas._ingest import add_labels
    from workers.remove import plan_removal, remove

    (key,) = ingest(given=summary(session_id="given"))
    name = (recording.IngestionSession & {"nwb_file": key}).fetch1("session")
    site = {"probe": "probe-A", "channel": 0}
    site["probe"] = (recording.Channel & {"session": name} & "channel = 0").fetch1("probe")
    entries = [{**site, "raw": "CA1", "cleaned": "CA1"}]
    add_labels({"session": name}, "histology.csv", "histology", entries)
    assert plan_removal("file", key[:10]).labels == [f"1 of {name} from histology.csv"]
    remove("file", key[:10])
    assert not len(recording.LabelSet & {"session": name})
