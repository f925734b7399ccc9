"""What a result came from is not deleted behind its back; what nobody used goes with its rows."""

import pytest


@pytest.fixture(scope="module")
def refused():
    from schemas._guard import DeleteRefused

    return DeleteRefused


def counts(tables):
    from schemas import analysis, recording, session, training, windows

    watched = (
        session.Session, recording.Channel, windows.Windows, training.Training, analysis.Evaluation,
    )  # fmt: skip
    return [len(table()) for table in watched]


def seen_windows():
    from schemas import dataset, training, windows

    seen = dataset.SplitAssignment * training.TrainingTask.proj("split", "fold")
    return windows.Windows & (seen & training.Training).proj()


@pytest.mark.parametrize("name", ["Session", "Subject", "Source", "NwbFile"])
def test_a_recording_that_a_training_saw_stays(lab, tables, refused, name):
    from schemas import session, training

    before = counts(tables)
    trained = training.Training().keys()[0]["training"]
    with pytest.raises(refused, match="of Training") as told:
        getattr(session, name).delete()
    assert "Delete those first" in str(told.value)
    names = [key["training"][:12] for key in training.Training().keys()]
    assert any(mark in str(told.value) for mark in names), trained
    assert counts(tables) == before


def test_windows_that_a_training_saw_stay_and_the_trainings_are_named(lab, tables, refused):
    from schemas import dataset, training

    one = (seen_windows() & seen_windows().keys()[0]).proj()
    saw = training.Training & (
        dataset.SplitAssignment.proj() * training.TrainingTask.proj("split", "fold") & one
    )
    with pytest.raises(refused) as told:
        (type(seen_windows()) & one).delete()
    assert f"{len(saw)} of Training" in str(told.value)
    assert len(seen_windows() & one) == 1


@pytest.mark.parametrize(
    ("module", "name", "result"),
    [
        ("training", "Training", "Prediction"),
        ("prediction", "Prediction", "Evaluation"),
        ("embedding", "Embedding", "LinearProbe"),
        ("anatomy", "ChannelLabel", "Training"),
        ("recording", "LabelSet", "Training"),
        ("recording", "InvalidInterval", "Windows"),
        ("recording", "Channel", "Windows"),
        ("dataset", "SplitAssignment", "Training"),
        ("dataset", "DatasetMember", "Split"),
        ("windows", "WindowsLfp", "Windows"),
        ("analysis", "EvaluationInput", "Evaluation"),
    ],
)
def test_what_a_result_came_from_stays(lab, tables, refused, module, name, result):
    import schemas

    before = counts(tables)
    table = getattr(getattr(schemas, module), name)
    with pytest.raises(refused, match=f"of {result}"):
        table.delete()
    assert counts(tables) == before


def test_a_training_that_another_started_from_stays(lab, tables, refused):
    from schemas import training

    chain = training.TrainingParent * training.TrainingTask.proj()
    parents = [{"training": name} for name in chain.to_arrays("parent")]
    with pytest.raises(refused, match="of Training"):
        (training.Training & parents).delete()


def test_a_refusal_does_not_depend_on_being_asked_through_the_class(lab, tables, refused):
    from schemas import windows

    for asked in (windows.Windows, windows.Windows(), windows.Windows & "n_windows > 0"):
        with pytest.raises(refused):
            asked.delete()


def test_a_result_may_go_and_takes_its_scores(lab, tables):
    from schemas import analysis

    task = (analysis.Silhouette()).keys()[0]
    analysis.Silhouette.Score & task
    assert (analysis.Silhouette & task).delete() == 1
    assert not len(analysis.Silhouette.Score & task)
    assert analysis.Silhouette.populate(task)["success_count"] == 1


def test_a_session_no_training_saw_goes_with_all_that_hangs_on_it(tables, recorded):
    from schemas import anatomy, recording, session, windows

    key, file = recorded("cascade")
    for table in (recording.Channel, recording.LfpSeries, windows.WindowsTask, recording.LabelSet):
        assert len(table & key) > 0, table.__name__
    before = len(session.NwbFile())
    assert (session.Session & key).delete() == 1
    for table in (
        session.Session, recording.ProbeInsertion, recording.Channel, recording.LfpSeries,
        recording.Unit, recording.Trial, recording.LabelSet, recording.IngestionSession,
        windows.WindowsTask, anatomy.ChannelLabel.Region,
    ):  # fmt: skip
        assert not len(table & key), table.__name__
    assert not len(recording.Ingestion & {"nwb_file": file})
    assert len(session.NwbFile()) == before


def test_a_deleted_session_can_be_read_again(tables, recorded):
    from schemas import recording, session

    key, file = recorded("again")
    (session.Session & key).delete()
    assert recording.Ingestion.populate({"nwb_file": file})["success_count"] == 1
    assert len(session.Session & key) == 1
    (session.Session & key).delete()


def test_a_file_no_training_saw_goes_with_its_rows(tables, recorded):
    from schemas import recording, session

    key, file = recorded("file")
    from schemas import windows

    (windows.WindowsTask & key).delete()
    (session.NwbFile & {"nwb_file": file}).delete()
    assert not len(recording.Ingestion & {"nwb_file": file})
    assert not len(recording.Channel & key)
    assert len(session.Session & key) == 1
    (session.Session & key).delete()


@pytest.fixture
def recorded(ingest, summary):
    """A session nobody has trained on, with windows asked for and labels mapped."""
    from pipeline.preprocessing import LfpParams, WindowParams
    from schemas import anatomy, recording, windows

    def make(name):
        (file,) = ingest(**{name: summary(session_id=name)})
        session = (recording.IngestionSession & {"nwb_file": file}).fetch1("session")
        key = {"session": session}
        params = windows.WindowParamSet.register(None, WindowParams())
        params |= windows.LfpParamSet.register(None, LfpParams())
        task = windows.WindowsTask.ensure(**key, **params)
        series = (recording.LfpSeries & {"nwb_file": file}).keys()[0]
        windows.WindowsLfp.insert1({**task, **series})
        label_set = (recording.LabelSet & key).keys()[0]
        anatomy.LabelTask.insert1({**label_set, "scheme": "Cosmos"})
        anatomy.ChannelLabel.populate(label_set)
        return key, file

    return make
