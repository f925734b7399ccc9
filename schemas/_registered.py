"""Named models: what a trained model was made from, as far as choosing one needs it."""

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np

from . import dataset, prediction, recording, session, training, windows
from ._train import heard_without_labels, scheme_of

LABELLED = ("train", "support")
KINDS = (
    (r"neuropixels?|\b3[ab]\b", "Neuropixels"),
    (r"tetrode", "tetrodes"),
    (r"ecog|grid|strip|subdural", "subdural electrodes"),
    (r"depth electrode|s-?eeg|stereo", "depth electrodes"),
    (r"utah", "Utah array"),
    (r"neuronexus|cambridge|buzsaki|silicon", "silicon probe"),
)
NEUROPIXELS_SITES = 384


def register_model(name: str, trained: str, *, chosen: dict[str, Any] | None = None) -> dict:
    """Give a training a name under which `locate` finds it; its card.

    Parameters
    ----------
    trained
        Digest of a finished training.
    chosen
        What to add to the card: ``study``, ``score``, why this one.

    Raises
    ------
    LookupError
        If the training is not done, or cannot name regions.
    ValueError
        If the name stands for another training.
    """
    for row in (training.RegisteredModel & {"registered_model": name}).to_dicts():
        if row["training"] == trained:
            return row["card"]
        raise ValueError(
            f"model {name!r} is training {row['training'][:12]}; asked to make it {trained[:12]}. "
            "Choose another name, or delete that row of training.RegisteredModel"
        )
    card = {**make_card(trained, (chosen or {}).get("study")), **(chosen or {})}
    row = {"registered_model": name, "training": trained, "card": card}
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    training.RegisteredModel.insert1({**row, "model_added": now})
    return card


def make_card(trained: str, study: str | None = None) -> dict[str, Any]:
    """What a training was made from and what it can say: plain JSON.

    Parameters
    ----------
    study
        Whose post-processing counts; None: that of all studies with this training, or none where
        they differ.

    Raises
    ------
    LookupError
        If the training is not done or cannot name regions.
    """
    key = {"training": trained}
    if not training.Training & key:
        raise LookupError(f"training {trained[:12]} is not done; populate training.Training first")
    task = (training.TrainingTask * training.ModelParamSet.proj("family") & key).fetch1()
    done = (
        (training.Training & key)
        .proj("classes", "synthetic_training", "domain", "weights_digest")
        .fetch1()
    )
    if not done["classes"]:
        raise LookupError(
            f"training {trained[:12]} ({task['model']}) names no regions: it was fitted without "
            "labels. Register the stage that was (objective 'finetune' or 'none')"
        )
    members = training_members(trained, LABELLED)
    if not members:
        raise LookupError(f"the recordings that training {trained[:12]} saw are gone")
    chain = _chain(members)
    return {
        "family": task["family"],
        "model": task["model"],
        "seed": task["seed"],
        "scheme": scheme_of(task["split"]),
        "classes": done["classes"],
        "synthetic": bool(done["synthetic_training"]),
        "weights_digest": done["weights_digest"],
        **chain,
        **_who(members),
        "rates_hz": _rates(done["domain"]),
        "postprocess_params": _postprocess(trained, study),
    }


def training_members(trained: str, roles: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    """Windows tasks, sessions and subjects that a training was given in `roles` (None: any).

    Held-out roles (test, calibrate) are never among them, nor, of self-supervised training, those
    that it does not read.
    """
    task = training.TrainingTask.proj("split", "fold") & {"training": trained}
    parts = dataset.SplitAssignment & task & "role not in ('test', 'calibrate')"
    asked = (training.TrainingTask * training.FitParamSet & {"training": trained}).fetch1()
    if asked["objective"] == "ssl":
        parts = parts & [{"role": role} for role in heard_without_labels(asked["split"])]
    if roles is not None:
        parts = parts & [{"role": role} for role in roles]
    names = sorted(set(parts.to_arrays("windows")))
    if not names:
        return []
    told = windows.WindowsTask * session.Session.proj("source", "subject") * session.Subject
    return (told & [{"windows": name} for name in names]).to_dicts(order_by="windows")


def what_was_heard(trained: str, name: str) -> str:
    """What a training, or one it started from, had of a session: nothing, subject or session."""
    about = (session.Session & {"session": name}).fetch1()
    found, heard, line = "nothing", set(), [trained]
    while line:
        one = line.pop()
        heard.add(one)
        for member in training_members(one):
            if member["session"] == name:
                return "session"
            if (member["source"], member["subject"]) == (about["source"], about["subject"]):
                found = "subject"
        parents = (training.TrainingParent & {"training": one}).to_arrays("parent")
        line += [parent for parent in parents if parent not in heard]
    return found


def probe_kinds(series: list[dict[str, Any]]) -> list[str]:
    """Kinds of the probes that LFP series (``nwb_file``, ``series``) were recorded with."""
    if not series:
        return []
    keys = [{name: one[name] for name in ("nwb_file", "series")} for one in series]
    columns = recording.LfpColumn * recording.Channel.proj("rel_y") & keys
    sites: dict[tuple[str, str], list[float | None]] = {}
    for row in columns.to_dicts():
        sites.setdefault((row["session"], row["probe"]), []).append(row["rel_y"])
    found = set()
    for (name, probe), heights in sites.items():
        row = (recording.ProbeInsertion & {"session": name, "probe": probe}).fetch1()
        text = f"{row['device'] or ''} {row['probe_description'] or ''}"
        found.add(name_probe(text, heights))
    return sorted(found - {None})


def name_probe(text: str, heights: list[float | None]) -> str | None:
    """The kind of probe that a description or the sites' heights (µm) tell of; None if neither."""
    for pattern, kind in KINDS:
        if re.search(pattern, text, re.IGNORECASE):
            return kind
    if len(heights) == NEUROPIXELS_SITES:
        return "Neuropixels"
    known = np.unique([height for height in heights if height is not None])
    return "linear probe" if len(known) >= 4 else None


def _who(members: list[dict[str, Any]]) -> dict[str, Any]:
    subjects = {(member["source"], member["subject"]) for member in members}
    links = windows.WindowsLfp & [{"windows": member["windows"]} for member in members]
    return {
        "species": sorted({m["species"] for m in members} - {None}),
        "labs": sorted({m["source"] for m in members}),
        "probes": probe_kinds(links.to_dicts()),
        "n_subjects": len(subjects),
        "n_sessions": len({m["session"] for m in members}),
    }


def _chain(members: list[dict[str, Any]]) -> dict[str, Any]:
    """The parameter sets its windows were cut with: the one most of them share."""
    names = ("lfp_params", "window_params", "bin_params")
    kinds = [tuple(member[name] for name in names) for member in members]
    most = max(sorted(set(kinds), key=str), key=kinds.count)
    chain = dict(zip(names, most, strict=True))
    if chain["lfp_params"] is None:
        return {**chain, "band_hz": None, "reference": None}
    lfp = windows.LfpParamSet.get(chain)
    return {**chain, "band_hz": [lfp.highpass_hz, lfp.lowpass_hz], "reference": lfp.reference}


def _rates(domain: dict[str, Any]) -> list[float]:
    heard = {round(r["rate"], 3) for r in domain.get("recordings", ()) if r["rate"] is not None}
    return sorted(heard)


def postprocessing_of(trained: str) -> dict[str, str]:
    """How each study that has a training post-processes its answers, by the study's name."""
    asked = (prediction.PredictionTask & {"training": trained}).to_dicts()
    params = {row["prediction"]: str(row["postprocess_params"]) for row in asked}
    members = dataset.StudyMember & {"member_table": "prediction_task"}
    rows = (members & [{"member": name} for name in params]).to_dicts(order_by="study")
    return {row["study"]: params[row["member"]] for row in rows}


def _postprocess(trained: str, study: str | None) -> str | None:
    """The post-processing that a study asked for; None where several studies differ."""
    found = postprocessing_of(trained)
    ways = {found[study]} if study in found else set(found.values())
    return ways.pop() if len(ways) == 1 else None
