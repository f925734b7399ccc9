"""What a person calls a file, session, subject, training or study."""

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from schemas import dataset, recording, session, training
from schemas._revisions import revisions
from schemas._roots import data_roots

from .lineage import Things
from .shared import tasks_of_study

SHOWN = 8
DIGITS = 6


class NoSuchName(LookupError):
    """A name that stands for nothing here, or for several things."""


@dataclass
class Roots:
    """What is to be removed: the things themselves, in words, and why some of them stay."""

    kind: str
    name: str
    told: str
    things: Things = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_roots(kind: str, name: str) -> Roots:
    """What `name` stands for.

    Raises
    ------
    NoSuchName
        If it stands for nothing, or for several things; the message lists which there are.
    """
    if kind not in KINDS:
        raise NoSuchName(f"{kind!r} cannot be removed; what can be is a {', '.join(KINDS)}")
    return KINDS[kind](name)


def _file(name: str) -> Roots:
    """A path as `ingest` shows it, its end, a path on this machine, a URL, or a digest's start."""
    rows = session.NwbFile().to_dicts(order_by="path, revision")
    places = _places(name)
    tries: list[Callable[[dict[str, Any]], bool]] = [
        lambda row: row["nwb_file"].startswith(name) and len(name) >= DIGITS,
        lambda row: (row["root"], row["path"]) in places,
        lambda row: row["path"] == name.removeprefix("dandi:"),
        lambda row: row["path"].endswith(f"/{name.lstrip('/')}"),
    ]
    found = next(filter(None, ([row for row in rows if fits(row)] for fits in tries)), [])
    told = [f"{r['path']} (revision {r['revision']}, {r['nwb_file'][:12]})" for r in found]
    if len(found) != 1:
        raise _not_one("file", name, told, [row["path"] for row in rows])
    return Roots("file", name, told[0], {"nwb_file": {found[0]["nwb_file"]}})


def _places(name: str) -> set[tuple[str | None, str]]:
    """Root and path that a path of this machine, or a URL, has in the tables."""
    if "://" in name:
        return {(None, name)}
    path = Path(name).expanduser().resolve()
    known = {root: folder.resolve() for root, folder in data_roots().items()}
    return {
        (root, path.relative_to(folder).as_posix())
        for root, folder in known.items()
        if path.is_relative_to(folder)
    }


def _session(name: str) -> Roots:
    """A session's key, or its id as written in the file."""
    rows = session.Session.proj("session_id").to_dicts(order_by="session")
    found = [row["session"] for row in rows if row["session"] == name]
    found = found or [row["session"] for row in rows if row["session_id"] == name]
    if len(found) != 1:
        raise _not_one("session", name, found, [row["session"] for row in rows])
    return _sessions("session", name, f"session {found[0]}", found)


def _subject(name: str) -> Roots:
    """A subject's id, as a key or as written in the file; after ``source/`` if several have it."""
    rows = session.Subject.proj("subject_id").to_dicts(order_by="source, subject")
    found = [row for row in rows if name in _names_of_subject(row)]
    full = [f"{row['source']}/{row['subject']}" for row in rows]
    if len(found) != 1:
        told = [f"{row['source']}/{row['subject']}" for row in found]
        raise _not_one("subject", name, told, full)
    key = {part: found[0][part] for part in ("source", "subject")}
    names = (session.Session & key).to_arrays("session", order_by="session")
    return _sessions("subject", name, f"subject {key['source']}/{key['subject']}", list(names))


def _names_of_subject(row: dict[str, Any]) -> set[str]:
    alone = {row["subject"], row["subject_id"]}
    return alone | {f"{row['source']}/{one}" for one in alone}


def _sessions(kind: str, name: str, told: str, names: list[str]) -> Roots:
    """Sessions with every revision of the files that speak of them.

    Raises
    ------
    NoSuchName
        If a file speaks of other sessions too: read again, it would bring these back.
    """
    spoken = recording.IngestionSession.proj()
    mine = [{"session": str(one)} for one in names]
    files = set((spoken & mine).to_arrays("nwb_file")) if mine else set()
    paths = (session.NwbFile & [{"nwb_file": file} for file in files]).to_arrays("path")
    rows = [rows for rows in revisions(paths).values() if files & {r["nwb_file"] for r in rows}]
    keys = {row["nwb_file"] for line in rows for row in line} if files else set()
    other = (spoken & [{"nwb_file": file} for file in keys]).to_dicts() if keys else []
    other = [row for row in other if row["session"] not in set(names)]
    if other:
        path = (session.NwbFile & {"nwb_file": other[0]["nwb_file"]}).fetch1("path")
        also = sorted({row["session"] for row in other})
        raise NoSuchName(
            f"{told} comes from {path}, which also holds {len(also)} other session(s) "
            f"({', '.join(also[:SHOWN])}); `fieldbase remove file {path}` removes all of them, and "
            "a file without the one can be ingested in its place"
        )
    return Roots(kind, name, told, {"session": set(map(str, names)), "nwb_file": keys})


def _training(name: str) -> Roots:
    """The beginning of a digest, the name of a registered model, or ``study/model``: all of it."""
    digests = [str(one) for one in training.TrainingTask().to_arrays("training")]
    found = [one for one in digests if one.startswith(name) and len(name) >= DIGITS]
    if len(found) == 1:
        return Roots("training", name, f"training {found[0][:12]}", {"training": set(found)})
    asked = dataset.StudyMember & {"member_table": "training_task"}
    models: dict[str, set[str]] = {}
    for row in asked.to_dicts():
        called = (row["member_name"] or "").rsplit("|", 3)[0]
        models.setdefault(f"{row['study']}/{called}", set()).add(row["member"])
    registered = training.RegisteredModel.proj("training").to_dicts()
    models |= {row["registered_model"]: {row["training"]} for row in registered}
    there = models.get(name, set()) & set(digests)
    if found or not there:
        raise _not_one("training", name, [one[:16] for one in found], sorted(models))
    return Roots("training", name, f"{len(there)} training(s) of {name}", {"training": there})


def _study(name: str) -> Roots:
    """A study's name: what it alone asked for."""
    known = [str(one) for one in dataset.Study().to_arrays("study")]
    if name not in known:
        raise _not_one("study", name, [], known)
    things, notes = tasks_of_study(name)
    return Roots("study", name, f"study {name}", things | {"study": {name}}, notes)


KINDS = {
    "file": _file, "session": _session, "subject": _subject, "training": _training,
    "study": _study,
}  # fmt: skip
"""What can be removed."""


def _not_one(kind: str, name: str, found: list[str], known: list[str]) -> NoSuchName:
    listed = [str(one) for one in found]
    if listed:
        more = ", …" * (len(listed) > SHOWN)
        return NoSuchName(f"{name!r} fits {len(listed)} {kind}s: {', '.join(listed[:SHOWN])}{more}")
    known = sorted({str(one) for one in known})
    part = name.rpartition("/")[2].lower()
    near = [one for one in known if part and part in one.lower()]
    near = (near or get_close_matches(name, known, SHOWN, 0.5) or known)[:SHOWN]
    there = f"are {', '.join(near)}{', …' * (len(known) > len(near))}" if near else "is none"
    return NoSuchName(f"no {kind} is called {name!r}; there {there}")
