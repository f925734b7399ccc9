"""A model card as Markdown: what it is, what it learnt from, how good it is, how to load it."""

from typing import Any

from pipeline.analyses.markup import NOTHING, interval, number
from pipeline.analyses.report_cards import COUNTED, GROUPED
from pipeline.analyses.report_data import metric_name

HUB = "transformers"
"""Subfolder that ``transformers`` loads, for models it knows."""


def to_markdown(name: str, about: dict[str, Any], for_transformers: bool) -> str:
    """The card of an exported model.

    Parameters
    ----------
    about
        Content of ``card.json``.
    """
    parts = [
        f"# {name}",
        f"Family {about['model']['family']}, training `{about['training']}`, weights sha256 "
        f"`{about['weights_digest']}`; everything else is in `card.json`.",
        _warnings(about),
        _in_short(about),
        "## Loading",
        _loading(about, for_transformers),
        "## Data",
        _data(about),
        "## Scores on held-out recordings",
        _table(about["scores"], "Not scored yet: run the study that trained it."),
        COUNTED if about["scores"] else None,
        "## Controls",
        _table(about["controls"], "None was run."),
        GROUPED if about["controls"] else None,
        "## Weights and licence",
        _licence(about),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _warnings(about: dict[str, Any]) -> str:
    said = []
    if about["synthetic_training"]:
        said.append("**Trained on simulated recordings**: what it says of a brain means nothing.")
    if about["transductive"]:
        said.append("**Transductive**: self-supervision heard the subjects it was tested on.")
    return "\n\n".join(said)


def _loading(about: dict[str, Any], for_transformers: bool) -> str:
    lines = [
        "    from pipeline.models import load_model",
        "    model = load_model('FOLDER')  # this folder, or the hub id it was uploaded to",
    ]
    if for_transformers:
        lines += [
            "",
            "Without fieldbase, and without the classifying head:",
            "",
            "    from transformers import Wav2Vec2Model",
            f"    model = Wav2Vec2Model.from_pretrained('FOLDER', subfolder='{HUB}')",
            "",
            f"That reads one channel at {about['model']['model_rate']:g} Hz, mean 0 and SD 1.",
        ]
    return "\n".join([*lines, *_input(about)])


def _input(about: dict[str, Any]) -> list[str]:
    """What windows of LFP have to be like; nothing for other inputs."""
    reads, card = about["context"], about["card"] or {}
    if reads["rate"] is None:
        return []
    said = f"It was trained on windows of {reads['window_s']:g} s at {reads['rate']:g} Hz in µV"
    if card.get("band_hz"):
        low, high = ("open" if hz is None else f"{hz:g}" for hz in card["band_hz"])
        said += f", band {low} to {high} Hz, reference: {card['reference']}"
    return ["", f"{said}; what was cut otherwise it has never heard."]


def _data(about: dict[str, Any]) -> str:
    card = about["card"] or {}
    lines = [
        f"Fold: {about['fold']}; {about['split_by']}. A window counts once for all channels.",
        "",
    ]
    lines += ["| role | subjects | sessions | windows |", "|---|---:|---:|---:|"]
    for role, what in sorted(about["roles"].items()):
        counts = len(what["subjects"]), what["sessions"], what["windows"]
        lines.append(f"| {role} | {' | '.join(f'{n:,}' for n in counts)} |")
    if about["classes"]:
        named = f"{', '.join(about['classes'])} (labels: {about['labels']})"
        lines += ["", f"Regions it names: {named}."]
    if card.get("species"):
        lines += ["", f"Species: {', '.join(map(str, card['species']))}."]
    if card.get("labs"):
        lines += ["", f"Laboratories: {', '.join(card['labs'])}."]
    return "\n".join(lines)


def _in_short(about: dict[str, Any]) -> str | None:
    """The one number a person looks for; None if there is none."""
    for row in about["scores"]:
        what = row["which"], row["level"], row["metric"], row["detail"]
        if what == ("all folds", "channel", "balanced_accuracy", None) and row["value"] is not None:
            return (
                f"Over all folds ({about['split_by']}), on channels of the recordings each left "
                f"out: balanced accuracy {number(row['value'])}, 95 % interval "
                f"{interval(row['low'], row['high'])}, chance {number(row['chance'])}, "
                f"{row['n']:,} channels of {row['n_groups']} subjects."
            )
    return None


def _table(rows: list[dict[str, Any]], none: str) -> str:
    rows = [row for row in rows if row["value"] is not None]
    if not rows:
        return none
    first = [name for name in ("control", "which") if name in rows[0]]
    counted = "groups" if "control" in rows[0] else "subjects"
    heads = [*first, "level", "metric", "value", "95 % interval", "chance", "n", counted, "note"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in rows:
        notes = "; ".join(text for text in (row["detail"], row["score_reason"]) if text)
        cells = [*(row[name].replace("_", " ") for name in first), row["level"],
                 metric_name(row["metric"]), number(row["value"]),
                 interval(row["low"], row["high"]), number(row["chance"]), f"{row['n']:,}",
                 str(row["n_groups"] or NOTHING), notes.replace("|", "/")]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _licence(about: dict[str, Any]) -> str:
    begun, licence = f"It began with {about['origin']}", about["licence"]
    if licence is None:
        return f"{begun}. The recordings' own terms hold for what it learnt."
    what = "vectors" if about["vectors"] else "weights"
    said = (
        f"{begun}, licence: {licence}. The terms of those {what} and of the recordings hold for "
        "what it learnt."
    )
    files = [f"- `{one['file']}`, {one['etag'] or 'no digest known'}" for one in about["vectors"]]
    return "\n\n".join([said, *(["\n".join(files)] if files else [])])
