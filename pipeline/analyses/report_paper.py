"""A paper's values beside ours: one table per measure, nothing beside another measure."""

from collections.abc import Mapping, Sequence

import pandas as pd

from .markup import Markup, element, interval, join, number, table
from .report_data import metric_name

LEVELS = {
    "window": "window level",
    "channel": "channel level, windows averaged",
    "post-processed": "channel level, post-processed",
    "unit": "unit level",
    "session": "session level, one answer per session",
    "linear probe": "of a linear probe on embeddings",
    "silhouette": "of embeddings",
}
"""What one sample is, and what a table of such scores says of it."""
OURS = (
    "value", "low", "high", "chance", "n", "n_groups", "counted", "how", "study", "seeds",
    "seed_sd", "subject_sd",
)  # fmt: skip
STATISTICS = {
    "mean": "mean of the values of single subjects, every subject alike",
    "pooled": "pooled: all held-out samples of all folds together",
}
"""How folds became one value; a read-out or an abnormality says so in its own cell."""
LEAD = (
    "One table for each measure: a value stands only beside others of the same metric, level and "
    "statistic. Under a value of ours: its 95 % interval over tested subjects, its chance level, "
    "how many subjects were tested, the standard deviation between them, and, of several seeds, "
    "that between seeds. The paper's ± is its own. A dash: not reported there, or not run."
)
RAW = "raw accuracy, its chance the share of the commonest class"
WHOSE = {"fold": " of one subject each"}
"""What is said behind a count, where the count is not of subjects."""


def measure_tables(rows: pd.DataFrame, sides: Mapping[str, str]) -> list[Markup]:
    """Measures that the paper reports, then the others.

    Parameters
    ----------
    rows
        ``arm, model, level, metric, detail, statistic``, the paper's ``paper, paper_n,
        paper_spread, paper_statistic, origin``, and `OURS` behind the name of each side.
    sides
        Name of a side and the heading of its column; one that nothing was run of is left out.
    """
    run = [side for side in sides if rows[f"{side}_study"].notna().any()]
    reported, others = [], []
    by = ["level", "metric", "statistic"]
    for (level, metric, statistic), mine in rows.groupby(by, sort=False, dropna=False):
        name = RAW if metric == "accuracy" else metric_name(metric)
        said = [LEVELS.get(level, level), STATISTICS.get(statistic, "")]
        head = f"{name[:1].upper()}{name[1:]}, {'; '.join(part for part in said if part)}."
        told = bool(mine["paper"].notna().any())
        columns = {"paper": "paper"} if told else {}
        columns |= {side: sides[side] for side in run}
        (reported if told else others).append(_table(mine, head, columns))
    apart = [element("h3", "Not in the paper")] if reported and others else []
    return [*reported, *apart, *others]


def _table(rows: pd.DataFrame, caption: str, columns: Mapping[str, str]) -> Markup:
    """What is told apart leads: what a read-out is of, then arms, then models."""
    records = rows.to_dict("records")
    made = {"detail": rows["detail"].fillna(""), "arm": rows["arm"].fillna("")}
    made["model"] = rows["model"]
    for name in columns:
        made[name] = [
            paper_cell(row) if name == "paper" else ours_cell(row, name) for row in records
        ]
    shown = pd.DataFrame(made, rows.index, dtype=object)  # a column of strings loses its markup
    told = {"detail": shown["detail"].any(), "arm": shown["arm"].nunique() > 1}
    heads = {"detail": "of", "arm": "arm", "model": "model", **columns}
    kept = {name: title for name, title in heads.items() if told.get(name, True)}
    show = dict.fromkeys(columns, lambda text: number(None) if text is None else text)
    return element("div", table(shown, kept, caption=caption, show=show), class_="measures")


def paper_cell(row: Mapping) -> Markup | None:
    """A published value with its spread, n, statistic and origin."""
    if pd.isna(row["paper"]):
        return None
    spread = "" if pd.isna(row["paper_spread"]) else f" ± {number(row['paper_spread'])}"
    said = ["n not stated" if pd.isna(row["paper_n"]) else f"n {int(row['paper_n'])}"]
    stated = row["paper_statistic"]
    if isinstance(stated, str) and stated:
        said.append(stated)
    elif row["statistic"]:
        said.append("pooled or a mean: not stated")
    return _cell(f"{number(row['paper'])}{spread}", [*said, row["origin"]])


def ours_cell(row: Mapping, side: str) -> Markup | None:
    """A value of ours with all that must stand beside it; the reason where there is none."""
    own = {what: row[f"{side}_{what}"] for what in OURS}
    how = own["how"] if isinstance(own["how"], str) else ""
    if pd.isna(own["value"]):
        return _cell("no answer", [how]) if how else None
    several = not pd.isna(own["seed_sd"])
    spread = "range" if "range of" in how else "95 %"
    level = "in controls" if row["metric"] == "abnormality" else "chance"
    said = [
        None if pd.isna(own["low"]) else f"{spread} {interval(own['low'], own['high'])}",
        None if pd.isna(own["chance"]) else f"{level} {number(own['chance'])}",
        None if pd.isna(own["n_groups"]) else _counted(int(own["n_groups"]), own["counted"]),
        None if pd.isna(own["subject_sd"]) else f"SD between them {number(own['subject_sd'])}",
        f"{int(own['seeds'])} seeds, SD {number(own['seed_sd'])}" if several else None,
        how or None,
    ]
    return _cell(number(own["value"]), [part for part in said if part])


def _counted(n: int, what: object) -> str:
    name = what if isinstance(what, str) else "subject"
    return f"{n} {name}{'s' * (n != 1)}{WHOSE.get(name, '')}"


def _cell(value: str, said: Sequence[str]) -> Markup:
    """A value, and under it what it must not be read without."""
    return join([element("strong", value), element("small", " · ".join(said))])
