"""Tables of scores: pooled or averaged over folds, named apart, and written as HTML."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .markup import Markup, element, interval, number, table
from .report_data import metric_name

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
        same = ", ".join(f"{_HEADINGS[c]} {whole(rows[c].iloc[0])}" for c in constant)
        caption = f"{caption} All rows: {same}."
    if "reason" in shown and len(rows) > 1 and rows["reason"].nunique(dropna=False) == 1:
        said = shown.pop("reason") and rows["reason"].iloc[0]
        caption = f"{caption} {said[:1].upper()}{said[1:]}."
    read = {c: number for c in ("value", "chance", "observed", "published", "difference")}
    read |= {"n": whole, "fold": whole, "seed": whole}
    read["metric"] = lambda text: metric_name(text) if isinstance(text, str) else _text(text)
    read["reason"] = lambda text: text if isinstance(text, str) else ""
    return table(rows, shown, caption=caption, show=read, numeric=(*NUMERIC, "observed"))


CHANCE = {
    "balanced accuracy": "Chance is one over the classes there are.",
    "macro F1": "Chance is what always naming the commonest class gets.",
    "accuracy": "Raw: every sample counts alike, so a common class counts more. Chance is the "
    "share of the commonest class; it is not that of a balanced accuracy.",
}
"""What chance is of a metric; others have it in their rows or none."""


def by_metric(
    rows: pd.DataFrame, first: str | None = None, *, most: int | None = None
) -> list[Markup]:
    """A heading and a table for each metric: values of two metrics are never to be compared.

    Raw accuracy comes last; recall of all classes is one table.

    Parameters
    ----------
    first
        Metric that comes first; the others are then folded up.
    most
        Rows of a table beyond these are left out, and its caption says so.
    """
    names = rows["metric"].map(metric_name)
    names = names.where(~names.str.startswith("recall"), "recall of each class")
    lead = first and metric_name(first)
    found = sorted(names.unique(), key=lambda name: (name != lead, name == "accuracy"))  # stable
    made = []
    for name in found:
        mine = rows[names == name]
        cut = most is not None and len(mine) > most
        said = [f"The first {most} of {len(mine)} rows." if cut else "", CHANCE.get(name, "")]
        title = f"{name[:1].upper()}{name[1:]}"
        caption = " ".join(part for part in said if part) or f"{title}."
        shown = mine[:most] if name.startswith("recall") else mine[:most].drop(columns="metric")
        body = tidy(shown, caption=caption)
        if lead in found and name != lead:
            made.append(element("details", element("summary", title), body))
        else:
            made += [element("h3", title), body]
    return made


def overall_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per model, level and metric: the pooled one, else the plain mean over its folds.

    A row is pooled when its ``fold`` is missing or a text such as "all"; a mean over folds has no
    interval of its own and says how many folds it is a mean of.
    """
    keys = [k for k in ("study", "model", "split", "seed", "level", "scheme", "metric")
            if k in scores]  # fmt: skip
    groups: dict[int, list[int]] = {}
    for at, group in enumerate(scores.groupby(keys, sort=False, dropna=False).ngroup()):
        groups.setdefault(group, []).append(at)
    pooled, records, rows = is_pooled(scores).to_numpy(), scores.to_dict("records"), []
    for places in groups.values():
        chosen = [at for at in places if pooled[at]] or places
        if len(chosen) < len(places) or pooled[chosen].all() or len(places) == 1:
            rows += [records[at] for at in chosen]
            continue
        group = scores.iloc[places]
        row = dict(records[places[0]])
        for name in ("value", "chance"):
            row[name] = pd.to_numeric(group[name]).mean() if name in group else None
        row |= {"n": pd.to_numeric(group["n"]).sum() if "n" in group else None}
        row |= {"low": None, "high": None, "reason": None, "fold": f"mean of {len(group)}"}
        rows.append(row)
    overall = pd.DataFrame(rows, columns=list(scores.columns))
    place = {model: at for at, model in enumerate(overall["model"].unique())}
    return overall.iloc[np.argsort(overall["model"].map(place), kind="stable")]


def distinct_names(rows: pd.DataFrame, apart: Sequence[str]) -> pd.Series:
    """Names of models, with what else tells rows apart added until each is alone.

    ``apart`` are columns by which the rows are drawn in different places anyway.
    """
    names = rows["model"].astype(str)
    keys = [rows[c].astype(str) for c in apart if c in rows]
    for column in ("role", "split", "scheme", "metric", "seed", "fold"):
        if column not in rows or column in apart or rows[column].nunique(dropna=False) < 2:
            continue
        if pd.concat([names, *keys], axis=1).duplicated().any():
            names = names + " · " + rows[column].map(whole)
    repeat = pd.concat([names, *keys], axis=1)
    again = repeat.groupby(list(repeat.columns), sort=False).cumcount() if len(rows) else names
    return names.where(again == 0, names + " (" + (again + 1).astype(str) + ")")


def is_pooled(rows: pd.DataFrame) -> pd.Series:
    """Which rows are about all folds together."""
    if "fold" not in rows:
        return pd.Series(True, rows.index)
    return rows["fold"].map(lambda f: f is None or isinstance(f, str) or pd.isna(f)).astype(bool)


def whole(value: object) -> str:
    """A count without decimals, a text as it is, a dash for nothing."""
    if isinstance(value, (float, np.floating)) and not pd.isna(value) and value == int(value):
        value = int(value)
    return number(value) if isinstance(value, (int, np.integer)) else _text(value)


def _text(value: object) -> str:
    return number(None) if value is None or pd.isna(value) else str(value)
