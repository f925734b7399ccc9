"""Who is diseased, as labels: of a whole session, on the channels whose region is known."""

from fnmatch import fnmatchcase
from typing import Any

from pipeline.anatomy import OF_SUBJECT, map_label
from schemas import recording, session
from schemas._ingest import add_labels
from schemas._names import clip

from .spec import Conditions, StudyError


def condition_of(about: dict[str, Any], conditions: Conditions) -> tuple[str, str] | None:
    """The condition of a session and what told it; None if nothing does.

    Parameters
    ----------
    about
        ``genotype``, ``subject_id`` and ``session_id`` as written in the files.

    Raises
    ------
    StudyError
        If the session is diseased by one pattern and a control by another.
    """
    found: dict[str, str] = {}
    for condition in ("diseased", "control"):
        for pattern in getattr(conditions, condition):
            for name in ("genotype", "subject_id", "session_id"):
                text = about[name]
                if text is not None and fnmatchcase(text, pattern):
                    found.setdefault(condition, f"{name.replace('_', ' ')} {text}")
    if len(found) > 1:
        raise StudyError(
            f"session {about['session_id']} is diseased by its {found['diseased']} and a control "
            f"by its {found['control']}: make the patterns of [data.conditions] narrower"
        )
    return next(iter(found.items()), None)


def condition_labels(
    name: str, regions: str | None, conditions: Conditions, notes: list[str]
) -> str | None:
    """The label set that says of a session's channels what the animal is; None without one.

    Parameters
    ----------
    regions
        The label set that says where the channels are; channels without a region have no
        condition either.
    """
    whose = session.Session * session.Subject.proj("subject_id", "genotype", "species")
    about = (whose & {"session": name}).fetch1()
    found = condition_of(about, conditions)
    if found is None:
        notes.append(f"{name}: neither diseased nor a control by [data.conditions]; no label")
        return None
    if regions is None:
        notes.append(f"{name}: no channel has a region of {conditions.regions}; no label")
        return None
    condition, told = found
    rows = (recording.LabelEntry & {"label_set": regions}).to_dicts(order_by="probe, channel")
    entries = [
        {"probe": row["probe"], "channel": row["channel"], "raw": clip(told, 255),
         "cleaned": condition, "label_x": None, "label_y": None, "label_z": None}
        for row in rows
        if map_label(row["cleaned"], conditions.regions, about["species"]).region is not None
    ]  # fmt: skip
    origin = f"{told}; channels with a region of {conditions.regions} in {regions}"
    return add_labels({"session": name}, origin, OF_SUBJECT, entries)
