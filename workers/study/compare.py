"""The studies of an experiment beside the paper: rows of one table, written as one page."""

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

import schemas
from pipeline.analyses.experiment_page import COLUMNS, ExperimentPage, render_experiment
from pipeline.analyses.report_paper import LEVELS, OURS

from .experiment import Experiment, Member
from .heard import shown_beside
from .leading import LED, MEAN, MEASURE, leading
from .published import paper_of, statistics_beside
from .report import is_synthetic, write_report
from .spec import Published, StudyError

KEYS = ["arm", *MEASURE]
TARGETS = ("region", "session", "insertion", "lab")


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
    """One row per arm, model, level, metric and statistic: the paper's value, ours by protocol.

    Rows are joined on metric, level and statistic, so a value never stands beside another measure:
    a mean over the paper's sessions is beside our mean over subjects, a pooled value beside a
    pooled one, and one of which it is not stated beside both. A model that heard the subjects it is
    tested on is named for it. ``scores`` are those of the studies by name, where they were fetched
    before.
    """
    lines: dict[tuple, dict[str, Any]] = {}
    means = {(one.level, one.metric) for one in published if one.may_be_mean}
    for member in members:
        name = member.spec.study.name
        mine = schemas.scores(name) if scores is None else scores[name]
        for row in leading(mine, means).to_dict("records"):
            line = lines.setdefault((member.arm, *(row[name] for name in MEASURE)), {})
            for what in OURS:
                line[f"{member.protocol}_{what}"] = row[what]
    ours = {key[2:4] + key[5:] for key in lines}
    for one in published:
        for statistic in statistics_beside(one, ours):
            key = (one.arm, one.model, one.level, one.metric, one.detail, statistic)
            lines.setdefault(key, {}).update(paper_of(one))
    rows = [dict(zip(KEYS, key, strict=True)) | line for key, line in lines.items()]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    arms = list(dict.fromkeys(member.arm for member in members))
    models = list(dict.fromkeys(model.name for one in members for model in one.spec.model))
    of = list(dict.fromkeys([*TARGETS, *frame["detail"]]))
    orders = {"metric": list(LED), "level": list(LEVELS), "statistic": [MEAN], "detail": of,
              "arm": arms, "model": models}  # fmt: skip
    place = frame[list(orders)].apply(lambda column: column.map(_place(orders[column.name])))
    frame = frame.loc[place.sort_values(list(orders), kind="stable").index]
    named = shown_beside(members)
    pairs = zip(frame["arm"], frame["model"], strict=True)
    return frame.assign(model=[named.get(pair, pair[1]) for pair in pairs])


def _place(order: list[str]) -> Callable[[str], int]:
    """Where a name stands in `order`; others behind."""
    return lambda name: order.index(name) if name in order else len(order)
