"""Silhouettes of stored embeddings."""

from typing import Any

from . import analysis
from ._analyse import Scores, resampled, score_rows
from ._probe import Vectors, labels_of, load_vectors, undefined


def silhouette(asked: dict[str, Any]) -> tuple[dict[str, Any], Scores]:
    """Exact silhouette by region, session, insertion or lab: the row of one Silhouette and scores.

    Level ``window`` is the mean over windows, level ``cluster`` the mean over those of one region,
    session or insertion; ``detail`` names the role in the fold, then the cluster. Chance is the
    mean for the same labels shuffled.
    """
    target = asked["task"]["target"]
    params = analysis.ProbeParamSet.get(asked["task"])
    scores: Scores = []
    for fold in load_vectors(asked):
        for role in ("train", "test", "all"):
            scores += _of_role(fold, role, target, params)
    whole = [row["n"] for row in scores if row["level"] == "window"]
    return {"n_scored": max(whole, default=0)}, scores


def _of_role(fold: Vectors, role: str, target: str, params) -> Scores:
    from pipeline.evaluation import SilhouetteParams, silhouette_scores

    labels = labels_of(fold.rows, target)
    chosen = labels.notna()
    if role != "all":
        chosen &= fold.rows[role]
    rows, labels, detail = fold.rows[chosen], labels[chosen], f"{role} role"
    n_classes = labels.nunique()
    if n_classes < 2:
        reason = f"{n_classes} {target} among {len(rows)} windows; a silhouette needs 2"
        return [undefined("silhouette", "window", reason, detail)]
    groups = resampled(rows, params.minimum_groups)
    found = silhouette_scores(
        fold.x[chosen.to_numpy()], labels, groups.codes,
        SilhouetteParams(
            max_rows=params.max_rows, draws=params.draws, minimum_groups=params.minimum_groups,
            seed=params.seed,
        ),
        group_kind=groups.kind,
    )  # fmt: skip
    made = score_rows(found, int(rows["subject"].nunique()))
    for row in made:
        row["level"] = "window" if row["level"] == "pooled" else row["level"]
        row["detail"] = detail if row["detail"] is None else f"{detail}: {row['detail']}"
    return made
