"""Labels that come later: read, matched to channels, stored once, and scored by."""

import json
from collections import Counter

import numpy as np
import pytest

from schemas._registered import training_members
from workers.choose import find_model
from workers.label_files import LabelError, read_labels
from workers.label_match import find_session, match_channels
from workers.labels import ingest_labels
from workers.locate import locate

REGIONS = ("VISp", "CA1", "CA1", "DG", "VISp", "CA1", "DG", "LP")


@pytest.fixture(scope="module")
def located(model, fresh, tmp_path_factory):
    """The fresh mouse, answered by the registered model."""
    return locate(str(fresh), model="small", out=tmp_path_factory.mktemp("labels"))


@pytest.fixture(scope="module")
def channels(located, tables):
    """Its channels, in order."""
    rows = tables.recording.Channel & {"session": located.session}
    return rows.to_dicts(order_by="channel")


@pytest.fixture(scope="module")
def truth(channels):
    """A region per electrode id."""
    return dict(zip([row["channel"] for row in channels], REGIONS, strict=True))


@pytest.fixture(scope="module")
def added(located, truth, tmp_path_factory):
    """Those regions as a CSV, ingested."""
    lines = [f"{channel},{region},1.5,2,3" for channel, region in truth.items()]
    path = tmp_path_factory.mktemp("csv") / "traced.csv"
    path.write_text("\n".join(["channel,region,x,y,z", *lines]))
    return ingest_labels(path, located.session, evidence="expert"), path


def test_labels_become_rows_with_their_evidence_and_place(added, truth, tables):
    found, _ = added
    assert found.n_labels == len(truth)
    key = {"label_set": found.label_sets["expert"]}
    stored = (tables.recording.LabelSet & key).fetch1()
    assert (stored["evidence"], stored["origin"]) == ("expert", "traced.csv")
    entries = (tables.recording.LabelEntry & key).to_dicts()
    assert {row["channel"]: row["raw"] for row in entries} == truth
    assert {(row["label_x"], row["label_y"], row["label_z"]) for row in entries} == {(1.5, 2, 3)}


def test_they_are_mapped_to_the_scheme_of_the_stored_predictions(added, tables):
    found, _ = added
    key = {"label_set": found.label_sets["expert"], "scheme": "lfp2vec5"}
    assert found.known == {"lfp2vec5 (expert)": 7}  # LP is none of the five
    assert (tables.anatomy.ChannelLabel & key).fetch1("n_known") == 7


def test_stored_answers_are_scored_as_counting_by_hand_says(added, located, truth):
    found, _ = added
    answer = dict(zip(located.channels["channel"], located.channels["region_pred"], strict=True))
    named = {"VISp": "cortex", "CA1": "CA1", "DG": "DG"}
    pairs = [(named[r], answer[c]) for c, r in truth.items() if r in named]
    score = found.scores.query("level == 'answer' and metric == 'accuracy'").iloc[0]
    assert score["n"] == len(pairs) == 7
    assert score["value"] == pytest.approx(np.mean([t == said for t, said in pairs]))
    assert score["chance"] == pytest.approx(3 / 7)  # CA1, the majority
    assert score["model"] == "small"
    assert np.isnan(score["low"])
    assert "1 session" in score["reason"]


def test_the_view_over_every_score_has_them_under_the_models_name(added, tables):
    found, _ = added
    view = tables.scores()
    later = view[(view["table"] == "LabelScore") & (view["target"] == "traced.csv (expert)")]
    assert len(later) == len(found.scores)
    assert set(later["model"]) == {"small"}
    assert later["study"].isna().all()
    same = later[(later["level"] == "answer") & (later["metric"] == "accuracy")]
    told = found.scores.query("level == 'answer' and metric == 'accuracy'")
    assert same["value"].tolist() == told["value"].tolist()


def test_windows_and_channels_are_scored_as_in_an_evaluation(added):
    levels = added[0].scores.groupby("level")["metric"].agg(set)
    assert set(levels.index) == {"window", "channel", "post-processed", "answer"}
    assert {"accuracy", "balanced_accuracy", "macro_f1", "recall"} <= levels["channel"]


def test_a_score_says_what_the_training_had_of_the_session(added, mice, model, tables, tmp_path):
    assert set(added[0].scores["heard"]) == {"nothing"}
    heard = training_members(find_model("small").training)[0]["session"]
    files = tables.recording.IngestionSession * tables.session.NwbFile & {"session": heard}
    path = next((mice / "lab").rglob(files.fetch1("path").split("/")[-1]))
    locate(str(path), model="small", out=tmp_path)
    rows = (tables.recording.Channel & {"session": heard}).to_dicts()
    path = tmp_path / "again.csv"
    path.write_text("id,location\n" + "\n".join(f"{row['channel']},CA1" for row in rows))
    found = ingest_labels(path, heard, evidence="histology")
    assert set(found.scores["heard"]) == {"nothing", "session"}  # the study's answers were held out


def test_the_same_labels_twice_are_one_row(added, located, tables):
    found, path = added
    counted = (tables.recording.LabelSet, tables.recording.LabelEntry, tables.analysis.LabelScore)
    before = [len(table()) for table in counted]
    again = ingest_labels(path, located.session, evidence="expert")
    assert [len(table()) for table in counted] == before
    assert again.to_json()["scores"] == found.to_json()["scores"]


def test_an_alignment_file_is_matched_by_place_on_the_shank(located, channels, tables, tmp_path):
    path = tmp_path / "channel_locations.json"
    shuffled = channels[::-1]
    path.write_text(json.dumps(alignment(shuffled)))
    found = ingest_labels(path, located.session)
    key = {"label_set": found.label_sets["histology"]}
    entries = (tables.recording.LabelEntry & key).to_dicts(order_by="label_x")
    expected = [row["channel"] for row in shuffled]
    assert [row["channel"] for row in entries] == expected
    assert (tables.recording.LabelSet & key).fetch1("origin").endswith("µm from bregma")


def test_sites_beyond_the_recording_are_left_out_with_a_note(located, channels, tmp_path):
    told = alignment(channels)
    told["channel_99"] = {**told["channel_0"], "axial": 1e6}
    path = tmp_path / "more.json"
    path.write_text(json.dumps(told))
    _, given = read_labels(path, None)
    matched, notes = match_channels(located.session, given, None)
    assert len(matched) == len(channels)
    assert "1 of 9 sites have no channel" in notes[0]


def test_a_session_may_be_named_as_in_its_file_unless_several_are(mice, located, tables):
    assert find_session(located.session) == located.session
    told = (tables.session.Session & {"session": located.session}).fetch1("session_id")
    with pytest.raises(LabelError, match="sessions have the name") as caught:
        find_session(told)
    assert located.session in str(caught.value)
    ids = tables.session.Session.proj("session_id").to_dicts()
    counts = Counter(row["session_id"] for row in ids)
    alone = [row for row in ids if counts[row["session_id"]] == 1]
    assert all(find_session(row["session_id"]) == row["session"] for row in alone)
    assert alone


def test_a_session_nobody_knows_is_answered_with_those_there_are(located):
    with pytest.raises(LabelError, match="no session has the name 'nowhere'; there are"):
        find_session("nowhere")


def test_channels_that_are_not_there_are_refused_with_the_range(located, channels, tmp_path):
    path = tmp_path / "off.csv"
    path.write_text("channel,region\n123456789,CA1\n")
    with pytest.raises(LabelError, match="1 of 1 labelled channels are not in .* ids go from"):
        ingest_labels(path, located.session, evidence="expert")


@pytest.mark.parametrize(
    ("name", "text", "evidence", "said"),
    [
        ("a.csv", "where,region\n1,CA1\n", "expert", "no column for the channel: it has"),
        ("a.csv", "channel,region\n1,CA1\n", None, "give --evidence with one of histology"),
        ("a.csv", "channel,region\n1,CA1\n", "guess", "evidence 'guess' is none of"),
        ("a.csv", "channel,region,evidence\n1,CA1,hope\n", None, "line 2: evidence 'hope'"),
        ("a.csv", "channel,region\none,CA1\n", "expert", "channel 'one' is no electrode id"),
        ("a.csv", "channel,region\n1,CA1\n1,DG\n", "expert", "gives channel 1 twice"),
        ("a.json", "{}", None, "no entries 'channel_0'"),
        ("a.json", "[1]", None, "is no alignment file"),
        ("a.json", '{"channel_0": {"x": "far"}}', None, "'far' is no number"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, name, text, evidence, said):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(LabelError, match=said):
        read_labels(path, evidence)


def test_each_kind_of_evidence_in_a_file_is_kept_apart(tmp_path):
    path = tmp_path / "mixed.csv"
    path.write_text("electrode\tacronym\tevidence\n3\tCA1\thistology\n4\t\ttarget\n")
    origin, given = read_labels(path, None)
    assert origin == "mixed.csv"
    assert [(g.channel, g.region, g.evidence) for g in given] == [
        (3, "CA1", "histology"),
        (4, None, "target"),
    ]


def alignment(channels):
    """What IBL's alignment tool writes for these channels; x counts them."""
    told = {
        f"channel_{i}": {
            "x": float(i), "y": 0.0, "z": 0.0, "axial": row["rel_y"], "lateral": row["rel_x"],
            "brain_region_id": 382, "brain_region": "CA1",
        }
        for i, row in enumerate(channels)
    }  # fmt: skip
    return {**told, "origin": {"bregma": [5739.0, 5400.0, 332.0]}}
