"""What the catalogue beside a study says of recordings before the archive is asked."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Listed:
    """A probe's recording.

    Attributes
    ----------
    name
        As studies call the session: ``allen:719161530``.
    path
        Pattern of its file in the dandiset.
    bytes, etag
        None until the archive was asked.
    flaw
        Why it cannot be used, None if it can.
    """

    name: str
    session: str
    probe: str
    subject: str
    dandiset: str
    path: str
    bytes: int | None
    etag: str | None
    flaw: str | None = None


Catalogue = dict[str, list[Listed]]


def read_catalogue(base: Path) -> Catalogue:
    """Recordings by the name of their session, of every catalogue in a folder's ``catalogue``."""
    found: Catalogue = defaultdict(list)
    for file in sorted((base / "catalogue").glob("*.json")):
        said = json.loads(file.read_text(encoding="utf-8"))
        for row in said.get("allen", []):
            for probe in row["probes"]:
                whose = {"session": row["session"], "subject": row["specimen"]}
                found[row["name"]].append(_listed(row, probe, **whose))
        for row in said.get("ibl", []):
            whose = {"session": row["eid"], "subject": row["subject"]}
            found[row["name"]].append(_listed(row, row, **whose))
    return dict(found)


def _listed(row: dict[str, Any], probe: dict[str, Any], **whose: str) -> Listed:
    names = ("probe", "path", "bytes", "etag")
    told = {name: probe[name] for name in names}
    return Listed(row["name"], dandiset=row["dandiset"], flaw=probe.get("flaw"), **told, **whose)
