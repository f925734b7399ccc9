"""The parts of a report below its first screen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .colours import region_colours
from .insertion_figure import counted, draw_insertion, drawing_notes, has_labels
from .markup import Markup, element, interval, join, number, table
from .report_data import InsertionReport, ReportData
from .report_pictures import (
    confusion_figure,
    curves_figure,
    embedding_figure,
    forest_figure,
    key,
    picture,
)


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it; ``id`` is its anchor."""

    id: str
    title: str
    body: Markup


INTERVAL, NUMERIC = "interval", ("value", "interval", "chance", "n", "published", "difference")
_HEADINGS = {
    "model": "model", "stage": "stage", "grouping": "grouping", "target": "target",
    "control": "control", "level": "level", "metric": "metric", "role": "sessions",
    "value": "value", INTERVAL: "interval", "chance": "chance", "observed": "observed",
    "published": "published", "difference": "ours − published", "n": "n", "fold": "fold",
    "seed": "seed", "split": "split", "scheme": "scheme", "reason": "note",
}  # fmt: skip


def tidy(rows: pd.DataFrame, *, caption: str) -> Markup:
    """A table of scores: empty columns left out, columns with one value said in the caption."""
    rows = rows.copy()
    if {"low", "high"} <= set(rows):
        ends = zip(rows["low"], rows["high"], strict=True)
        rows[INTERVAL] = pd.Series([interval(a, b) for a, b in ends], rows.index, dtype=object)
        if rows[["low", "high"]].isna().all(axis=None):
            del rows[INTERVAL]
    columns = [c for c in _HEADINGS if c in rows and rows[c].notna().any()]
    texts = [c for c in columns[1:] if c not in (*NUMERIC, "observed", "reason", "metric")]
    constant = [c for c in texts if len(rows) > 1 and rows[c].nunique(dropna=False) == 1]
    shown = {c: _HEADINGS[c] for c in columns if c not in constant}
    if constant:
        same = ", ".join(f"{_HEADINGS[c]} {_whole(rows[c].iloc[0])}" for c in constant)
        caption = f"{caption} All rows: {same}."
    read = {c: number for c in ("value", "chance", "observed", "published", "difference")}
    read |= {"n": _whole, "fold": _whole, "seed": _whole}
    return table(rows, shown, caption=caption, show=read, numeric=(*NUMERIC, "observed"))


def overall_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per model, level and metric: the pooled one, else the plain mean over its folds.

    A row is pooled when its ``fold`` is missing or a text such as "all"; a mean over folds has no
    interval of its own and says how many folds it is a mean of.
    """
    keys = [k for k in ("study", "model", "split", "seed", "level", "scheme", "metric")
            if k in scores]  # fmt: skip
    rows = []
    for _, group in scores.groupby(keys, sort=False, dropna=False):
        pooled = group[_is_pooled(group)]
        if len(pooled) or len(group) == 1:
            rows += (pooled if len(pooled) else group).to_dict("records")
            continue
        row = group.iloc[0].to_dict()
        for name in ("value", "chance"):
            row[name] = pd.to_numeric(group[name]).mean() if name in group else None
        row |= {"n": pd.to_numeric(group["n"]).sum() if "n" in group else None}
        row |= {"low": None, "high": None, "reason": None, "fold": f"mean of {len(group)}"}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(scores.columns))


def insertions(data: ReportData, parts: list[Markup]) -> Section | None:
    """A picture per insertion; insertions beyond those drawn are named only."""
    if not data.insertions:
        return None
    first = parts[:3]
    if parts[3:]:
        summary = element("summary", counted(len(parts) - 3, "more insertion"))
        first.append(element("details", summary, *parts[3:]))
    if rest := data.insertions[len(parts) :]:
        names = "; ".join(f"{i.session} {i.probe}" for i in rest)
        text = f"Not drawn, to keep this file under its size: {names}."
        first.append(element("p", text, class_="note"))
    return Section("insertions", "Insertions", join(first))


def scores(data: ReportData) -> Section | None:
    """The headline metric as a picture, then every score with the published one beside it."""
    if data.scores.empty:
        return None
    rows = data.scores.copy()
    if "published" in rows and rows["published"].notna().any():
        rows["difference"] = pd.to_numeric(rows["value"]) - pd.to_numeric(rows["published"])
    overall = overall_scores(rows)
    recall = overall["metric"].astype(str).str.contains("recall")
    parts = [_score_picture(data, rows, overall)]
    if data.published:
        parts.append(element("p", f"Published values: {data.published}", class_="note"))
    parts.append(tidy(overall[~recall], caption="Scores, with the chance level of the same rows."))
    if recall.any():
        body = tidy(overall[recall], caption="Recall of each class.")
        parts.append(element("details", element("summary", "Recall of each class"), body))
    if len(rows) > len(overall):
        body = tidy(rows[:2000], caption=_cut(len(rows), 2000))
        parts.append(element("details", element("summary", f"All {len(rows)} rows"), body))
    return Section("scores", "Scores", join(parts))


def confusions(data: ReportData) -> Section | None:
    """Matrices as pictures, and as tables for those who cannot see them."""
    if not data.confusions:
        return None
    chosen = list(data.confusions)
    image = picture(
        lambda narrow: confusion_figure(chosen, narrow=narrow),
        alt="Confusion matrices of " + ", ".join(sorted({c.model for c in chosen})),
        caption="Rows are labels, columns predictions; shade is the share of the row, the number "
        "a count.",
        watermark=data.watermark,
    )
    tables = []
    for one in chosen:
        frame = pd.DataFrame(one.counts, columns=list(one.predicted), dtype=object)
        frame.insert(0, "\0label", list(one.classes))
        heads = {"\0label": "label", **{p: p for p in one.predicted}}
        tables.append(table(frame, heads, caption=f"{one.model}, {one.level} level: counts.",
                            numeric=tuple(one.predicted)))  # fmt: skip
    counts = element("details", element("summary", "The same counts as tables"), *tables)
    return Section("confusion", "Confusion", join([image, counts]))


def silhouettes(data: ReportData) -> Section | None:
    """What the embedding separates: region, and, not wanted, session or insertion."""
    text = ("A silhouette of 1 is complete separation, 0 none. High for region is wanted; high for "
            "session or insertion means that the embedding knows who was recorded.")  # fmt: skip
    maps = [
        picture(
            lambda narrow, one=one: embedding_figure(
                one, region_colours(one.region, data.colours), narrow=narrow
            ),
            alt=f"Embedding of {one.model} on two principal components, by region and by session",
            caption=f"{one.model}: first two principal components, one dot per row.",
            watermark=data.watermark,
        )
        for one in data.embeddings
    ]
    if data.silhouettes.empty and not maps:
        return None
    body = [element("p", text, class_="lead"), _forest(data, data.silhouettes, "grouping", True)]
    if not data.silhouettes.empty:
        body.append(tidy(data.silhouettes, caption="Silhouette of every model and grouping."))
    return Section("silhouettes", "Silhouettes", join(body + maps))


def probes(data: ReportData) -> Section | None:
    """Linear probes beside chance."""
    if data.probes.empty:
        return None
    text = "What a linear classifier reads out of the embedding. The tick is chance."
    picture_ = _forest(data, data.probes, "target", False)
    body = [
        element("p", text, class_="lead"),
        picture_,
        tidy(data.probes, caption="Linear probe of every model and target."),
    ]
    return Section("probes", "Linear probes", join(body))


def curves(data: ReportData) -> Section | None:
    """Loss and validation by epoch."""
    if data.curves.empty:
        return None
    image = picture(
        lambda narrow: curves_figure(data.curves, narrow=narrow),
        alt="Training loss and validation score by epoch",
        caption="One line per fold and seed.",
        watermark=data.watermark,
    )
    last = data.curves.sort_values("epoch").groupby(["model", "stage"], sort=False, dropna=False)
    rows = last.last().reset_index()
    heads = {"model": "model", "stage": "stage", "epoch": "last epoch",
             "train_loss": "training loss", "validation": "validation"}  # fmt: skip
    heads = {k: v for k, v in heads.items() if k in rows}
    show = {"epoch": _whole, "train_loss": number, "validation": number}
    body = table(rows, heads, caption="Where training ended (last epoch of the last run).",
                 show=show, numeric=("epoch", "train_loss", "validation"))  # fmt: skip
    return Section("curves", "Training", join([image, body]))


def controls(data: ReportData) -> Section | None:
    """What the score becomes when something that should matter is taken away."""
    if data.controls.empty:
        return None
    text = "Each control repeats the evaluation with one thing taken away or replaced."
    body = [
        element("p", text, class_="lead"),
        tidy(data.controls, caption="Score of each control beside the score observed."),
    ]
    return Section("controls", "Controls", join(body))


def notes(data: ReportData) -> Section | None:
    """Warnings and steps that were skipped."""
    if not data.notes:
        return None
    items = [element("li", note) for note in data.notes]
    return Section("notes", "Warnings", element("ul", *items, class_="notes"))


def provenance(data: ReportData) -> Section | None:
    """The restriction that fetches each number, ready to paste."""
    if not data.provenance:
        return None
    text = ("Each block fetches its numbers from the database this report was made from. Click a "
            "block to select it, then paste it into Jupyter.")  # fmt: skip
    start = element("pre", element("code", "import schemas\nschemas.activate()"))
    blocks = [
        element("div", element("h3", what), element("pre", element("code", code)), class_="block")
        for what, code in data.provenance
    ]
    body = join([element("p", text, class_="lead"), start, *blocks])
    return Section("provenance", "Provenance", body)


def draw(one: InsertionReport, data: ReportData, colours: dict[str, str]) -> Markup:
    """The article of one insertion."""
    predicted = has_labels(one.channels, "region_pred")
    regions = one.channels["region_pred"].dropna().unique() if predicted else []
    alt = f"Power by depth and frequency of {one.probe}, session {one.session}"
    if len(regions):
        alt += "; predicted regions: " + ", ".join(map(str, regions))
    image = picture(
        lambda narrow: draw_insertion(one, colours, narrow=narrow, watermark=data.watermark),
        alt=alt,
        caption=" ".join([*drawing_notes(one), *one.notes]),
    )
    title = element(
        "h3", f"{one.session}, {one.probe} ", element("small", f"subject {one.subject}")
    )
    return element("article", title, image)


def _score_picture(data: ReportData, rows: pd.DataFrame, overall: pd.DataFrame) -> Markup | None:
    metric = data.headline.metric
    overall = overall[(overall["metric"] == metric) & pd.to_numeric(overall["value"]).notna()]
    if overall.empty:
        return None
    groups, folds = [], []
    levels = overall["level"] if "level" in overall else pd.Series("", overall.index)
    for level, group in overall.groupby(levels, sort=False, dropna=False):
        group = group.sort_values("value", ascending=False)
        groups.append((f"{metric}, {level} level" if level else metric, group))
        same = rows[(rows["metric"] == metric) & ~_is_pooled(rows)]
        same = same[same["level"] == level] if "level" in same else same
        folds.append({
            place: same.loc[same["model"] == model, "value"].dropna().astype(float).tolist()
            for place, model in enumerate(group["model"])
        })  # fmt: skip
    published = "published" in overall and bool(overall["published"].notna().any())
    marks = [("dot", "ours"), ("range", "interval"), ("chance", "chance")]
    marks += [("fold", "single folds")] if any(any(f.values()) for f in folds) else []
    marks += [("published", "published")] if published else []
    return picture(
        lambda narrow: forest_figure(groups, narrow=narrow, folds=folds, published=published),
        alt=f"{metric} of each model with interval and chance",
        caption=key(*marks),
        watermark=data.watermark,
    )


def _forest(data: ReportData, rows: pd.DataFrame, by: str, zero: bool) -> Markup | None:
    if rows.empty or not pd.to_numeric(rows["value"]).notna().any():
        return None
    rows = rows[pd.to_numeric(rows["value"]).notna()].copy()
    if "role" in rows and rows["role"].nunique() > 1:
        rows["model"] = rows["model"].astype(str) + " · " + rows["role"].astype(str)
    groups = [(f"by {name}" if zero else str(name), g) for name, g in rows.groupby(by, sort=False)]
    limits = None if zero else (0.0, 1.0)
    kinds = [("dot", "value"), ("range", "interval")] + ([] if zero else [("chance", "chance")])
    return picture(
        lambda narrow: forest_figure(groups, narrow=narrow, zero=zero, limits=limits),
        alt=f"{'Silhouettes' if zero else 'Linear probes'} of each model",
        caption=key(*kinds),
        watermark=data.watermark,
    )


def _is_pooled(rows: pd.DataFrame) -> pd.Series:
    if "fold" not in rows:
        return pd.Series(True, rows.index)
    return rows["fold"].map(lambda f: f is None or isinstance(f, str) or pd.isna(f)).astype(bool)


def _whole(value: object) -> str:
    if isinstance(value, (float, np.floating)) and not pd.isna(value) and value == int(value):
        value = int(value)
    return number(value) if isinstance(value, (int, np.integer)) else _text(value)


def _text(value: object) -> str:
    return number(None) if value is None or pd.isna(value) else str(value)


def _cut(total: int, most: int) -> str:
    return f"All {total} rows." if total <= most else f"The first {most} of {total} rows."


SECTIONS: Sequence = (
    scores, confusions, silhouettes, probes, curves, controls, notes, provenance
)  # fmt: skip
"""In reading order, after the insertions."""
