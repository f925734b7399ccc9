"""An experiment as one page: the paper's value, ours by its protocol, ours by a strict one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

import pandas as pd

from .markup import Markup, element, interval, join, number, table
from .report_data import metric_name
from .report_opening import banner, watermark_style

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
SIDES = {"published": "published protocol, ours", "strict": "strict, ours"}
OURS = (
    "value", "low", "high", "chance", "n", "n_groups", "counted", "how", "study", "seeds",
    "seed_sd", "subject_sd",
)  # fmt: skip
COLUMNS = (
    "arm", "model", "level", "metric", "detail", "statistic", "paper", "paper_n", "paper_spread",
    "paper_statistic", "origin", *(f"{side}_{what}" for side in SIDES for what in OURS),
)  # fmt: skip
STATISTICS = {
    "mean": "mean of the values of single subjects, every subject alike",
    "pooled": "pooled: all held-out samples of all folds together",
}
"""How folds became one value; a read-out or an abnormality says so in its own cell."""


@dataclass(frozen=True)
class ExperimentPage:
    """What the page says.

    Attributes
    ----------
    rows
        One line per arm, model, level, metric and statistic, with columns of `COLUMNS`; what is not
        known is missing. A row never mixes metrics or statistics: raw accuracy does not stand
        beside a balanced one, a pooled value not beside a mean over sessions.
    links
        Study and the address of its own report.
    notes
        What a reader must know of the paper's values or of missing data.
    """

    name: str
    question: str
    synthetic: bool
    rows: pd.DataFrame
    source: str = ""
    links: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    generated: dict[str, str] = field(default_factory=dict)


def render_experiment(page: ExperimentPage) -> Markup:
    """HTML with its style inside; synthetic data carry their banner and watermark."""
    style = resources.files(__package__).joinpath("report.css").read_text("utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"SYNTHETIC: {page.question}" if page.synthetic else page.question),
        Markup(f"<style>{style}</style>"),
        watermark_style("SYNTHETIC" if page.synthetic else ""),
    )
    origin = "Synthetic data" if page.synthetic else "Real recordings"
    kind = "origin synthetic" if page.synthetic else "origin real"
    eyebrow = join([element("span", origin, class_=kind), element("span", page.name)])
    said = [element("p", eyebrow, class_="eyebrow"), element("h1", page.question), _notes(page)]
    main = element(
        "main",
        element("header", element("div", *said, class_="said"), class_="opening"),
        element("section", element("h2", "Paper and ours"), *_tables(page), class_="part"),
        _studies(page),
    )
    facts = {"after": page.source, **page.generated}
    pairs = [element("div", element("dt", k), element("dd", v)) for k, v in facts.items() if v]
    footer = element("footer", element("p", "Made by fieldbase"), element("dl", *pairs))
    body = element("body", banner(synthetic=page.synthetic), main, footer)
    return Markup("<!doctype html>\n" + element("html", head, body, lang="en"))


LEAD = (
    "One table for each measure: a value stands only beside others of the same metric, level and "
    "statistic. Under a value of ours: its 95 % interval over tested subjects, its chance level, "
    "how many subjects were tested, the standard deviation between them, and, of several seeds, "
    "that between seeds. Of an abnormality chance is the share in controls. The paper's ± is its "
    "own. A dash: not reported there, or not run."
)


def _tables(page: ExperimentPage) -> list[Markup]:
    """Measures that the paper reports, then the others."""
    rows = page.rows
    sides = [side for side in SIDES if rows[f"{side}_study"].notna().any()]
    reported, others = [], []
    by = ["level", "metric", "statistic"]
    for (level, metric, statistic), mine in rows.groupby(by, sort=False, dropna=False):
        name = metric_name(metric)
        said = [LEVELS.get(level, level), STATISTICS.get(statistic, "")]
        head = f"{name[:1].upper()}{name[1:]}, {'; '.join(part for part in said if part)}."
        told = bool(mine["paper"].notna().any())
        columns = ["paper", *sides] if told else sides
        (reported if told else others).append(_table(mine, head, columns))
    apart = element("h3", "Not in the paper") if reported and others else None
    return [element("p", LEAD, class_="lead"), *reported, *([apart] if apart else []), *others]


def _notes(page: ExperimentPage) -> Markup | None:
    if not page.notes:
        return None
    items = element("ul", *[element("li", text) for text in page.notes])
    return element("section", element("h2", "What not to conclude"), items, class_="caution")


def _table(rows: pd.DataFrame, caption: str, columns: Sequence[str]) -> Markup:
    """What is told apart leads: what a read-out is of, then arms, then models."""
    records = rows.to_dict("records")
    made = {"detail": rows["detail"].fillna(""), "arm": rows["arm"].fillna("")}
    made["model"] = rows["model"]
    made["paper"] = [paper_cell(row) for row in records]
    made |= {side: [_ours(row, side) for row in records] for side in SIDES}
    shown = pd.DataFrame(made, rows.index, dtype=object)  # a column of strings loses its markup
    told = {"detail": shown["detail"].any(), "arm": shown["arm"].nunique() > 1, "model": True}
    heads = {"detail": "of", "arm": "arm", "model": "model", "paper": "paper", **SIDES}
    kept = {k: v for k, v in heads.items() if told.get(k, k in columns)}
    show = dict.fromkeys(columns, lambda text: number(None) if text is None else text)
    return element("div", table(shown, kept, caption=caption, show=show), class_="measures")


def paper_cell(row: dict) -> Markup | None:
    """A published value with its spread, n, statistic and origin."""
    if pd.isna(row["paper"]):
        return None
    spread = "" if pd.isna(row["paper_spread"]) else f" ± {number(row['paper_spread'])}"
    said = ["n not stated" if pd.isna(row["paper_n"]) else f"n {int(row['paper_n'])}"]
    stated = row.get("paper_statistic")
    if isinstance(stated, str) and stated:
        said.append(stated)
    elif row.get("statistic"):
        said.append("pooled or a mean: not stated")
    return cell(f"{number(row['paper'])}{spread}", [*said, row["origin"]])


def ours_cell(own: dict) -> Markup | None:
    """A value of ours with all that must stand beside it; the reason where there is none."""
    how = own["how"] if isinstance(own["how"], str) else ""
    if pd.isna(own["value"]):
        return cell("no answer", [how]) if how else None
    several = not pd.isna(own["seed_sd"])
    counted = own["counted"] if isinstance(own["counted"], str) else "subject"
    spread = "range" if "range of" in how else "95 %"
    n = None if pd.isna(own["n_groups"]) else int(own["n_groups"])
    said = [
        None if pd.isna(own["low"]) else f"{spread} {interval(own['low'], own['high'])}",
        None if pd.isna(own["chance"]) else f"chance {number(own['chance'])}",
        None if n is None else f"{n} {counted}{'s' * (n != 1)}{WHOSE.get(counted, '')}",
        None if pd.isna(own["subject_sd"]) else f"SD between them {number(own['subject_sd'])}",
        f"{int(own['seeds'])} seeds, SD {number(own['seed_sd'])}" if several else None,
        how or None,
    ]
    return cell(number(own["value"]), [part for part in said if part])


WHOSE = {"fold": " of one subject each"}


def cell(value: str, said: Sequence[str]) -> Markup:
    """A value, and under it what it must not be read without."""
    return join([element("strong", value), element("small", " · ".join(said))])


def _ours(row: dict, side: str) -> Markup | None:
    return ours_cell({what: row[f"{side}_{what}"] for what in OURS})


def _studies(page: ExperimentPage) -> Markup | None:
    if not page.links:
        return None
    items = [element("li", element("a", name, href=where)) for name, where in page.links]
    return element(
        "section", element("h2", "The studies it is made of"), element("ul", *items), class_="part"
    )
