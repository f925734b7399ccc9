"""Rows that a result was computed from are not deleted behind its back.

A foreign key leads from a training to its task, not to the windows it saw: a plain cascade would
take the windows and leave the training as if nothing had happened.
"""

from collections.abc import Iterator

import datajoint as dj
from datajoint.errors import DataJointError


class Guarded:
    """Mixin: ``delete()`` is refused while a result that would stay came from the rows."""

    def delete(self, *args, **options):
        """Delete rows and what hangs on them; see `datajoint.Table.delete`.

        Raises
        ------
        DeleteRefused
            If something was computed from the rows and would stay; the message names it.
        """
        rows = _by_key(self)
        refuse_used(rows)
        return super(Guarded, rows).delete(*args, **options)


class DeleteRefused(DataJointError):
    """Rows that something was computed from."""


def refuse_used(rows: dj.Table) -> None:
    """Raise DeleteRefused if deleting `rows` leaves results that were computed from them."""
    rows = _by_key(rows)
    going = {table.full_table_name: table for table in dj.Diagram.cascade(rows)}
    used: dict[str, set[str]] = {}
    for parent, child, link in _links():
        lost = going.get(parent().full_table_name)
        if lost is None or not lost:
            continue
        staying = child() & link(lost)
        if child().full_table_name in going:
            staying = staying - going[child().full_table_name].proj()
        names = {" ".join(str(v)[:12] for v in key.values()) for key in staying.keys()}
        if names:
            used.setdefault(child.__name__, set()).update(names)
    if used:
        told = "; ".join(
            f"{len(names)} of {table} ({', '.join(sorted(names)[:5])}{', …' * (len(names) > 5)})"
            for table, names in used.items()
        )
        raise DeleteRefused(
            f"these {len(rows)} rows of {type(rows).__name__} are not deleted, because results "
            f"that would stay came from them: {told}. Delete those first"
        )


def _by_key(rows: dj.Table) -> dj.Table:
    """The same rows, named one by one where MySQL is the server.

    There DataJoint 2.3.5 takes the columns of a subquery for columns of the table that a cascade
    begins with, and stops.
    """
    if rows.connection.adapter.backend != "mysql" or not rows.restriction:
        return rows
    return type(rows)() & rows.keys()


def _links() -> Iterator[tuple[type, type, callable]]:
    """(table, what is computed from it without a foreign key to it, lost rows → keys of that)."""
    from . import analysis, anatomy, dataset, embedding, prediction, recording, training, windows

    trainings = training.TrainingTask.proj("split", "fold")
    splits = dataset.SplitTask.proj("dataset")
    members = dataset.DatasetMember.proj("label_set") * dataset.Dataset.proj("scheme")
    embeddings = embedding.EmbeddingTask.proj("training", "windows")
    predictions = prediction.PredictionTask.proj("training", "windows")

    def through(*tables):
        def follow(lost):
            found = lost.proj()
            for table in tables:
                found = table & found
            return found

        return follow

    made = windows.Windows
    yield made, dataset.Split, through(dataset.DatasetMember.proj(), splits)
    yield made, training.Training, through(dataset.SplitAssignment.proj(), trainings)
    yield made, embedding.Embedding, through(embeddings)
    yield made, prediction.Prediction, through(predictions)
    yield dataset.DatasetMember, dataset.Split, through(splits)
    yield dataset.SplitAssignment, training.Training, through(trainings)
    yield anatomy.ChannelLabel, training.Training, through(members, splits, trainings)
    yield recording.LabelEntry, anatomy.ChannelLabel, through()
    yield training.Training, embedding.Embedding, through(embeddings)
    yield training.Training, prediction.Prediction, through(predictions)
    yield training.Training, training.Training, _descend
    yield training.TrainingParent, training.Training, through()
    yield prediction.Prediction, analysis.Evaluation, through(analysis.EvaluationInput)
    yield analysis.EvaluationInput, analysis.Evaluation, through()
    later = analysis.LabelScoreTask.proj("prediction", "label_set", "scheme")
    yield prediction.Prediction, analysis.LabelScore, through(later)
    yield anatomy.ChannelLabel, analysis.LabelScore, through(later)
    for result in (analysis.LinearProbe, analysis.Silhouette):
        inputs = result.inputs.__class__
        yield embedding.Embedding, result, through(inputs)
        yield inputs, result, through()
    for result in (analysis.Evaluation, analysis.LinearProbe):
        yield result, analysis.Control, through(analysis.ControlTask.proj(result.tasks.key))
    for source in (
        windows.WindowsLfp, windows.WindowsUnits, windows.WindowsBehavior, windows.WindowsFeatures,
        windows.WindowsInvalid, windows.Windows.Site, windows.Windows.Cell,
    ):  # fmt: skip
        yield source, made, through()
    yield anatomy.ChannelLabel.Region, anatomy.ChannelLabel, through()
    yield prediction.Prediction.ChannelPrediction, prediction.Prediction, through()
    columns = windows.WindowsLfp.proj("nwb_file", "series")
    yield recording.LfpColumn, made, through(columns)
    yield recording.InvalidInterval, made, through(windows.WindowsInvalid.proj())


def _descend(lost: dj.Table):
    """Trainings that start from, or learn from, lost ones."""
    from . import training

    return training.TrainingParent & lost.proj(parent="training")


def readings_of(sessions: dj.Table) -> dj.Table:
    """Ingestions that speak of these sessions and of no other."""
    from . import recording

    spoken = recording.IngestionSession.proj()
    elsewhere = spoken - sessions.proj()
    mine = spoken & sessions.proj()
    return recording.Ingestion & ((recording.Ingestion & mine) - elsewhere).keys()
