"""An experiment as one page: the paper's value, ours by its protocol, ours by a strict one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

import pandas as pd

from .markup import Markup, element, join
from .report_opening import banner, watermark_style
from .report_paper import LEAD, OURS, measure_tables

SIDES = {"published": "published protocol, ours", "strict": "strict, ours"}
COLUMNS = (
    "arm", "model", "level", "metric", "detail", "statistic", "paper", "paper_n", "paper_spread",
    "paper_statistic", "origin", *(f"{side}_{what}" for side in SIDES for what in OURS),
)  # fmt: skip


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
        element(
            "section",
            element("h2", "Paper and ours"),
            element("p", LEAD, class_="lead"),
            *measure_tables(page.rows, SIDES),
            class_="part",
        ),
        _studies(page),
    )
    facts = {"after": page.source, **page.generated}
    pairs = [element("div", element("dt", k), element("dd", v)) for k, v in facts.items() if v]
    footer = element("footer", element("p", "Made by fieldbase"), element("dl", *pairs))
    body = element("body", banner(synthetic=page.synthetic), main, footer)
    return Markup("<!doctype html>\n" + element("html", head, body, lang="en"))


def _notes(page: ExperimentPage) -> Markup | None:
    if not page.notes:
        return None
    items = element("ul", *[element("li", text) for text in page.notes])
    return element("section", element("h2", "What not to conclude"), items, class_="caution")


def _studies(page: ExperimentPage) -> Markup | None:
    if not page.links:
        return None
    items = [element("li", element("a", name, href=where)) for name, where in page.links]
    return element(
        "section", element("h2", "The studies it is made of"), element("ul", *items), class_="part"
    )
