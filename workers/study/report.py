"""A study's rows become one HTML page."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import schemas
from pipeline.analyses.report import render_report
from pipeline.analyses.report_data import Confusion, EmbeddingMap, Headline, ReportData
from pipeline.anatomy import class_colors
from schemas import analysis, embedding, session, training, windows
from schemas._probe import load_vectors

from . import doubts, score_tables
from .answer import answer
from .cards import model_cards
from .heard import call_as_shown, shown_names
from .insertions import insertion_reports
from .models import final_trainings
from .notes import notes, provenance
from .plan import wanted
from .published import beside_paper
from .spec import StudyError, StudySpec
from .subjects import abnormality_scores, in_order, subject_values
from .trust import trust_scores

HEADLINES = (
    ("Evaluation", "session", "balanced_accuracy"),
    ("Evaluation", "channel", "balanced_accuracy"),
    ("Evaluation", "unit", "co_bps"),
    ("Evaluation", "window", "balanced_accuracy"),
    ("LinearProbe", "window", "balanced_accuracy"),
)
MAP_ROWS = 2000


def write_report(spec: StudySpec, target: Path, scores: pd.DataFrame | None = None) -> Path:
    """Write the page; the path of the file.

    Parameters
    ----------
    scores
        The study's, as `schemas.scores` gives them; None fetches them.

    Raises
    ------
    StudyError
        If the study has no scores yet.
    """
    scores = schemas.scores(spec.study.name) if scores is None else scores
    if not len(scores):
        raise StudyError(
            f"study {spec.study.name!r} has no scores yet; run it first: fieldbase study run FILE"
        )
    page = render_report(report_data(spec, scores))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    return target.resolve()


def report_data(spec: StudySpec, scores: pd.DataFrame) -> ReportData:
    """Everything the page says, from the tables."""
    names = shown_names(spec)
    raw, scores = scores, scores.assign(model=scores["model"].map(lambda m: names.get(m, m)))
    headline = headline_of(spec, scores)
    synthetic = is_synthetic(spec)
    rests = doubts.regions(scores)
    finals = _finals(spec)
    regions = sorted({r for row in finals for r in row["classes"] if r})
    return ReportData(
        study=spec.study.name,
        question=spec.study.question or spec.study.title or spec.study.name,
        answer=answer(headline, synthetic, doubts.alone(rests)),
        headline=headline,
        not_to_conclude=spec.study.not_to_conclude,
        synthetic=synthetic,
        watermark="SYNTHETIC" if synthetic else "",
        source=spec.study.source,
        data=_data_sentence(spec),
        insertions=call_as_shown(insertion_reports(spec), names),
        scores=in_order(score_tables.evaluations(scores), list(names.values())),
        paper=beside_paper(spec, raw).replace({"model": names}),
        confusions=call_as_shown(confusions(spec), names),
        silhouettes=score_tables.silhouettes(in_order(scores, list(names.values()))),
        probes=score_tables.probes(in_order(scores, list(names.values()))),
        controls=score_tables.controls(scores, headline),
        curves=curves(spec).replace({"model": names}),
        regions=rests,
        doubts=[*doubts.doubts(rests), *doubts.rivals(scores, headline)],
        swaps=doubts.swaps(spec, scores),
        embeddings=call_as_shown(embedding_maps(spec), names),
        subjects=subject_values(scores, headline, list(names.values())),
        abnormality=in_order(abnormality_scores(scores), list(names.values())),
        trust=in_order(trust_scores(scores), list(names.values())),
        cards=model_cards(spec),
        notes=notes(spec, finals),
        provenance=provenance(spec),
        generated={
            "fieldbase": version("fieldbase"),
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "database": schemas.connect().adapter.backend,
        },
        colours=class_colors(regions, spec.data.labels or "as_given"),
    )


def headline_of(spec: StudySpec, scores: pd.DataFrame) -> Headline:
    """The pooled score of the study's first model."""
    first = shown_names(spec)[spec.model[0].name]
    whole = scores[scores["fold"].isna() & scores["detail"].isna() & (scores["model"] == first)]
    one_fold = scores[scores["detail"].isna() & (scores["model"] == first)]
    candidates = []
    for table, level, metric in HEADLINES:
        for rows in (whole, one_fold):
            found = rows[(rows.table == table) & (rows.level == level) & (rows.metric == metric)]
            candidates += [found.iloc[0]] if len(found) else []
    if candidates:  # a channel of one recording has no interval, its windows have
        return _headline(next((c for c in candidates if pd.notna(c["low"])), candidates[0]))
    raise StudyError(f"model {first!r} has no score to lead the report; see `schemas.scores()`")


def _headline(row: pd.Series) -> Headline:
    number = {
        k: None if pd.isna(row[k]) else float(row[k]) for k in ("value", "chance", "low", "high")
    }
    reason = row["reason"] if isinstance(row["reason"], str) else None
    unit = row["level"] == "unit"
    return Headline(
        metric=row["metric"],
        level=row["level"],
        **number,
        n_subjects=0 if pd.isna(row["n_groups"]) else int(row["n_groups"]),
        n_channels=int(row["n"]),
        model=row["model"],
        interval=f"95 % {reason}"
        if reason and "interval over" in reason
        else "95 % interval, resampling subjects",
        counted="units" if unit else f"{row['level']}s",
        reason=reason,
    )


def member_windows(spec: StudySpec) -> list[dict[str, str]]:
    """Keys of the study's windows."""
    return [{"windows": row["member"]} for row in wanted(spec.study.name, "windows_task")]


def is_synthetic(spec: StudySpec) -> bool:
    """Whether any recording of the study was simulated."""
    joined = session.Session * windows.WindowsTask & member_windows(spec)
    return any(joined.to_arrays("synthetic"))


def _data_sentence(spec: StudySpec) -> str:
    rows = (windows.WindowsTask * session.Session & member_windows(spec)).to_dicts()
    subjects = {(row["source"], row["subject"]) for row in rows}
    labs = sorted({row["source"] for row in rows})
    named = f"from {len(labs)} labs" if len(labs) > 3 else f"of {', '.join(labs)}"
    kinds = {"features": "vectors", "lfp": "channel windows", "spikes": "windows of spikes"}
    kind = next(name for name in (*kinds, *spec.data.modalities) if name in spec.data.modalities)
    column = "n_windows" if kind == "spikes" else "n_kept"
    total = sum((windows.Windows & member_windows(spec)).to_arrays(column))
    return (
        f"{len({row['session'] for row in rows})} sessions, {len(subjects)} subjects {named}; "
        f"{total:,} {kinds.get(kind, 'windows')}"
    )


def _finals(spec: StudySpec) -> list[dict[str, Any]]:
    keys = [{"training": f["training"]} for f in final_trainings(spec)]
    return (training.Training & keys).to_dicts() if keys else []


def confusions(spec: StudySpec) -> list[Confusion]:
    """Pooled confusion matrix of every model, at channel level."""
    made = []
    for row in wanted(spec.study.name, "evaluation_task"):
        key = {"evaluation": row["member"]}
        if not analysis.EvaluationTask & key & "eval_fold is null":
            continue
        cells = (analysis.Evaluation.Confusion & key & {"level": "channel"}).to_dicts()
        if not cells:
            continue
        true = sorted({cell["true_region"] for cell in cells})
        said = sorted({*true, *(cell["predicted_region"] for cell in cells)})
        counts = np.zeros((len(true), len(said)), int)
        for cell in cells:
            at = true.index(cell["true_region"]), said.index(cell["predicted_region"])
            counts[at] = cell["n_confused"]
        made.append(Confusion(row["member_name"], "channel", true, said, counts))
    return made


def curves(spec: StudySpec) -> pd.DataFrame:
    """Learning curves of every stage."""
    rows = []
    for member in wanted(spec.study.name, "training_task"):
        key = {"training": member["member"]}
        name, fold, seed, _ = member["member_name"].rsplit("|", 3)
        task = (training.TrainingTask * training.FitParamSet & key).fetch1("objective")
        for epoch in (training.Training.Epoch & key).to_dicts(order_by="epoch"):
            rows.append(
                {
                    "model": name,
                    "stage": task,
                    "epoch": epoch["epoch"],
                    "train_loss": epoch["train_loss"],
                    "validation": epoch["validation"],
                    "fold": int(fold),
                    "seed": int(seed),
                }
            )
    return pd.DataFrame(rows)


def embedding_maps(spec: StudySpec) -> list[EmbeddingMap]:
    """First two principal components of each model's embeddings, of one fold."""
    made = []
    for model in spec.model:
        finals = [f for f in final_trainings(spec) if f["name"] == model.name]
        if not finals:
            continue
        tasks = embedding.EmbeddingTask & {"training": finals[0]["training"]}
        inputs = (tasks & embedding.Embedding.proj()).to_dicts()
        split = (training.TrainingTask & {"training": finals[0]["training"]}).fetch1("split")
        if not inputs:
            continue
        vectors = load_vectors({"task": {"eval_split": split}, "inputs": inputs})[0]
        if vectors.x.shape[1] < 2 or len(vectors.x) < 3 or not np.ptp(vectors.x, axis=0).any():
            continue
        made.append(_project(model.name, vectors))
    return made


def _project(name: str, vectors) -> EmbeddingMap:
    chosen = np.arange(len(vectors.x))
    if len(chosen) > MAP_ROWS:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, MAP_ROWS, replace=False))
    x = vectors.x[chosen].astype(np.float64)
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    share = s**2 / max(float((s**2).sum()), 1e-12)
    rows = vectors.rows.iloc[chosen]
    regions = [r if isinstance(r, str) else None for r in rows["region"]]
    return EmbeddingMap(
        name,
        u[:, :2] * s[:2],
        regions,
        rows["session"].tolist(),
        (float(share[0]), float(share[1])),
    )
