"""What the tables know of a file, against what it is now."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from schemas import session
from schemas._names import safe_name
from schemas._revisions import lineage, revisions
from schemas._sources import content_mark, is_sampled, place_of_copy

from .found import Found

State = Literal["new", "same", "changed", "unread"]


@dataclass(frozen=True)
class Standing:
    """A file and its row.

    Attributes
    ----------
    state
        ``new``: no row. ``same``: a row with this content. ``changed``: rows with other content
        only, and the newest was read. ``unread``: the same, but nothing was ever read from it.
    row
        The row with this content, else the newest one; None for a new file.
    latest
        Whether no later revision than ``row`` is registered.
    """

    found: Found
    mapping: dict[str, Any] | None
    state: State
    row: dict[str, Any] | None
    latest: bool = True

    @property
    def as_row(self) -> dict[str, Any]:
        """The columns that say where the file is and what is in it, of its row or the next one."""
        if self.state == "same":
            return self.row
        place = {"root": self.found.root, "path": self.found.path}
        revision = 0 if self.row is None else self.row["revision"] + 1
        return place | self.found.content | {"revision": revision}

    @property
    def differences(self) -> list[str]:
        """What is other than in the row."""
        if self.row is None:
            return []
        told = []
        for name, now in self.found.content.items():
            then = self.row[name]
            if now != then and (now is not None or name == "asset"):
                told.append(f"{name} {_short(then)} → {_short(now)}")
        return told


def compare(
    found: Iterable[Found], mapping: dict[str, Any] | None = None
) -> list[Standing]:  # fmt: skip
    """How each file stands to the tables, in order."""
    found = list(found)
    stored = revisions(one.path for one in found)
    return [
        _stand(one, mapping if one.file_kind == "features" else one.mapping, stored)
        for one in found
    ]


def _stand(one: Found, mapping: dict[str, Any] | None, stored: dict) -> Standing:
    if one.file_kind == "features":
        mapping = _registered(one, mapping, stored)
    mark = {"root": one.root, "path": one.path, "file_kind": one.file_kind, "mapping": mapping}
    rows = stored.get(lineage(mark), [])
    for row in rows:
        if has_content(row, one):
            return Standing(one, mapping, "same", row, row is rows[0])
    if not rows:
        return Standing(one, mapping, "new", None)
    read = rows[0]["read"] not in (None, "error")
    return Standing(one, mapping, "changed" if read else "unread", rows[0])


def _registered(one: Found, mapping: dict[str, Any] | None, stored: dict) -> dict[str, Any] | None:
    """The mapping that a file of vectors was registered with, where it says all that is asked.

    Without a mapping, or with one that is silent on model, licence and origin, the only one that
    agrees counts; what is registered as it is asked for comes first.
    """
    rows = [rows[0] for rows in stored.values()]
    known = [row["mapping"] for row in rows if (row["root"], row["path"]) == (one.root, one.path)]
    if mapping is not None and mapping in known:
        return mapping
    agreeing = [more for more in known if more and (mapping or {}).items() <= more.items()]
    return agreeing[0] if len(agreeing) == 1 else mapping


def has_content(row: dict[str, Any], one: Found) -> bool:
    """Whether a row was registered for the content a file has now, as far as both say."""
    if one.asset is not None and row["asset"] == one.asset:
        return True
    pairs = [(row["bytes"], one.bytes), (row["etag"], _mark_like(row, one))]
    if any(a is not None and b is not None and a != b for a, b in pairs):
        return False
    return one.asset is None or pairs[1][0] is not None and pairs[1][1] is not None


def _mark_like(row: dict[str, Any], one: Found) -> str | None:
    """A file's mark, of the kind its row has: small files were once marked by samples, too."""
    same_kind = is_sampled(row["etag"]) == is_sampled(one.etag)
    if one.remote or same_kind or row["bytes"] not in (None, one.bytes):
        return one.etag
    return content_mark(Path(one.source), like=row["etag"])


def enter(standing: Standing, lab: str | None) -> str:
    """The key of the row for this content, inserted or, where nothing was read, corrected.

    A file that changed gets a revision of its own; the rows it had stay as they are. The row of
    a draft follows the asset that has its content now, for the archive forgets replaced ones.
    """
    row, one = standing.row, standing.found
    if standing.state == "same":
        if one.asset is not None and one.asset != row["asset"] and row["dandi_version"] == "draft":
            _follow(row, one)
        elif row["read"] is None and row["bytes"] is None and one.bytes is not None:
            session.NwbFile.update1({"nwb_file": row["nwb_file"], **one.content})
        return row["nwb_file"]
    if standing.state == "unread" and one.asset is None:
        session.NwbFile.update1({"nwb_file": row["nwb_file"], **one.content})
        return row["nwb_file"]
    revision = 0 if row is None else row["revision"] + 1
    key = one.key(revision, standing.mapping)
    session.NwbFile.insert1(
        {
            "nwb_file": key,
            "root": one.root,
            "path": one.path,
            "file_kind": one.file_kind,
            "source_hint": safe_name(lab) if lab else row["source_hint"] if row else None,
            **one.content,
            "dandiset": one.dandiset,
            "revision": revision,
            "mapping": standing.mapping,
            "registered": datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        },
        skip_duplicates=True,
    )
    return key


def _follow(row: dict[str, Any], one: Found) -> None:
    """Let a row name the asset that has its content now; a copy on this machine moves along."""
    asset = {"asset": one.asset, "dandi_version": one.dandi_version}
    old, new = place_of_copy(row), place_of_copy(row | asset)
    if old is not None and old.is_file() and not new.exists():
        with suppress(OSError):  # moved by another process, or held open: read from the archive
            new.parent.mkdir(parents=True, exist_ok=True)
            os.replace(old, new)
    session.NwbFile.update1({"nwb_file": row["nwb_file"], **asset})


def _short(value: Any) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"
