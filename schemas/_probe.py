"""Stored embeddings, and what a linear model reads from them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.recording import WindowSet

from . import analysis, dataset, embedding, training
from ._analyse import Scores, add_lab, resampled, score_rows, where
from ._names import clip
from ._roles import masks_of, members_windows
from ._tables import among

TRAIN = ("train", "support")


@dataclass(frozen=True)
class Vectors:
    """Embeddings of one training over all its windows, with who, where, when and in which role.

    ``rows`` has the columns of `WHERE`, and ``train`` and ``test`` (bool); ``lab`` where labs are
    held out.
    """

    x: np.ndarray
    rows: pd.DataFrame
    training: str


def probe(asked: dict[str, Any]) -> tuple[dict[str, Any], Scores]:
    """Fit and test linear read-outs; the row of one LinearProbe and its scores."""
    params = analysis.ProbeParamSet.get(asked["task"])
    folds = load_vectors(asked)
    if asked["task"]["target"] == "region":
        return _probe_region(folds, params)
    if asked["task"]["target"] == "lab":
        return _probe_lab(folds, asked["task"]["eval_split"], params)
    return _probe_identity(folds, asked["task"]["target"], params)


def load_vectors(asked: dict[str, Any]) -> list[Vectors]:
    """One Vectors per training among the inputs."""
    split = asked["task"]["eval_split"]
    names = [item["embedding"] for item in asked["inputs"]]
    joined = embedding.Embedding * embedding.EmbeddingTask * training.TrainingTask.proj("fold")
    found = joined.proj("training", "windows", "fold", "vectors", "window_index", "site_index")
    rows = (found & among([{"embedding": name} for name in names])).to_dicts()
    by_name = {row["embedding"]: row for row in rows}
    grouped: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        grouped.setdefault(by_name[name]["training"], []).append(by_name[name])
    windowsets = members_windows(split, {row["windows"] for row in rows})
    return [_vectors(split, group, windowsets) for group in grouped.values()]


def _vectors(split: str, rows: list[dict[str, Any]], windowsets: dict[str, WindowSet]) -> Vectors:
    blocks, frames = [], []
    parts = (dataset.SplitAssignment & {"split": split, "fold": rows[0]["fold"]}).to_dicts()
    for row in rows:
        windowset = windowsets[row["windows"]]
        window, site = row["window_index"].load(), row["site_index"].load()
        frame = where(windowset, window, site)
        masks = masks_of(parts, windowset)
        empty = np.zeros(len(windowset), bool)
        frame["train"] = np.any([masks.get(role, empty) for role in TRAIN], axis=0)[window]
        frame["test"] = masks.get("test", empty)[window]
        blocks.append(row["vectors"].load())
        frames.append(frame)
    frame = add_lab(pd.concat(frames, ignore_index=True), split)
    return Vectors(np.concatenate(blocks), frame, rows[0]["training"])


def _probe_region(folds: list[Vectors], params) -> tuple[dict[str, Any], Scores]:
    """Region on held-out data: fitted on the train role, tested on the test role of each fold."""
    from pipeline.evaluation import classification_scores
    from pipeline.evaluation.probes import fit_predict_each

    truth, divisions, tested = [], [], []
    for fold in folds:
        labelled = fold.rows["region"].notna().to_numpy()
        train, test = labelled & fold.rows["train"], labelled & fold.rows["test"]
        train = _at_most(train.to_numpy(), params)
        regions = fold.rows["region"].to_numpy(dtype=object)
        if len(set(regions[train])) < 2 or not test.any():
            continue
        divisions.append((fold.x, regions, train, test.to_numpy()))
        truth.append(regions[test.to_numpy()])
        tested.append(fold.rows[test])
    row = {"probe_scheme": "fitted on train windows, tested on held-out windows of each fold"}
    if not truth:
        reason = "no fold has labelled training windows of two regions and labelled test windows"
        return row, [undefined("balanced_accuracy", "window", reason)]
    said = fit_predict_each(divisions, params)
    rows = pd.concat(tested, ignore_index=True)
    groups = resampled(rows, params.minimum_groups)
    found = classification_scores(
        np.concatenate(truth), np.concatenate(said), groups, interval=params.interval
    )
    return row, score_rows(found, int(rows["subject"].nunique()))


def _probe_identity(folds: list[Vectors], target: str, params) -> tuple[dict[str, Any], Scores]:
    """Session or insertion identity by time blocks with a gap; trained-on and held-out apart."""
    from pipeline.evaluation import linear_probe

    timed = params.model_copy(update={"scheme": "time blocks"})
    scores: Scores = []
    for fold in folds:
        for role in ("train", "test"):
            mine = fold.rows[role].to_numpy()
            rows = fold.rows[mine]
            if not len(rows):
                scores.append(undefined("balanced_accuracy", "pooled", "no windows", role))
                continue
            result = linear_probe(
                fold.x[mine], rows[target], rows["session"], timed,
                start_s=rows["start_s"].to_numpy(float), group_kind="session",
            )  # fmt: skip
            pooled = [s for s in result.scores if s.level == "pooled" and not s.detail]
            for row in score_rows(pooled, int(rows["session"].nunique())):
                scores.append({**row, "level": "window", "detail": f"{role} role"})
    return {"probe_scheme": f"{timed.blocks} time blocks with a gap of {timed.gap_s:g} s"}, scores


def _probe_lab(folds: list[Vectors], split: str, params) -> tuple[dict[str, Any], Scores]:
    """The laboratory of subjects that the probe was not fitted on, whatever their role."""
    from pipeline.evaluation.told_apart import told_apart

    by = (dataset.SplitTask * dataset.SplitParamSet.proj("split_by") & {"split": split}).fetch1()
    scores: Scores = []
    for fold in folds:
        rows = fold.rows
        labs = labels_of(rows, "lab")
        asked = {"each laboratory": labs}
        tested = set(labs[rows["test"]])
        if by["split_by"] == "lab" and len(set(labs)) > 2 and set(labs) - tested:
            sides = labs.isin(tested).map({True: "tested", False: "the others"})
            asked["the tested laboratories against the others"] = sides
        fitted = rows.loc[rows["train"], "subject"].nunique()
        known = f"the model was fitted on {fitted} of {rows['subject'].nunique()} subjects"
        for detail, labels in asked.items():
            found = told_apart(fold.x, labels, rows["subject"], params, detail=detail)
            of_two = rows.groupby(labels)["subject"].nunique()
            for row in score_rows(found, int(of_two[of_two > 1].sum())):
                scores.append({**row, "score_reason": clip(f"{row['score_reason']}; {known}", 512)})
    return {"probe_scheme": "each fold leaves out subjects of every laboratory"}, scores


def labels_of(rows: pd.DataFrame, target: str) -> pd.Series:
    """What a probe or a silhouette of ``target`` is about, for each row."""
    return rows["subject"].str.split("/", n=1).str[0] if target == "lab" else rows[target]


def undefined(metric: str, level: str, reason: str, detail: str | None = None) -> dict[str, Any]:
    """A score that has no value, with the reason."""
    return {
        "level": level, "metric": metric, "detail": detail, "value": None, "chance": None,
        "n": 0, "n_groups": None, "low": None, "high": None, "score_reason": reason,
    }  # fmt: skip


def _at_most(mask: np.ndarray, params) -> np.ndarray:
    """At most ``max_rows`` of the true entries, drawn by the seed."""
    rows = np.flatnonzero(mask)
    if len(rows) <= params.max_rows:
        return mask
    chosen = np.random.default_rng(params.seed).choice(rows, params.max_rows, replace=False)
    few = np.zeros(len(mask), bool)
    few[chosen] = True
    return few
