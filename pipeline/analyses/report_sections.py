"""The parts of a report below its first screen."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from .colours import region_colours
from .insertion_figure import counted, draw_insertion, drawing_notes, has_labels
from .markup import Markup, element, interval, join, number, table
from .report_data import InsertionReport, ReportData, metric_name
from .report_paper import LEAD, measure_tables
from .report_pictures import (
    confusion_figure,
    curves_figure,
    embedding_figure,
    forest_figure,
    key,
    picture,
)
from .report_scores import by_metric, distinct_names, is_pooled, overall_scores, tidy, whole

OPEN = 3  # insertions that are seen without a click
MOST_ROWS = 2000  # of single folds and seeds, per metric


LEVELS = {
    "window": "Window level scores each held-out window of one channel by itself.",
    "channel": "Channel level scores the mean probability of a channel's held-out windows.",
    "post-processed": "Post-processed is channel level too: each channel's answer as "
    'post-processing leaves it, before any "unknown", and the calibration of its confidence.',
    "unit": "Each unit is predicted from the others, its own spikes hidden. Bits per spike count "
    "from a constant rate: the unit's mean in the scored windows themselves, which no model can "
    "know beforehand; over training rates, its mean in training.",
}
RAW = 'Window and channel level are raw: neighbours, priors and "unknown" play no part there.'
DRAWN = (
    "Predicted regions are post-processed: the mean over a channel's held-out windows, put "
    'together along the shank as the study says, and "unknown" where the model is not sure enough.'
)


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it; ``id`` is its anchor."""

    id: str
    title: str
    body: Markup


def insertions(data: ReportData, parts: list[Markup]) -> Section | None:
    """A picture per insertion; insertions beyond those drawn are named only."""
    if not data.insertions:
        return None
    predicted = any(has_labels(one.channels, "region_pred") for one in data.insertions)
    first = [element("p", DRAWN, class_="lead")] if predicted else []
    first += parts[:OPEN]
    if parts[OPEN:]:
        summary = element("summary", counted(len(parts) - OPEN, "more insertion"))
        first.append(element("details", summary, *parts[OPEN:]))
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
    lead = [LEVELS[n] for n in LEVELS if "level" in rows and n in set(rows["level"])]
    recall = overall["metric"].astype(str).str.contains("recall")
    lead += [RAW] if {"window", "channel"} & set(rows.get("level", ())) else []
    parts = [element("p", " ".join(lead), class_="lead")] if lead else []
    parts.append(_score_picture(data, rows, overall))
    parts += by_metric(overall[~recall], data.headline.metric)
    if recall.any():
        body = tidy(overall[recall], caption="Recall of each class.")
        parts.append(element("details", element("summary", "Recall of each class"), body))
    if len(rows) > len(overall):
        every = by_metric(rows, most=MOST_ROWS)
        parts.append(element("details", element("summary", f"All {len(rows)} rows"), *every))
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
            alt=f"Embedding of {one.model} on two principal components, "
            + ("by region and by session" if any(one.region) else "by session"),
            caption=f"{one.model}: first two principal components, one dot per row.",
            watermark=data.watermark,
        )
        for one in data.embeddings
    ]
    if data.silhouettes.empty and not maps:
        return None
    body = [element("p", text, class_="lead")]
    if not data.silhouettes.empty:
        body += _read_outs(data, data.silhouettes, "grouping", "Silhouette of every model.")
    return Section("silhouettes", "Silhouettes", join(body + maps))


def probes(data: ReportData) -> Section | None:
    """Linear probes beside chance."""
    if data.probes.empty:
        return None
    text = "What a linear classifier reads out of the embedding. The tick is chance."
    caption = "Linear probe of every model and target."
    body = [element("p", text, class_="lead"), *_read_outs(data, data.probes, "target", caption)]
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
    show = {"epoch": whole, "train_loss": number, "validation": number}
    body = table(rows, heads, caption="Where training ended (last epoch of the last run).",
                 show=show, numeric=("epoch", "train_loss", "validation"))  # fmt: skip
    return Section("curves", "Training", join([image, body]))


def controls(data: ReportData) -> Section | None:
    """What the score becomes when something that should matter is taken away."""
    if data.controls.empty and not data.swaps and data.regions.empty:
        return None
    text = "Each control repeats the evaluation with one thing taken away or replaced."
    body = [element("p", text, class_="lead"), _swap_table(data), _region_table(data)]
    if not data.controls.empty:
        caption = "Score of each control beside the score observed."
        body.insert(1, tidy(data.controls, caption=caption))
    return Section("controls", "Controls", join(body))


def _swap_table(data: ReportData) -> Markup | None:
    """Every control in which other channels carry a region's name."""
    if not data.swaps:
        return None
    rows = pd.DataFrame([vars(swap) for swap in data.swaps])
    rows["interval"] = [interval(s.low, s.high) for s in data.swaps]
    heads = {
        "model": "model", "level": "level", "where": "drawn from", "observed": "real",
        "median": "median", "interval": "95 % range", "highest": "highest",
        "share": "share ≥ real", "n": "n", "note": "note",
    }  # fmt: skip
    numeric = ("observed", "median", "interval", "highest", "share", "n")
    show = dict.fromkeys(("observed", "median", "highest", "share"), number) | {"n": whole}
    what = "; ".join(dict.fromkeys(swap.what for swap in data.swaps))
    caption = f"Wire or region: {what}. Each relabelling is a linear read-out trained and tested."
    return table(rows, heads, caption=caption, show=show, numeric=numeric)


def _region_table(data: ReportData) -> Markup | None:
    """What each region rests on."""
    if data.regions.empty:
        return None
    heads = {
        "region": "region", "channels": "channels", "independent": "independent signals",
        "largest_r": "largest r between two", "subjects": "subjects",
    }  # fmt: skip
    numeric = tuple(heads)[1:]
    show = {"largest_r": lambda r: number(r, 4)} | dict.fromkeys(
        ("channels", "independent", "subjects"), whole
    )
    caption = "What each region rests on; channels whose signals correlate at 0.99 count once."
    return table(data.regions, heads, caption=caption, show=show, numeric=numeric)


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


def draw(
    one: InsertionReport, data: ReportData, colours: dict[str, str], *, light: bool = False
) -> Markup:
    """The article of one insertion."""
    predicted = has_labels(one.channels, "region_pred")
    regions = one.channels["region_pred"].dropna().unique() if predicted else []
    alt = f"Power by depth and frequency of {one.probe}, session {one.session}"
    if len(regions):
        alt += "; predicted regions: " + ", ".join(map(str, regions))
    image = picture(
        lambda narrow: draw_insertion(one, colours, narrow=narrow, watermark=data.watermark),
        alt=alt,
        caption=" ".join([*drawing_notes(one), *map(_sentence, one.notes)]),
        light=light,
    )
    title = element(
        "h3", f"{one.session}, {one.probe} ", element("small", f"subject {one.subject}")
    )
    return element("article", title, image)


def _sentence(note: str) -> str:
    """A note with a capital and a full stop."""
    return note[:1].upper() + note[1:] + ("" if note.endswith((".", "!", "?")) else ".")


def _score_picture(data: ReportData, rows: pd.DataFrame, overall: pd.DataFrame) -> Markup | None:
    metric = data.headline.metric
    overall = overall[(overall["metric"] == metric) & pd.to_numeric(overall["value"]).notna()]
    if overall.empty:
        return None
    overall = overall.assign(model=distinct_names(overall, ("level",)))
    single = rows[(rows["metric"] == metric) & ~is_pooled(rows)]
    single = single.assign(model=distinct_names(single, ("level", "fold")))
    groups, folds = [], []
    levels = overall["level"] if "level" in overall else pd.Series("", overall.index)
    for level, group in overall.groupby(levels, sort=False, dropna=False):
        name = metric_name(metric)
        groups.append((f"{name}, {level} level" if level else name, group))
        same = single[single["level"] == level] if "level" in single else single
        values = same.dropna(subset=["value"]).groupby("model")["value"].apply(list)
        folds.append({m: v for m, v in values.items() if m in set(group["model"])})
    groups[0] = (groups[0][0], groups[0][1].sort_values("value", ascending=False))
    published = "published" in overall and bool(overall["published"].notna().any())
    marks = [("dot", "ours"), ("range", "interval"), ("chance", "chance")]
    marks += [("fold", "single folds")] if any(any(f.values()) for f in folds) else []
    marks += [("published", "published")] if published else []
    return picture(
        lambda narrow: forest_figure(groups, narrow=narrow, folds=folds, published=published),
        alt=f"{metric_name(metric)} of each model with interval and chance",
        caption=key(*marks),
        watermark=data.watermark,
    )


BEST_FIRST = {
    "held out": "held-out sessions",
    "all": "all sessions",
    "trained": "sessions that trained",
}
"""Sessions whose embeddings a read-out is of: of those that trained it says least."""


def _read_outs(data: ReportData, rows: pd.DataFrame, by: str, caption: str) -> list[Markup | None]:
    """Picture and table of the sessions that have an answer, per grouping; others folded up."""
    leads = pd.Series(True, rows.index)
    if "role" in rows:
        for _, group in rows.groupby(by, sort=False):
            known = set(group.loc[group["value"].notna(), "role"])
            best = next((role for role in BEST_FIRST if role in known), None)
            if best:
                leads[group.index] = ~group["role"].isin(BEST_FIRST) | (group["role"] == best)
    made = [_forest(data, rows[leads], by, by == "grouping")]
    made.append(tidy(rows[leads], caption=caption))
    if not leads.all():
        rest = tidy(rows[~leads], caption="The same of other sessions, or why there is no value.")
        made.append(element("details", element("summary", "Other sessions"), rest))
    return made


def _forest(data: ReportData, rows: pd.DataFrame, by: str, zero: bool) -> Markup | None:
    if rows.empty or not pd.to_numeric(rows["value"]).notna().any():
        return None
    rows = rows[pd.to_numeric(rows["value"]).notna()].copy()
    rows["model"] = distinct_names(rows, (by,))
    groups = [
        (f"by {name}{_whose(g)}" if zero else f"{name}{_whose(g)}", g)
        for name, g in rows.groupby(by, sort=False)
    ]
    limits = None if zero else (0.0, 1.0)
    kinds = [("dot", "value"), ("range", "interval")]
    if "chance" in rows and pd.to_numeric(rows["chance"]).notna().any():
        kinds.append(("chance", "chance"))
    return picture(
        lambda narrow: forest_figure(groups, narrow=narrow, zero=zero, limits=limits),
        alt=f"{'Silhouettes' if zero else 'Linear probes'} of each model",
        caption=key(*kinds),
        watermark=data.watermark,
    )


def _whose(rows: pd.DataFrame) -> str:
    """Whose sessions a panel shows, where it is one kind."""
    roles = set(rows["role"]) if "role" in rows else set()
    role = next(iter(roles)) if len(roles) == 1 else None
    return f", {BEST_FIRST[role]}" if role in BEST_FIRST else ""


def paper(data: ReportData) -> Section | None:
    """Every published value with its n, spread and origin, and ours of the same measure."""
    if data.paper.empty:
        return None
    body = [element("p", LEAD, class_="lead"), *measure_tables(data.paper, {"ours": "ours"})]
    return Section("paper", "Beside the paper", join(body))


SECTIONS: Sequence = (
    scores, paper, confusions, silhouettes, probes, curves, controls, notes, provenance
)  # fmt: skip
"""In reading order, after the insertions."""
