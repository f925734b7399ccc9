"""Model cards inside a report: what each model learnt from, how good it is, under which licence."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from .markup import Markup, element, interval, join, number, table
from .report_data import ModelCard, metric_name
from .report_scores import whole
from .report_sections import Section

COUNTED = (
    "n counts windows of single channels, or channels, as the level says; intervals resample "
    "subjects unless a note says otherwise."
)
GROUPED = "Groups are repetitions, or subjects where each is scored once."


def cards(found: Sequence[ModelCard]) -> Section | None:
    """One card per model, folded up but for the first."""
    if not found:
        return None
    lead = element(
        "p",
        "One card per model. Data and this fold's scores are of its first training; all trainings "
        "stand below them with their digests.",
        class_="lead",
    )
    parts = [
        element("details", element("summary", card.name), *_body(card), open=place == 0)
        for place, card in enumerate(found)
    ]
    return Section("cards", "Model cards", join([lead, *parts]))


def _body(card: ModelCard) -> list[Markup | None]:
    said = element("ul", *[element("li", text) for text in card.warnings], class_="notes")
    pairs = [element("div", element("dt", k), element("dd", v)) for k, v in card.facts if v]
    return [
        said if card.warnings else None,
        element("dl", *pairs, class_="facts"),
        _roles(card),
        _scores(card.scores, f"Scores on held-out recordings: {COUNTED}", "Not scored yet."),
        _scores(
            card.controls,
            f"Controls. {GROUPED}",
            "No control was run.",
        ),
        _trainings(card.trainings),
        *_export(card),
    ]


def _export(card: ModelCard) -> list[Markup]:
    """The command that writes the first training, ready to paste."""
    said = "The first of them as a folder, its card beside the weights (safetensors):"
    command = f"fieldbase export model {card.trainings.training.iloc[0]} --to FOLDER"
    return [element("p", said, class_="note"), element("pre", element("code", command))]


def _roles(card: ModelCard) -> Markup:
    heads = {"role": "role", "subjects": "subjects", "sessions": "sessions", "windows": "windows"}
    show = dict.fromkeys(("subjects", "sessions", "windows"), whole)
    caption = f"Data of the first training: {card.fold}."
    return table(card.roles, heads, caption=caption, show=show, numeric=tuple(show))


def _scores(rows: pd.DataFrame, caption: str, none: str) -> Markup:
    rows = rows.dropna(subset=["value"]) if len(rows) else rows
    if rows.empty:
        return element("p", none, class_="note")
    ends = [interval(a, b) for a, b in zip(rows.low, rows.high, strict=True)]
    rows = rows.assign(interval=ends, note=[_note(row) for row in rows.to_dict("records")])
    counted = "groups" if "control" in rows else "subjects"
    heads = {
        "control": "control", "which": "folds", "level": "level", "metric": "metric",
        "value": "value", "interval": "95 % interval", "chance": "chance", "n": "n",
        "n_groups": counted, "note": "note",
    }  # fmt: skip
    kept = {name: title for name, title in heads.items() if name in rows}
    show = {"value": number, "chance": number, "n": whole, "n_groups": whole,
            "metric": metric_name, "control": lambda name: name.replace("_", " ")}  # fmt: skip
    numeric = ("value", "interval", "chance", "n", "n_groups")
    return table(rows, kept, caption=caption, show=show, numeric=numeric)


def _note(row: dict[str, Any]) -> str:
    """What a control is compared with, and what the interval is of or why there is none."""
    said = (row.get(name) for name in ("detail", "score_reason"))
    return "; ".join(text for text in said if isinstance(text, str))


def _trainings(rows: pd.DataFrame) -> Markup:
    heads = {"fold": "fold", "seed": "seed", "training": "training", "weights": "weights sha256",
             "best": "best epoch", "seconds": "time to fit (s)"}  # fmt: skip
    show = {"seed": whole, "best": whole, "seconds": lambda s: number(s, 1)}
    caption = f"All {len(rows)} trainings of this model."
    return table(rows, heads, caption=caption, show=show, numeric=("seed", "best", "seconds"))
