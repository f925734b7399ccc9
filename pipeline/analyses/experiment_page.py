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
}
"""What one sample is, and what a table of such scores says of it."""
SIDES = {"published": "published protocol, ours", "strict": "strict, ours"}
OURS = (
    "value", "low", "high", "chance", "n", "n_groups", "study", "seeds", "seed_sd", "subject_sd",
)  # fmt: skip
COLUMNS = (
    "arm", "model", "level", "metric", "detail", "paper", "paper_n", "paper_spread", "origin",
    *(f"{side}_{what}" for side in SIDES for what in OURS),
)  # fmt: skip


@dataclass(frozen=True)
class ExperimentPage:
    """What the page says.

    Attributes
    ----------
    rows
        One line per arm, model, level and metric, with columns of `COLUMNS`; what is not known is
        missing. A row never mixes metrics: raw accuracy does not stand beside a balanced one.
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


def _tables(page: ExperimentPage) -> list[Markup]:
    lead = (
        "A value of ours has its 95 % interval over tested subjects in brackets, its chance level "
        "(c) and how many subjects were tested (n); of several seeds it is the mean, and ± is the "
        "standard deviation between them, s that between subjects. Of an abnormality c is the "
        "share in controls. A dash: not reported there, or not run."
    )
    parts = [element("p", lead, class_="lead")]
    for (level, metric), rows in page.rows.groupby(["level", "metric"], sort=False):
        where = LEVELS.get(level, level)
        parts.append(_table(rows, f"{metric_name(metric).capitalize()}, {where}."))
    return parts


def _notes(page: ExperimentPage) -> Markup | None:
    if not page.notes:
        return None
    items = element("ul", *[element("li", text) for text in page.notes])
    return element("section", element("h2", "What not to conclude"), items, class_="caution")


def _table(rows: pd.DataFrame, caption: str) -> Markup:
    shown = pd.DataFrame(
        {
            "arm": rows["arm"].fillna(""),
            "model": rows["model"],
            "detail": rows["detail"].fillna(""),
            "paper": [_paper(row) for row in rows.to_dict("records")],
            **{side: [_ours(row, side) for row in rows.to_dict("records")] for side in SIDES},
        }
    )
    heads = {"arm": "arm", "model": "model", "detail": "of", "paper": "paper", **SIDES}
    told = {"arm": shown["arm"].nunique() > 1, "detail": shown["detail"].any()}
    kept = {k: v for k, v in heads.items() if told.get(k, True)}
    return table(shown, kept, caption=caption)


def _paper(row: dict) -> str | None:
    if pd.isna(row["paper"]):
        return None
    spread = "" if pd.isna(row["paper_spread"]) else f" ± {number(row['paper_spread'])}"
    n = "" if pd.isna(row["paper_n"]) else f", n {int(row['paper_n'])}"
    return f"{number(row['paper'])}{spread}{n} ({row['origin']})"


def _ours(row: dict, side: str) -> str | None:
    own = {what: row[f"{side}_{what}"] for what in OURS}
    if pd.isna(own["value"]):
        return None
    several = not pd.isna(own["seed_sd"])
    seeds = f" ± {number(own['seed_sd'])}, {int(own['seeds'])} seeds" if several else ""
    ends = "" if pd.isna(own["low"]) else f" [{interval(own['low'], own['high'])}]"
    chance = "" if pd.isna(own["chance"]) else f", c {number(own['chance'])}"
    n = "" if pd.isna(own["n_groups"]) else f", n {int(own['n_groups'])}"
    apart = "" if pd.isna(own["subject_sd"]) else f", s {number(own['subject_sd'])}"
    return f"{number(own['value'])}{seeds}{ends}{chance}{n}{apart}"


def _studies(page: ExperimentPage) -> Markup | None:
    if not page.links:
        return None
    items = [element("li", element("a", name, href=where)) for name, where in page.links]
    return element(
        "section", element("h2", "The studies it is made of"), element("ul", *items), class_="part"
    )
