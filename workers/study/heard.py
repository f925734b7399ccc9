"""Rows whose self-supervision heard who is tested carry it in their name."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from schemas import dataset

from .models import ssl_first
from .plan import wanted
from .spec import StudySpec

MARK = "transductive"


def transductive_models(spec: StudySpec) -> set[str]:
    """Models with a self-supervised stage, where the split let it hear a test subject."""
    splits = [{"split": row["member"]} for row in wanted(spec.study.name, "split_task")]
    if not splits or not len(dataset.SplitFold & splits & "transductive"):
        return set()
    return {model.name for model in spec.model if ssl_first(model)}


def shown_names(spec: StudySpec) -> dict[str, str]:
    """What each model is called where people read."""
    heard = transductive_models(spec)
    return {m.name: f"{m.name} ({MARK})" if m.name in heard else m.name for m in spec.model}


def shown_beside(members: Sequence[Any]) -> dict[tuple[str, str], str]:
    """What a model is called in a row of both protocols, by arm and name.

    Where one protocol alone lets it hear who is tested, the name says which.
    """
    heard: dict[tuple[str, str], dict[str, bool]] = {}
    for member in members:
        mine = transductive_models(member.spec)
        for model in member.spec.model:
            heard.setdefault((member.arm, model.name), {})[member.protocol] = model.name in mine
    shown = {}
    for (arm, name), by_protocol in heard.items():
        which = " and ".join(protocol for protocol, yes in by_protocol.items() if yes)
        where = "" if all(by_protocol.values()) else f" in the {which} protocol"
        shown[arm, name] = f"{name} ({MARK}{where})" if which else name
    return shown


def call_as_shown(items: list[Any], names: dict[str, str]) -> list[Any]:
    """Parts of a report with their ``model`` called what it is called where people read."""
    return [replace(one, model=names.get(one.model, one.model)) for one in items]
