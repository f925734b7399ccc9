"""The first screen of a report: question, answer, how sure, and what not to conclude."""

import base64

import numpy as np

from .markup import Markup, element, interval, join, number
from .report_data import Headline, ReportData, Swap, metric_name

FEW = 5
"""Subjects below which an interval over them says little."""

BOUNDED = ("accuracy", "f1", "recall", "auc", "precision", "kappa", "probability")


def opening(data: ReportData) -> Markup:
    """Everything a reader must see before scrolling."""
    left = element(
        "div",
        element("p", join([_origin(data), element("span", data.study)]), class_="eyebrow"),
        element("h1", data.question),
        element("p", data.answer, class_="answer"),
        _rests_on(data),
        _not_to_conclude(data),
        class_="said",
    )
    return element("header", left, _card(data), class_="opening")


def banner(*, synthetic: bool) -> Markup | None:
    """The strip that stays on top while the data are synthetic; None for real recordings."""
    if not synthetic:
        return None
    text = "No animal was recorded. These numbers test the software and say nothing of any brain."
    return element("div", element("strong", "SYNTHETIC DATA"), " ", text,
                   class_="banner", role="note")  # fmt: skip


def watermark_style(text: str) -> Markup | None:
    """A style that writes the text faintly across the whole page, also in print."""
    if not text:
        return None
    safe = "".join(f"&#{ord(c)};" for c in text)
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="520" height="360">'
        '<text x="260" y="190" transform="rotate(-24 260 180)" text-anchor="middle" '
        'font-family="sans-serif" font-weight="700" font-size="44" fill="#7a1f1f" '
        f'fill-opacity="0.07">{safe}</text></svg>'
    )
    uri = f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
    return Markup(f"<style>body::after{{background-image:url({uri})}}</style>")


def verdict(headline: Headline) -> str:
    """What the interval says about chance, in one or two sentences."""
    low, high, chance = headline.low, headline.high, headline.chance
    if headline.value is None:
        return headline.reason or "The value is undefined."
    if chance is None:
        said = "There is no chance level to compare with."
    elif low is None or high is None:
        said = "No interval could be computed, so the distance from chance is untested."
    elif low > chance:
        said = "The whole interval lies above chance."
    elif high < chance:
        said = "The whole interval lies below chance."
    else:
        said = "The interval includes chance: this is no evidence that anything was learnt."
    if headline.n_subjects == 1:
        said += " With one subject, nothing here speaks for other subjects."
    elif 1 < headline.n_subjects < FEW and "resampling subjects" in headline.interval:
        said += f" Resampling {headline.n_subjects} subjects says little of others."
    return said


def _origin(data: ReportData) -> Markup:
    kind = "synthetic" if data.synthetic else "real"
    text = "Synthetic data" if data.synthetic else "Real recordings"
    return element("span", text, class_=f"origin {kind}")


def _not_to_conclude(data: ReportData) -> Markup | None:
    if not data.not_to_conclude and not data.doubts:
        return None
    items = [element("li", element("strong", sentence)) for sentence in data.doubts]
    items += [element("li", sentence) for sentence in data.not_to_conclude]
    title = element("h2", "What not to conclude")
    return element("section", title, element("ul", *items), class_="caution")


def _rests_on(data: ReportData) -> Markup | None:
    """How many channels, and how many different signals, each region has."""
    if data.regions.empty:
        return None
    said = []
    for row in data.regions.to_dict("records"):
        n, signals = row["channels"], row["independent"]
        copies = f" ({signals} independent)" if signals < n else ""
        said.append(f"{row['region']} {n}{copies}")
    return element("p", "Channels: ", ", ".join(said), class_="rests")


def _card(data: ReportData) -> Markup:
    headline = data.headline
    what = [metric_name(headline.metric), f"{headline.level} level" if headline.level else ""]
    model = element("span", headline.model) if headline.model else None
    facts = [
        ("Chance", number(headline.chance, _digits(headline))),
        ("Subjects", number(headline.n_subjects)),
        (headline.counted.capitalize(), number(headline.n_channels)),
    ]
    pairs = [element("div", element("dt", k), element("dd", v)) for k, v in facts]
    return element(
        "aside",
        element("p", element("span", ", ".join(w for w in what if w)), model, class_="metric"),
        _value(headline),
        _interval_line(headline),
        _number_line(headline),
        element("dl", *pairs),
        element("p", verdict(headline), class_="verdict"),
        *[_control(swap) for swap in leading_swaps(data)],
        class_="headline",
        aria_label="Main result",
    )


def leading_swaps(data: ReportData) -> list[Swap]:
    """The controls that stand beside the headline: one model's, at its level.

    The headline's own model if its representation never heard the names, else the first one that
    has such a control.
    """
    same = [swap for swap in data.swaps if swap.level == data.headline.level]
    fair = [swap for swap in same if "fine-tuned" not in swap.note] or same
    own = [swap for swap in fair if swap.model == data.headline.model] or fair
    return [swap for swap in own if swap.model == own[0].model]


def _control(swap: Swap) -> Markup:
    """The real score among those of other channels under the same name."""
    marks = [
        element("i", class_="track"),
        element("i", class_="range other",
                style=f"left:{100 * swap.low:.2f}%;width:{100 * (swap.high - swap.low):.2f}%"),
        element("i", class_="tick", style=f"left:{100 * swap.median:.2f}%"),
        element("i", class_="tick end", style=f"left:{100 * swap.highest:.2f}%"),
    ]  # fmt: skip
    if swap.observed is not None:
        marks.append(element("i", class_="dot", style=f"left:{100 * swap.observed:.2f}%"))
    real = "undefined" if swap.observed is None else number(swap.observed, 2)
    said = (
        f"{swap.where[:1].upper() + swap.where[1:]}: median {number(swap.median, 2)}, at most "
        f"{number(swap.highest, 2)} ({swap.note}); the real one {real}."
    )
    return element(
        "div",
        element(
            "p",
            element("span", f"Control: {swap.what}"),
            element("span", swap.model),
            class_="metric",
        ),
        element("div", *marks, class_="line thin", aria_hidden="true"),
        element("p", said),
        class_="control",
    )


def _value(headline: Headline) -> Markup:
    if headline.value is None:
        return element("p", "undefined", class_="value none")
    return element("p", number(headline.value, _digits(headline)), class_="value")


def _digits(headline: Headline) -> int:
    """Two decimals, three where the value is below a tenth."""
    return 3 if headline.value is not None and 0 < abs(headline.value) < 0.1 else 2


def _interval_line(headline: Headline) -> Markup | None:
    if headline.low is None or headline.high is None:
        return None
    ends = element("strong", interval(headline.low, headline.high, _digits(headline)))
    return element("p", ends, " ", headline.interval, class_="interval")


def _number_line(headline: Headline) -> Markup | None:
    """Interval, value and chance on one scale; None without a value."""
    known = (headline.value, headline.chance, headline.low, headline.high)
    present = [v for v in known if v is not None and np.isfinite(v)]
    if headline.value is None or not present:
        return None
    if any(word in headline.metric.lower() for word in BOUNDED):
        start, stop = 0.0, 1.0
    else:
        room = 0.12 * (max(*present, 0.0) - min(*present, 0.0) or 1.0)
        start, stop = min(*present, 0.0) - room, max(*present, 0.0) + room

    def at(value: float) -> str:
        return f"{100 * (value - start) / (stop - start):.2f}%"

    marks = [element("i", class_="track")]
    if headline.low is not None and headline.high is not None:
        width = 100 * (headline.high - headline.low) / (stop - start)
        style = f"left:{at(headline.low)};width:{width:.2f}%"
        marks.append(element("i", class_="range", style=style))
    if headline.chance is not None:
        label = element("span", f"chance {number(headline.chance, _digits(headline))}")
        edge = " end" if (headline.chance - start) / (stop - start) > 0.8 else ""
        marks.append(
            element("b", label, class_="chance" + edge, style=f"left:{at(headline.chance)}")
        )
    marks.append(element("i", class_="dot", style=f"left:{at(headline.value)}"))
    if (start, stop) == (0.0, 1.0):
        marks += [element("em", "0", class_="from"), element("em", "1", class_="to")]
    return element("div", *marks, class_="line", aria_hidden="true")
