"""One study as one self-contained web page."""

from dataclasses import replace
from importlib import resources

from . import report_abnormality, report_cards, report_sections, report_subjects, report_trust
from .colours import region_colours
from .markup import Markup, element, join
from .report_data import ReportData
from .report_opening import banner, opening, watermark_style
from .report_sections import Section

MAX_BYTES = 10_000_000


def render_report(data: ReportData, *, max_bytes: int = MAX_BYTES) -> str:
    """HTML with style and pictures inside; it asks the network for nothing.

    If it would be larger than ``max_bytes`` (UTF-8), insertions after the first few are drawn more
    coarsely, then left undrawn from the last one on, and the report names them. Synthetic data
    always carry a watermark.

    Raises
    ------
    ValueError
        If it is too large even without the picture of any insertion.
    """
    if data.synthetic and not data.watermark:
        data = replace(data, watermark="SYNTHETIC")
    colours = region_colours(_regions(data), data.colours)
    below = _sections(data)
    drawn = [report_sections.draw(one, data, colours) for one in data.insertions]
    page = _page(data, drawn, below)
    if len(page.encode()) > max_bytes:
        for place, one in list(enumerate(data.insertions))[report_sections.OPEN :]:
            drawn[place] = report_sections.draw(one, data, colours, light=True)
    while len((page := _page(data, drawn, below)).encode()) > max_bytes:
        if not drawn:
            raise ValueError(
                f"report of {data.study!r} takes {len(page.encode()):,} bytes without any "
                f"insertion, allowed are {max_bytes:,}; leave out embeddings or confusions"
            )
        drawn.pop()
    return page


def _page(data: ReportData, drawn: list[Markup], below: list[Section]) -> Markup:
    first = report_sections.insertions(data, drawn)
    sections = [first, *below] if first else below
    style = resources.files(__package__).joinpath("report.css").read_text("utf-8")
    title = f"SYNTHETIC: {data.question}" if data.synthetic else data.question
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content="fieldbase"),
        element("title", title),
        Markup(f"<style>{style}</style>"),
        watermark_style(data.watermark),
    )
    links = [element("a", s.title, href=f"#{s.id}") for s in sections]
    parts = [
        element("section", element("h2", s.title), s.body, id=s.id, class_="part") for s in sections
    ]
    main = element(
        "main",
        opening(data),
        element("nav", *links, aria_label="Sections") if links else None,
        *parts,
    )
    body = element("body", banner(synthetic=data.synthetic), main, _footer(data))
    return Markup("<!doctype html>\n" + element("html", head, body, lang="en"))


def _sections(data: ReportData) -> list[Section]:
    """What is said below the insertions, in reading order."""
    made = {make: make(data) for make in report_sections.SECTIONS}
    after = {
        report_sections.scores: (
            report_subjects.subjects(data.subjects, data.watermark),
            report_abnormality.abnormality(data.abnormality, data.watermark),
        ),
        report_sections.controls: (
            report_trust.trust(data.trust, data.watermark),
            report_cards.cards(data.cards),
        ),
    }
    ordered = [one for make, section in made.items() for one in (section, *after.get(make, ()))]
    return [section for section in ordered if section]


def _footer(data: ReportData) -> Markup:
    facts = {"data": data.data, "after": data.source, **data.generated}
    pairs = [element("div", element("dt", k), element("dd", v)) for k, v in facts.items() if v]
    return element("footer", join([element("p", "Made by fieldbase"), element("dl", *pairs)]))


def _regions(data: ReportData) -> list[str | None]:
    named: list[str | None] = []
    for insertion in data.insertions:
        for column in ("region_pred", "region_file"):
            named.extend(insertion.channels.get(column, ()))
    return named + [r for e in data.embeddings for r in e.region]
