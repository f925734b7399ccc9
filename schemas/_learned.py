"""What post-processing learns from the tables: labels of training recordings, answers about
validation recordings. Tested recordings are never asked for."""

from typing import Any

import numpy as np

from pipeline.recording import WindowSet

from . import anatomy, prediction, recording, training
from ._abstain import with_abstention
from ._train import SUPERVISED_ROLES, load_role

OTHER = "outside the scheme"
"""How the reason begins where a label names a region that the scheme has no name for."""


def learned_for(task: dict[str, Any], params, classes, ask) -> dict[str, Any] | None:
    """What post-processing learned for a training: of an earlier answer, or now; plain JSON.

    Parameters
    ----------
    task
        A PredictionTask: its ``training`` and ``postprocess_params``.
    ask
        From a WindowSet to the model's answers about it.
    """
    if not params.learns:
        return None
    same = {name: task[name] for name in ("training", "postprocess_params")}
    earlier = prediction.Prediction * prediction.PredictionTask & same
    for row in (earlier & "learned is not null").proj("learned").to_dicts(limit=1):
        return row["learned"]
    from pipeline.analyses.learned import count_classes, learn_postprocess

    fold = (training.TrainingTask & {"training": task["training"]}).fetch1()
    heard = load_role(fold["split"], fold["fold"], SUPERVISED_ROLES)
    checked = []
    if params.checks:
        checked = load_role(fold["split"], fold["fold"], ("calibrate",))
        checked = checked or load_role(fold["split"], fold["fold"], ("validation",))
    probes = [_labelled(windowset) for windowset in heard]
    count = count_classes(probes, classes)
    some = [_some_windows(one, params.emission.windows) for one in heard] if params.adapts else []
    checked, some = ([(one, ask(one)) for one in asked] for asked in (checked, some))
    scored, heard = (
        [_scored(one, said, classes, params, count / count.sum()) for one, said in asked]
        for asked in (checked, some)
    )
    learned = learn_postprocess(probes, scored, classes, params, heard=heard)
    if params.risk is not None:
        learned = with_abstention(learned, checked, task["training"], params)
    return learned.to_json()


def _some_windows(windowset: WindowSet, most: int) -> WindowSet:
    """At most so many windows, evenly over the recording."""
    keep = np.zeros(len(windowset), bool)
    keep[np.linspace(0, len(windowset) - 1, min(most, len(windowset))).round().astype(int)] = True
    return windowset.take(keep)


def _labelled(windowset: WindowSet):
    from pipeline.analyses.depth_prior import LabelledProbe
    from pipeline.analyses.regions import shank_places

    depth, shank = shank_places(windowset.channels)
    return LabelledProbe(all_labels(windowset), depth, shank)


def _scored(windowset: WindowSet, said, classes, params, prior):
    from pipeline.analyses.regions import channel_means, shank_places
    from pipeline.analyses.scored import ScoredProbe

    depth, shank = shank_places(windowset.channels)
    mean, _ = channel_means(
        said.outputs, said.channel, len(depth), classes, params, training_prior=prior
    )
    with np.errstate(divide="ignore"):
        logs = np.log(mean)
    subject = f"{windowset.source}/{windowset.subject}"
    return ScoredProbe(logs, all_labels(windowset), depth, shank, subject)


def all_labels(windowset: WindowSet) -> list[str | None]:
    """Region of each channel that counts, or the name of one that does not; None without a label.

    A label coarser than the scheme says nothing: it may hold a region that counts.
    """
    counted = windowset.channels["region"]
    known = counted.where(counted.notna(), None).tolist()
    labels = {name: windowset.provenance.get(name) for name in ("label_set", "scheme")}
    if None in labels.values():
        return known
    rows = (anatomy.ChannelLabel.Region * recording.LabelEntry.proj("cleaned") & labels).to_dicts()
    named = {
        (row["probe"], row["channel"]): row["region"] or row["cleaned"]
        for row in rows
        if row["region"] or (row["unknown_reason"] or "").startswith(OTHER)
    }
    places = zip(windowset.channels["probe"], windowset.channels["channel"], strict=True)
    return [name or named.get(place) for name, place in zip(known, places, strict=True)]
