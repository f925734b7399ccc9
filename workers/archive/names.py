"""What stands for assets of the DANDI archive: dandisets, Allen sessions, IBL sessions."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from .found import SourceError

ALLEN = ("000021", "000022", "000713")
"""Dandisets of the Allen Institute's Neuropixels sessions, in the order they are asked."""
IBL = ("000409",)
PREFIXES = ("dandi:", "allen:", "ibl:")
VERSION = r"(?:draft|\d+\.\d+\.\d+)"
_PAGE = re.compile(rf"https?://(?:gui\.)?dandiarchive\.org/(?:#/)?dandiset/(\d{{6}})/?({VERSION})?")
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"


@dataclass(frozen=True)
class Wanted:
    """Assets of the first of some dandisets that has any.

    Attributes
    ----------
    dandisets, version
        Where to look; no version means the most recent published one.
    globs
        Paths in the dandiset, with ``*`` and ``**``; an asset that fits any is wanted.
    fits
        What the path must match besides; None for whatever the globs give.
    with_session
        Whether the session file of each probe file found is wanted, too.
    """

    typed: str
    dandisets: tuple[str, ...]
    version: str | None
    globs: tuple[str, ...]
    fits: re.Pattern[str] | None = None
    with_session: bool = False


def names_assets(text: str) -> bool:
    """Whether a source is for the archive to resolve."""
    return text.lower().startswith(PREFIXES) or _PAGE.match(text) is not None


def parse_name(text: str) -> Wanted:
    """What a source asks the archive for.

    Raises
    ------
    SourceError
        If it is none of the forms that are known.
    """
    page = _PAGE.match(text)
    if page:
        return Wanted(text, (page[1],), page[2], ("**/*.nwb",))
    kind, _, rest = text.partition(":")
    return {"dandi": _dandi, "allen": _allen, "ibl": _ibl}[kind.lower()](text, rest.strip("/"))


def path_fits(path: str, glob: str) -> bool:
    """Whether a path is what a glob means: ``*`` stays in a folder, ``**`` goes into all."""
    parts = []
    for piece in re.split(r"(\*\*/|\*\*|\*|\?)", glob):
        known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
        parts.append(known.get(piece) or re.escape(piece))
    return re.fullmatch("".join(parts), path) is not None


def _dandi(text: str, rest: str) -> Wanted:
    made = re.fullmatch(rf"(\d{{6}})(?:@({VERSION}))?(?:/(.+))?", rest)
    if not made:
        raise SourceError(
            f"{text} names no dandiset; write dandi:000022, dandi:000022@0.220126.0855 or "
            "dandi:000022/sub-*/*_probe-*_ecephys.nwb"
        )
    dandiset, version, path = made.groups()
    cited = re.fullmatch(rf"({VERSION})(?:/(.+))?", path or "")
    if version is None and cited:  # as papers cite: DANDI:000022/0.220126.0855
        version, path = cited.groups()
    if path is None:
        globs: tuple[str, ...] = ("**/*.nwb",)
    elif any(sign in path for sign in "*?") or PurePosixPath(path).suffix:
        globs = (path,)
    else:
        globs = (f"{path}/**/*.nwb",)
    return Wanted(text, (dandiset,), version, globs)


def _allen(text: str, rest: str) -> Wanted:
    made = re.fullmatch(rf"(\d+)(?:@({VERSION}))?", rest)
    if not made:
        raise SourceError(
            f"{text} is no Allen id; write allen:768515987, an ecephys session or probe id"
        )
    name = made[1]
    fits = re.compile(rf"_(ses|probe)-{name}(?=[_.])")
    globs = (f"**/*_ses-{name}*.nwb", f"**/*_probe-{name}*.nwb")
    return Wanted(text, ALLEN, made[2], globs, fits, with_session=True)


def _ibl(text: str, rest: str) -> Wanted:
    made = re.fullmatch(rf"({_UUID})(?:@({VERSION}))?", rest.lower())
    if not made:
        raise SourceError(f"{text} is no IBL session; write ibl: and the session's eid, a UUID")
    fits = re.compile(rf"_ses-{made[1]}(?=[_.])")
    return Wanted(text, IBL, made[2], (f"**/*_ses-{made[1]}*.nwb",), fits)
