"""The studies of an experiment beside the paper: rows of one table, written as one page."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

import schemas
from pipeline.analyses.experiment_page import (
    COLUMNS,
    LEVELS,
    OURS,
    ExperimentPage,
    render_experiment,
)

from .experiment import Experiment, Member
from .heard import shown_names
from .report import is_synthetic, write_report
from .spec import Published, StudyError
from .subjects import abnormality_scores, subject_spread

LED = ("balanced_accuracy", "macro_f1", "accuracy", "ece", "silhouette", "auc", "abnormality")
READ_OUT = {"LinearProbe": "linear probe", "Silhouette": "silhouette"}
KEYS = ["arm", "model", "level", "metric", "detail"]


def write_experiment(experiment: Experiment, target: Path) -> list[Path]:
    """Write a report per study and one page over them, `target`; studies not run are left out.

    Raises
    ------
    StudyError
        If none of the studies has a score.
    """
    pages, done, waiting, scores = [], [], [], {}
    for member in experiment.members:
        name = member.spec.study.name
        scores[name] = schemas.scores(name)
        if not len(scores[name]):
            waiting.append(name)
            continue
        pages.append(write_report(member.spec, target.with_name(f"{name}.html"), scores[name]))
        done.append(member)
    if not done:
        raise StudyError(
            f"no study of {experiment.name!r} has scores yet; run it: fieldbase study run FILE"
        )
    about = done[0].spec.study
    notes = [f"Not run yet: {', '.join(waiting)}."] if waiting else []
    synthetic = any(is_synthetic(member.spec) for member in done)
    if synthetic and experiment.published:
        notes.append("The paper's values are of real recordings, ours here of simulated ones.")
    page = ExperimentPage(
        name=experiment.name,
        question=about.question or about.title or experiment.name,
        synthetic=synthetic,
        rows=compare(done, experiment.published, scores),
        source=about.source,
        links=[(path.stem, path.name) for path in pages],
        notes=[*notes, *about.not_to_conclude],
        generated={
            "fieldbase": version("fieldbase"),
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        },
    )
    target.write_text(render_experiment(page), encoding="utf-8")
    return [target.resolve(), *pages]


def compare(
    members: list[Member],
    published: tuple[Published, ...],
    scores: dict[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """One row per arm, model, level and metric: the paper's value, ours by both protocols.

    Rows are joined on the metric and the level, so a value never stands beside another measure.
    Pooled scores are taken; where there is a single fold, that one. A model that heard the subjects
    it is tested on is named for it. ``scores`` are those of the studies by name, where they were
    fetched before.
    """
    named: dict[str, str] = {}
    lines: dict[tuple, dict[str, Any]] = {}
    for member in members:
        named |= {a: b for a, b in shown_names(member.spec).items() if a not in named or a != b}
        name = member.spec.study.name
        mine = schemas.scores(name) if scores is None else scores[name]
        for row in _lead(mine).to_dict("records"):
            key = (member.arm, row["model"], row["level"], row["metric"], row["detail"])
            line = lines.setdefault(key, {})
            for what in OURS:
                line[f"{member.protocol}_{what}"] = row[what]
    for one in published:
        line = lines.setdefault((one.arm, one.model, one.level, one.metric, one.detail), {})
        line |= {"paper": one.value, "paper_n": one.n, "paper_spread": one.spread,
                 "origin": one.origin}  # fmt: skip
    rows = [dict(zip(KEYS, key, strict=True)) | line for key, line in lines.items()]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    arms = list(dict.fromkeys(member.arm for member in members))
    models = list(dict.fromkeys(model.name for one in members for model in one.spec.model))
    orders = {"metric": list(LED), "level": list(LEVELS), "arm": arms, "model": models}
    place = frame[list(orders)].apply(lambda column: column.map(_place(orders[column.name])))
    frame = frame.loc[place.sort_values(list(orders), kind="stable").index]
    return frame.assign(model=frame["model"].map(lambda name: named.get(name, name)))


def _place(order: list[str]) -> Callable[[str], int]:
    """Where a name stands in `order`; others behind."""
    return lambda name: order.index(name) if name in order else len(order)


def _lead(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores that stand for a whole study: pooled over folds, or of its only one; mean of seeds.

    Linear probes and silhouettes of sessions that trained are left out; ``detail`` is their target
    and ``level`` their kind.
    """
    kept = scores["metric"].isin(LED) & (scores["table"] != "Control") & scores["value"].notna()
    kept &= scores["detail"].isna() | (scores["detail"] == "test role")
    rows = scores[kept].copy()
    read_out = rows["table"] != "Evaluation"
    rows["level"] = rows["level"].where(~read_out, rows["table"].map(READ_OUT))
    rows["detail"] = rows["target"].where(read_out, "").fillna("")
    keys = ["model", "level", "metric", "detail"]
    single = rows.groupby([*keys, "seed"])["fold"].transform("nunique") == 1
    pooled = rows[rows["fold"].isna() | single].sort_values("fold", na_position="first")
    pooled = pooled.drop_duplicates([*keys, "seed"])
    ill = abnormality_scores(scores)
    ill = ill[(ill["metric"] == "abnormality") & ill["value"].notna()]
    pooled = pd.concat([pooled, ill]) if len(ill) else pooled
    found = pooled.groupby(keys, sort=False, as_index=False).agg(
        value=("value", "mean"), low=("low", "mean"), high=("high", "mean"),
        chance=("chance", "mean"), n=("n", "first"), n_groups=("n_groups", "first"),
        study=("study", "first"), seeds=("seed", "nunique"), seed_sd=("value", "std"),
    )  # fmt: skip
    apart = subject_spread(scores)
    where = zip(found["model"], found["level"], found["metric"], found["detail"], strict=True)
    return found.assign(subject_sd=[apart.get(key[:3]) if not key[3] else None for key in where])
