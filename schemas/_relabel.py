"""Is it the region that is read, or the wire? Other channels under the rarest region's name."""

import sys
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from . import analysis, embedding, training
from ._analyse import Scores, request
from ._copies import count_signals
from ._probe import Vectors, load_vectors, undefined

DRAWS = 100
ELSEWHERE, NEAR = "anywhere", "within one probe or shank"


def relabelled(task: dict[str, Any], **_: Any) -> tuple[str, Scores]:
    """A linear probe pooled over its folds, again and again with other channels in that role.

    As many channels of the commonest region as carry the rarest take its name, the real ones left
    out: drawn from all, and from those of one shank, tetrode or probe where there are several.
    Where the real ones are copies, also as many as they have signals, which is the fair number.
    Level ``window`` scores held-out windows; level ``channel`` takes the answer that most of a
    channel's held-out windows give. Metrics: ``balanced_accuracy`` (median, 95 % range),
    ``balanced_accuracy_max``, ``share_reaching`` (of relabellings, the real score).
    """
    if task["linear_probe"] is None:
        raise LookupError("the control relabelled stands beside a linear probe; the task has none")
    key = {"linear_probe": task["linear_probe"]}
    asked = request(analysis.LinearProbeTask, analysis.LinearProbeInput, key)
    folds = load_vectors(asked)
    keys = ["session", "channel"]
    sites = pd.concat([fold.rows for fold in folds]).drop_duplicates(keys).reset_index(drop=True)
    counts = sites["region"].value_counts()
    if len(counts) < 2:
        text = f"{len(counts)} region among the channels; a name to lend needs 2"
        return text, [undefined("balanced_accuracy", "window", text)]
    read = _reader(folds, sites, analysis.ProbeParamSet.get(asked["task"]))
    carrier, pool, n = counts.index[-1], counts.index[0], int(counts.iloc[-1])
    text = f"any {n} {pool} called {carrier}, the real {carrier} left out"
    warning = _told(folds, asked)
    ways = [(ELSEWHERE, None, n), (NEAR, sites["shank"], n)]
    signals = _signals(asked, carrier)
    if signals < n:
        ways.append((f"{signals} at a time, as many as {carrier} has signals", None, signals))
    scores: Scores = []
    for where, near, size in ways:
        for place, level in enumerate(("window", "channel")):
            found = _swap(sites, read, place, carrier=carrier, pool=pool, within=near, size=size,
                          max_draws=DRAWS, seed=task["control_seed"])  # fmt: skip
            if where == ELSEWHERE or len(found.values):
                scores += _rows(found, where, level, 1 / len(counts), warning)
    return f"{text}{warning}", scores


def _swap(sites: pd.DataFrame, read, place: int, **how: Any):
    """Relabellings of the sites, scored by one of the two numbers that `read` gives."""
    from pipeline.evaluation import swap_control

    names = sites["session"] + " " + sites["channel"]
    return swap_control(sites["region"], names, lambda said: read(tuple(said))[place], **how)


def _signals(asked: dict[str, Any], carrier: str) -> int:
    """Different signals that channels of `carrier` have; those of one signal are one."""
    members = [{"embedding": item["embedding"]} for item in asked["inputs"]]
    joined = embedding.EmbeddingTask & members
    table = count_signals(asked["task"]["eval_split"], joined.to_arrays("windows"))
    found = table.loc[table["region"] == carrier, "independent"]
    return int(found.iloc[0]) if len(found) else sys.maxsize


def _reader(folds: list[Vectors], sites: pd.DataFrame, params):
    """From a region per site to the balanced accuracy of held-out windows, and of channels."""
    from pipeline.evaluation.probes import fit_predict

    number = pd.Series(sites.index, index=pd.MultiIndex.from_frame(sites[["session", "channel"]]))
    parts = []
    for fold in folds:
        at = pd.MultiIndex.from_frame(fold.rows[["session", "channel"]])
        train, test = fold.rows["train"].to_numpy(), fold.rows["test"].to_numpy()
        parts.append((fold.x, number.loc[at].to_numpy(), train, test))

    @cache
    def read(regions: tuple) -> tuple[float | None, float | None]:
        names = np.array(regions, dtype=object)
        known, truth, said, tested = np.array([r is not None for r in regions]), [], [], []
        for x, site, train, test in parts:
            fitted, asked = known[site] & train, known[site] & test
            if len(set(names[site][fitted])) < 2 or not asked.any():
                continue
            said.append(fit_predict(x[fitted], names[site][fitted], x[asked], params))
            truth.append(names[site][asked])
            tested.append(site[asked])
        if not truth:
            return None, None
        answers, owner = np.concatenate(said), np.concatenate(tested)
        votes = pd.Series(answers).groupby(owner).agg(lambda column: column.mode().iloc[0])
        return (
            balanced_accuracy(np.concatenate(truth), answers),
            balanced_accuracy(names[votes.index.to_numpy()], votes.to_numpy(dtype=object)),
        )

    return read


def _told(folds: list[Vectors], asked: dict[str, Any]) -> str:
    """What to say if the embeddings had heard the real labels."""
    tasks = training.TrainingTask * training.FitParamSet
    names = [{"training": name} for name in {fold.training for fold in folds}]
    if {"finetune", "frozen"} & set((tasks & names).to_arrays("objective")):
        return "; these embeddings were trained on the real names, which favours them"
    return ""


def _rows(found, where: str, level: str, chance: float, warning: str) -> Scores:
    n = len(found.values)
    real = "undefined" if found.observed is None else f"{found.observed:.3f}"
    base = {"level": level, "detail": f"{where}; observed {real}", "n": n, "n_groups": n}
    base |= {"chance": None, "low": None, "high": None}
    if not n:
        reason = f"no set of {found.pool} channels can stand in for {found.carrier}"
        return [{**undefined("balanced_accuracy", level, reason), "detail": base["detail"]}]
    low, middle, high = (float(q) for q in np.percentile(found.values, (2.5, 50, 97.5)))
    base["score_reason"] = f"of {n} of {found.possible} relabellings{warning}"
    ends = {"low": low, "high": high, "score_reason": f"median and range {base['score_reason']}"}
    return [
        {**base, "metric": "balanced_accuracy", "value": middle, "chance": chance, **ends},
        {**base, "metric": "balanced_accuracy_max", "value": float(found.values.max())},
        {**base, "metric": "share_reaching", "value": found.at_least},
    ]


def balanced_accuracy(labels: np.ndarray, said: np.ndarray) -> float | None:
    """Mean recall over the regions among `labels` (None is no region); None without any."""
    known = np.array([label is not None for label in labels])
    recalls = [np.mean(said[labels == name] == name) for name in set(labels[known])]
    return float(np.mean(recalls)) if recalls else None
