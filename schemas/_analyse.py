"""Stored predictions and embeddings become scores: what the analysis tables do."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from pipeline.recording import WindowSet

from . import analysis, dataset
from ._abstain import abstention_rows, threshold_scores
from ._answers import held_out_answers, predictions_of, score_stored
from ._names import clip
from ._roles import members_windows, role_masks

Scores = list[dict[str, Any]]
WHERE = ("session", "subject", "channel", "start_s", "region", "insertion", "shank")


def request(tasks, inputs, key: dict[str, Any]) -> dict[str, Any]:
    """The task and its inputs: keys and names, no arrays."""
    return {
        "task": (tasks & key).fetch1(),
        "inputs": (inputs & key).to_dicts(order_by=inputs.primary_key),
    }


def score_rows(rows: Iterable, groups: int | None = None) -> Scores:
    """ScoreRows of the pipeline as rows of a Score part."""
    return [
        {
            "level": row.level,
            "metric": row.metric,
            "detail": clip(row.detail, 255) or None,
            "value": row.value,
            "chance": row.chance,
            "n": row.n,
            "n_groups": groups,
            "low": row.low,
            "high": row.high,
            "score_reason": clip(row.reason, 512),
        }
        for row in rows
        if row.metric != "confusion"
    ]


def evaluate(asked: dict[str, Any]) -> tuple[dict[str, Any], Scores, list[dict[str, Any]]]:
    """Score the held-out answers of an evaluation: its row, scores and confusion cells."""
    from pipeline.evaluation import SCORERS
    from pipeline.evaluation.subjects import subject_scores

    params = analysis.EvalParamSet.get(asked["task"])
    kind, outputs, targets, groups = gather(asked)
    rows = SCORERS[kind](outputs, targets, groups, params)
    if kind == "classes":
        rows += subject_scores(outputs, targets, groups, params)
        answers = add_lab(held_out_answers(asked), asked["task"]["eval_split"])
        rows += score_stored(answers, outputs.classes, params)
        rows += abstention_rows(asked, params)
    subjects = int(groups["subject"].nunique())
    row = {"n_subjects": subjects, "n_sessions": int(groups["session"].nunique())}
    scores = score_rows(rows, subjects)
    if kind == "classes":
        scores += threshold_scores(asked)
    return row, scores, _confusion(rows)


def gather(asked: dict[str, Any], change=None):
    """Kind of output, held-out outputs, their targets, and who they are from.

    Parameters
    ----------
    change
        Called with each window set and the stored answer; gives other outputs, window and site
        indices (a control). None takes the stored ones.
    """
    split = asked["task"]["eval_split"]
    rows = predictions_of(asked["inputs"])
    windowsets = members_windows(split, {row["windows"] for row in rows.values()})
    parts = []
    for member in asked["inputs"]:
        row = rows[member["prediction"]]
        parts.append(_held_out(member, row, windowsets[row["windows"]], split, change))
    kind = {part[0] for part in parts}
    if len(kind) != 1:
        raise LookupError(f"an evaluation needs outputs of one kind, got {sorted(kind)}")
    join = {"classes": _join_classes, "rates": _join_rates}
    outputs, targets, groups = join[parts[0][0]](parts, split)
    return parts[0][0], outputs, targets, add_lab(groups, split)


def add_lab(rows: pd.DataFrame, split: str) -> pd.DataFrame:
    """The same rows, with their ``lab`` where labs are what the split holds out.

    Intervals then resample labs.
    """
    joined = dataset.SplitTask * dataset.SplitParamSet.proj("split_by")
    if (joined & {"split": split}).fetch1("split_by") != "lab":
        return rows
    return rows.assign(lab=rows["subject"].str.split("/", n=1).str[0])


def _held_out(member: dict[str, Any], row: dict[str, Any], windowset: WindowSet, split, change):
    test = role_masks(split, member["input_fold"], windowset).get("test")
    if test is None:
        raise LookupError(f"{windowset.session} is not held out in fold {member['input_fold']}")
    if change is None:
        outputs, window, site = (row[n].load() for n in ("outputs", "window_index", "site_index"))
    else:
        outputs, window, site = change(windowset, row, test)
    keep = test[window]
    kept = outputs[keep], window[keep], site[keep]
    return row["output"], row["output_classes"], *kept, windowset, member["input_fold"]


def where(windowset: WindowSet, window: np.ndarray, site: np.ndarray) -> pd.DataFrame:
    """Who, where and when each row of an array is: the columns in `WHERE`."""
    known = len(windowset.channels) > 0 and bool((site >= 0).all())
    places = _sites(windowset) if known else _whole(windowset)
    table = places.iloc[site if known else np.zeros(len(window), int)].reset_index(drop=True)
    table.insert(WHERE.index("start_s"), "start_s", windowset.start_s[window])
    return table


def _sites(windowset: WindowSet) -> pd.DataFrame:
    """Who and where each channel is."""
    channels, name = windowset.channels, windowset.session
    insertions = [f"{name} {probe}" for probe in channels["probe"]]
    shanks = ["" if pd.isna(n) else f" shank {n:g}" for n in channels["shank"]]
    places = zip(channels["probe"], channels["channel"], strict=True)
    return pd.DataFrame(
        {
            "session": name,
            "subject": f"{windowset.source}/{windowset.subject}",
            "channel": [f"{probe}:{channel}" for probe, channel in places],
            "region": channels["region"].tolist(),
            "insertion": insertions,
            "shank": [place + shank for place, shank in zip(insertions, shanks, strict=True)],
        }
    )


def _whole(windowset: WindowSet) -> pd.DataFrame:
    """Who all channels of a recording are, where rows are not of one."""
    name = windowset.session
    row = {
        "session": name,
        "subject": f"{windowset.source}/{windowset.subject}",
        "channel": "all",
        "region": None,
        "insertion": name,
        "shank": name,
    }
    return pd.DataFrame([row])


def resampled(rows: pd.DataFrame, minimum: int):
    """What an interval over these rows resamples: subjects, else sessions, else time blocks.

    ``rows`` has the columns of `WHERE`; where it has ``lab`` too, labs come before all. The
    Clusters' ``note`` says what it is if not subjects.
    """
    from pipeline.evaluation.intervals import choose_clusters
    from pipeline.evaluation.scorers import RESAMPLED, EvalParams, time_blocks

    rows = rows[[name for name in (*RESAMPLED, "start_s") if name in rows]].reset_index(drop=True)
    if np.isfinite(rows["start_s"]).all():
        rows["time block"] = time_blocks(rows, EvalParams().time_blocks)
    return choose_clusters(rows, RESAMPLED, minimum)


def _join_classes(parts, split: str):
    from pipeline.evaluation import ClassOutputs

    classes = tuple(dict.fromkeys(name for part in parts for name in part[1]))
    blocks, frames = [], []
    for _, names, outputs, window, site, windowset, _ in parts:
        block = np.zeros((len(outputs), len(classes)))
        block[:, [classes.index(name) for name in names]] = outputs
        blocks.append(block)
        frames.append(where(windowset, window, site))
    groups = pd.concat(frames, ignore_index=True)
    return ClassOutputs(np.concatenate(blocks), classes), groups["region"].to_numpy(), groups


def _join_rates(parts, split: str):
    """Rates and counts of each recording: the windows that its folds hold out, one after another.

    Each window's null is what the training of its fold had of the unit (half a spike is added, so
    that a unit silent there may fire).
    """
    from pipeline.evaluation import RateOutputs

    rates, counts, nulls, recordings = {}, {}, {}, {}
    for _, _, outputs, window, _, windowset, fold in parts:
        name, spikes = windowset.windows, np.asarray(windowset.spikes)
        seen = spikes[role_masks(split, fold, windowset)["train"]]
        rate = (seen.sum(axis=(0, 1)) + 0.5) / (len(seen) * spikes.shape[1] + 1)
        rates.setdefault(name, []).append(outputs)
        counts.setdefault(name, []).append(spikes[window])
        nulls.setdefault(name, []).append(np.tile(rate, (len(window), 1)))
        recordings[name] = windowset
    frames = [
        one.units[["unit"]].assign(session=one.session, subject=f"{one.source}/{one.subject}")
        for one in recordings.values()
    ]
    joined = [[np.concatenate(part) for part in of.values()] for of in (rates, counts, nulls)]
    outputs = RateOutputs(joined[0], null_rates=joined[2])
    return outputs, joined[1], pd.concat(frames, ignore_index=True)


def _confusion(rows) -> list[dict[str, Any]]:
    cells = [row for row in rows if row.metric == "confusion"]
    return [
        {
            "level": row.level,
            "true_region": row.detail.split(" > ")[0],
            "predicted_region": row.detail.split(" > ")[1],
            "n_confused": int(row.value),
        }
        for row in cells
    ]
