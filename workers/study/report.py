"""A study's rows become one HTML page."""

import operator
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import schemas
from pipeline.analyses.report import render_report
from pipeline.analyses.report_data import Confusion, EmbeddingMap, Headline, ReportData
from pipeline.anatomy import class_colors
from schemas import analysis, dataset, embedding, recording, session, training, windows
from schemas._probe import load_vectors

from . import doubts
from .answer import answer
from .cards import model_cards
from .heard import call_as_shown, shown_names
from .insertions import insertion_reports
from .models import final_trainings
from .plan import wanted
from .spec import StudyError, StudySpec
from .subjects import abnormality_scores, in_order, subject_values

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
    scores = scores.assign(model=scores["model"].map(lambda name: names.get(name, name)))
    headline = headline_of(spec, scores)
    synthetic = is_synthetic(spec)
    rests = doubts.regions(scores)
    regions = sorted({r for r in _regions(spec) if r})
    return ReportData(
        study=spec.study.name,
        question=spec.study.question or spec.study.title or spec.study.name,
        answer=answer(headline, synthetic, doubts.alone(rests)),
        headline=headline,
        not_to_conclude=spec.study.not_to_conclude,
        synthetic=synthetic,
        watermark="SYNTHETIC" if synthetic else "",
        source=spec.study.source,
        published="; ".join(sorted({p.origin for p in spec.published})),
        data=_data_sentence(spec),
        insertions=call_as_shown(insertion_reports(spec), names),
        scores=_evaluations(scores),
        confusions=call_as_shown(confusions(spec), names),
        silhouettes=_silhouettes(scores),
        probes=_probes(scores),
        controls=_controls(scores, headline),
        curves=curves(spec).replace({"model": names}),
        regions=rests,
        doubts=[*doubts.doubts(rests), *doubts.rivals(scores, headline)],
        swaps=doubts.swaps(spec, scores),
        embeddings=call_as_shown(embedding_maps(spec), names),
        subjects=subject_values(scores, headline, list(names.values())),
        abnormality=in_order(abnormality_scores(scores), list(names.values())),
        cards=model_cards(spec),
        notes=notes(spec),
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


def _regions(spec: StudySpec) -> list[str]:
    found = [c for row in _finals(spec) for c in row["classes"]]
    return found


def _finals(spec: StudySpec) -> list[dict[str, Any]]:
    keys = [{"training": f["training"]} for f in final_trainings(spec)]
    return (training.Training & keys).to_dicts() if keys else []


def _evaluations(scores: pd.DataFrame) -> pd.DataFrame:
    rows = scores[(scores["table"] == "Evaluation") & scores["metric"].isin(
        ["balanced_accuracy", "accuracy", "macro_f1", "recall", "ece", "coverage", "co_bps",
         "co_bps_unit_mean", "poisson_d2", "co_bps_train_null", "co_bps_train_null_unit_mean"]
    )].drop(columns="split")  # fmt: skip
    rows["metric"] = np.where(
        rows["detail"].notna(), rows["metric"] + " " + rows["detail"].fillna(""), rows["metric"]
    )
    return rows


def _silhouettes(scores: pd.DataFrame) -> pd.DataFrame:
    rows = scores[(scores["table"] == "Silhouette") & (scores["level"] == "window")]
    return _mean_over_folds(rows, ["model", "target", "detail"]).rename(
        columns={"target": "grouping", "detail": "role"}
    )


def _probes(scores: pd.DataFrame) -> pd.DataFrame:
    rows = scores[(scores["table"] == "LinearProbe") & (scores["metric"] == "balanced_accuracy")]
    pooled = rows[(rows["target"] != "region") | rows["fold"].isna()]
    pooled = pooled if (pooled["target"] == "region").any() else rows
    return _mean_over_folds(pooled, ["model", "target", "detail", "metric"]).rename(
        columns={"detail": "role"}
    )


def _mean_over_folds(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """One row per model and target: a pooled row as it is, else the mean over trainings.

    The interval of a mean is the range over trainings, and the reason says so.
    """
    made = []
    for names, group in rows.groupby(by, dropna=False, sort=False):
        known = group[group["value"].notna()]
        row = dict(zip(by, names, strict=True))
        row |= {"n": group["n"].sum(), "chance": known["chance"].mean()}
        if len(known) == 1 and len(group) == 1:
            only = known.iloc[0]
            row |= {k: only[k] for k in ("value", "chance", "n", "low", "high", "reason")}
        elif len(known):
            row |= {"value": known["value"].mean(), "low": known["value"].min()}
            row |= {"high": known["value"].max(), "reason": f"mean and range of {len(known)} folds"}
        else:
            row |= {"value": None, "low": None, "high": None, "reason": group["reason"].iloc[0]}
        made.append(row)
    return pd.DataFrame(made)


def _controls(scores: pd.DataFrame, headline: Headline) -> pd.DataFrame:
    rows = scores[(scores["table"] == "Control") & (scores["metric"] == "balanced_accuracy")].copy()
    same = (rows["level"] == headline.level) | (rows["target"] != "phase_randomised")
    rows = rows[same]
    own = ("relabelled", "independent_channels")  # have tables of their own
    rows = rows[~rows["target"].isin(own)]
    rows["control"] = rows["target"].str.replace("_", " ")
    told = rows["detail"].fillna("").str.extract(r"observed ([0-9.]+)")[0]
    rows["observed"] = pd.to_numeric(told)
    evaluated = scores[
        (scores["table"] == "Evaluation") & (scores["metric"] == "balanced_accuracy")
    ]
    pooled = evaluated[evaluated["fold"].isna()].groupby(["model", "level"])["value"].mean()
    known = pooled.reindex(pd.MultiIndex.from_frame(rows[["model", "level"]])).to_numpy()
    rows["observed"] = rows["observed"].fillna(pd.Series(known, rows.index))
    names = [
        "model",
        "control",
        "level",
        "metric",
        "value",
        "chance",
        "observed",
        "n",
        "low",
        "high",
        "reason",
    ]
    return rows[names]


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


def notes(spec: StudySpec) -> list[str]:
    """Steps that were skipped and what the files warned about."""
    said: dict[str, dict[str, None]] = {}
    for row in (windows.Windows * windows.WindowsTask & member_windows(spec)).to_dicts():
        for text in row["window_notes"]:
            said.setdefault(text, {})[row["session"]] = None
    sessions = (windows.WindowsTask & member_windows(spec)).to_arrays("session")
    keys = [{"session": name} for name in sorted(set(sessions))]
    read = recording.Ingestion * recording.IngestionSession * session.NwbFile.proj("path") & keys
    for _, rows in groupby(read.to_dicts(order_by="nwb_file"), lambda row: row["nwb_file"]):
        row, *others = rows
        for text in row["warnings"]:
            name = Path(row["path"]).name if others else row["session"]
            said.setdefault(text, {})[name] = None
    found = [
        f"{', '.join(names) if len(names) < 4 else f'{len(names)} recordings'}: {text}"
        for text, names in said.items()
    ]
    origins = [_weights(row["weights_origin"] or {}) for row in _finals(spec)]
    return found + list(dict.fromkeys(origin for origin in origins if origin))


def _weights(origin: dict[str, Any]) -> str | None:
    """Where weights made elsewhere came from; None for random ones and for an own parent."""
    while "origin" not in origin and origin.get("parent_provenance"):
        origin = origin["parent_provenance"]
    if "origin" not in origin:
        return None
    return (
        f"initial weights: {origin['origin']}, licence {origin.get('licence', 'not stated')}, "
        f"sha256 {origin.get('sha256', 'unknown')}"
    )


def provenance(spec: StudySpec) -> list[tuple[str, str]]:
    """For each kind of number, the restriction that fetches it."""
    name = spec.study.name
    said = [("every score", f'schemas.scores("{name}")')]
    for title, table, member in (
        ("evaluations", "analysis.Evaluation.Score", "evaluation_task"),
        ("linear probes", "analysis.LinearProbe.Score", "linear_probe_task"),
        ("silhouettes", "analysis.Silhouette.Score", "silhouette_task"),
        ("controls", "analysis.Control.Score", "control_task"),
        ("trainings", "training.Training", "training_task"),
        ("predicted regions", "prediction.Prediction.ChannelPrediction", "prediction_task"),
    ):
        tasks = dataset.StudyMember & {"study": name, "member_table": member}
        key = member.removesuffix("_task")
        marks = [{key: mark} for mark in tasks.to_arrays("member")]
        if marks and len(operator.attrgetter(table)(schemas) & marks):
            members = f'{{"study": "{name}", "member_table": "{member}"}}'
            said.append(
                (
                    title,
                    f"tasks = schemas.dataset.StudyMember & {members}\n"
                    f'schemas.{table} & [{{"{key}": m}} for m in tasks.to_arrays("member")]',
                )
            )
    return said
