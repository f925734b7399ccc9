"""How diseased each region looks to a model: held-out windows by region and condition."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.anatomy import OF_SUBJECT, STRONGEST_FIRST, map_label

from . import analysis, recording, session
from ._analyse import Scores, gather, request, score_rows
from ._revisions import superseded

DISEASED = "diseased"
KIND = "abnormality"
"""Kind of the control; behind a colon stands the scheme of the regions."""


def abnormality_of(task: dict[str, Any], **_: Any) -> tuple[str, Scores]:
    """Shares of windows called diseased, and accuracy over sessions, by permuting animals."""
    from pipeline.evaluation import as_labels
    from pipeline.evaluation.abnormality import abnormality

    scheme = task["control_kind"].partition(":")[2]
    asked = request(
        analysis.EvaluationTask, analysis.EvaluationInput, {"evaluation": task["evaluation"]}
    )
    kind, outputs, targets, groups = gather(asked)
    text = f"which animals are diseased permuted; regions of {scheme}; models not fitted again"
    if kind != "classes" or DISEASED not in outputs.classes:
        reason = "the model does not say diseased or control"
        return text, [_none(reason)]
    params = analysis.EvalParamSet.get(asked["task"])
    truth = as_labels(targets)
    keep = np.array([target is not None for target in truth], dtype=bool)
    called = groups.loc[keep, ["subject", "session", "channel"]].reset_index(drop=True)
    called["region"] = _regions(called, scheme)
    called["diseased"] = truth[keep] == DISEASED
    answer = outputs.proba[keep].argmax(axis=1)
    called["called"] = answer == outputs.classes.index(DISEASED)
    if not len(called):
        return text, [_none("no held-out channel has a condition")]
    rows = abnormality(called, interval=params.interval, seed=task["control_seed"])
    sessions = called["session"].nunique()
    return text, score_rows(rows, sessions)


def _regions(rows: pd.DataFrame, scheme: str) -> list[str | None]:
    """Region of each row's channel, by the strongest labels of its session."""
    found: dict[tuple[str, str], str] = {}
    for name in rows["session"].unique():
        about = (session.Session * session.Subject & {"session": name}).fetch1()
        for entry in _strongest(name):
            site = f"{entry['probe']}:{entry['channel']}"
            label = map_label(entry["cleaned"], scheme, about["species"])
            if label.region is not None:
                found.setdefault((name, site), label.region)
    return [found.get(pair) for pair in zip(rows["session"], rows["channel"], strict=True)]


def _strongest(name: str) -> list[dict[str, Any]]:
    """Entries of every label set of places of a session, the strongest evidence first."""
    sets = (recording.LabelSet & {"session": name}).to_dicts(order_by="origin, label_set")
    old = superseded(row["nwb_file"] for row in sets if row["nwb_file"])
    usable = [r for r in sets if r["evidence"] != OF_SUBJECT and r["nwb_file"] not in old]
    usable.sort(key=lambda row: STRONGEST_FIRST.index(row["evidence"]))
    return [
        entry
        for row in usable
        for entry in (recording.LabelEntry & {"label_set": row["label_set"]}).to_dicts()
    ]


def _none(reason: str) -> dict[str, Any]:
    return {
        "level": "session", "metric": KIND, "detail": None, "value": None, "chance": None, "n": 0,
        "n_groups": None, "low": None, "high": None, "score_reason": reason,
    }  # fmt: skip
