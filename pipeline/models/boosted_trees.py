"""Gradient-boosted trees as XGBoost saves them, read as data and walked by torch.

XGBoost is not needed: a model is a list of binary trees, and reading one runs no code.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from .universal_binary import read_ubj

ROWS = 4096
"""Rows that walk all trees together."""
FIELDS = ("left", "right", "feature", "threshold", "missing_left", "root", "klass", "base")


class BoostedTrees(nn.Module):
    """Class probabilities by the sum of the leaves that a row falls into.

    A row goes left where its feature is below the threshold; where the feature is missing (NaN)
    it goes where training sent such rows.
    """

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for name in FIELDS:
            self.register_buffer(name, tensors[name])

    @classmethod
    def read(cls, path: Path) -> "BoostedTrees":
        """Trees from ``model.json`` or ``model.ubj``.

        Raises
        ------
        ValueError
            If it is no XGBoost classifier, or one with parts that are not known here.
        """
        try:
            raw = path.read_bytes()
            value = json.loads(raw) if path.suffix == ".json" else read_ubj(raw)
            return cls(_tensors(value["learner"]))
        except (KeyError, TypeError, IndexError, AttributeError, UnicodeDecodeError,
                json.JSONDecodeError, RecursionError) as error:  # fmt: skip
            raise ValueError(
                f"{path} is no model that XGBoost saved as JSON or UBJ "
                f"({type(error).__name__}: {error}); fetch it again"
            ) from error

    @property
    def n_classes(self) -> int:
        """Number of classes; two where there is one score."""
        return max(len(self.base), 2)

    def forward(self, x: Float[Tensor, "row feature"]) -> Float[Tensor, "row klass"]:
        """Class probabilities."""
        scores = torch.cat([self._scores(rows) for rows in x.split(ROWS)])
        if len(self.base) == 1:
            scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
        return scores.softmax(dim=-1)

    def _scores(self, x: Tensor) -> Tensor:
        node = self.root.expand(len(x), -1)  # (row, tree)
        while True:
            left = self.left[node]
            inner = left >= 0
            if not inner.any():
                break
            value = x.gather(1, self.feature[node])
            goes = torch.where(value.isnan(), self.missing_left[node], value < self.threshold[node])
            node = torch.where(inner, torch.where(goes, left, self.right[node]), node)
        leaf = self.threshold[node]  # a leaf keeps its value there
        found = self.base.expand(len(x), -1).clone()
        return found.index_add_(1, self.klass, leaf)


def _tensors(learner: dict[str, Any]) -> dict[str, Tensor]:
    booster, told = learner["gradient_booster"], learner["learner_model_param"]
    objective = learner["objective"]["name"]
    if booster["name"] != "gbtree" or objective not in (
        "multi:softprob", "multi:softmax", "binary:logistic",
    ):  # fmt: skip
        raise ValueError(
            f"only classifiers of plain trees (gbtree) can be read, this is {booster['name']} "
            f"with {objective}"
        )
    trees, klass = _kept(booster["model"], learner.get("attributes", {}))
    parts: dict[str, list[np.ndarray]] = {n: [] for n in FIELDS[:5]}
    roots, nodes = [], 0
    for tree in trees:
        if np.any(tree["split_type"]) or int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
            raise ValueError("trees that split by category or have several values per leaf")
        left, right = (np.asarray(tree[f"{s}_children"], dtype=np.int64) for s in ("left", "right"))
        _check_order(left, right)
        roots.append(nodes)
        parts["left"].append(np.where(left < 0, -1, left + nodes))
        parts["right"].append(np.where(left < 0, -1, right + nodes))
        parts["feature"].append(np.asarray(tree["split_indices"], dtype=np.int64))
        parts["threshold"].append(np.asarray(tree["split_conditions"], dtype=np.float32))
        parts["missing_left"].append(np.asarray(tree["default_left"]).astype(bool))
        nodes += len(left)
    found = {name: torch.from_numpy(np.concatenate(each)) for name, each in parts.items()}
    found["root"], found["klass"] = torch.tensor(roots), torch.as_tensor(np.array(klass, np.int64))
    found["base"] = _base(told, objective)
    return found


def _kept(model: dict[str, Any], attributes: dict[str, Any]) -> tuple[list[dict], list[int]]:
    """Trees and their classes, up to the best round where training stopped early."""
    trees, klass = model["trees"], list(model["tree_info"])
    best, starts = attributes.get("best_iteration"), model.get("iteration_indptr")
    if best is not None and starts is not None:
        kept = int(starts[int(best) + 1])
        return trees[:kept], klass[:kept]
    return trees, klass


def _base(told: dict[str, Any], objective: str) -> Float[Tensor, " score"]:
    """The score before the first tree: one number, or since XGBoost 3.1 a list in brackets."""
    given = [float(v) for v in str(told["base_score"]).strip("[]").split(",")]
    scores = max(int(told["num_class"]), 1)
    base = np.array(given if len(given) == scores else given[:1] * scores, dtype=np.float64)
    if objective == "binary:logistic":
        base = np.log(base / (1 - base))
    return torch.from_numpy(base.astype(np.float32))


def _check_order(left: np.ndarray, right: np.ndarray) -> None:
    """Children come after their parent: else a walk might never end."""
    at = np.arange(len(left))
    inner = left >= 0
    for child in (left[inner], right[inner]):
        if (child <= at[inner]).any() or (child >= len(left)).any():
            raise ValueError("a tree whose nodes are not in order")
