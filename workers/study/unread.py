"""How many recordings, of whom and how large, in files that nobody has read yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..archive.found import Found
from ..archive.packs import BETWEEN, survey_of
from ..archive.preview import LAYOUTS
from .effort import Counted
from .listed import Catalogue, Listed
from .spec import StudySpec

LOOK_INTO = 20
"""Files on this machine that nobody has read yet and that are opened to count their channels."""

HOUR_S = 3600.0
TAKEN_FOR = {"allen": Counted(96, HOUR_S), "ibl": Counted(384, HOUR_S)}
"""A probe's LFP by layout, before its file is read: every fourth site of 384, or all of them."""


@dataclass(frozen=True)
class Recorded:
    """What a study's files hold, as far as is known without reading a signal."""

    subjects: int
    members: int
    signals: list[Counted]


def count_unread(
    files: list[Found], unanswered: list[Listed], spec: StudySpec, catalogue: Catalogue,
    notes: list[str],
) -> Recorded:  # fmt: skip
    """Subjects and recordings in files that are not read, and in those nobody could ask about.

    Parameters
    ----------
    unanswered
        What the catalogue says of recordings that the archive did not answer about.
    """
    here = [one for one in files if not one.remote and one.file_kind != "lfpack"]
    packed = [one for one in files if one.file_kind == "lfpack"]
    names, members, signals = _packed(packed), len(packed), _packed_signals(packed, notes)
    blind = here[LOOK_INTO:] + [one for one in here[:LOOK_INTO] if not one.source.endswith(".nwb")]
    for one in here[:LOOK_INTO]:
        if one.source.endswith(".nwb"):
            found = _look_into(one, spec, notes)
            names |= found[0]
            members, signals = members + found[1], signals + found[2]
    taken: list[Counted] = []
    for one in [one for one in files if one.remote]:
        held = _held(one, spec, catalogue)
        if held is None:
            blind.append(one)
        elif held:
            names.add(_subject(one))
            taken += held
    usable = [one for one in unanswered if one.flaw is None and _wanted(one, spec)]
    names |= {one.subject for one in usable}
    taken += [TAKEN_FOR[LAYOUTS[one.dandiset]] for one in usable]
    names |= {_subject(one) for one in blind}
    notes += _tell(len(blind), taken)
    members += len(blind) + len(taken)
    return Recorded(len(names), members, signals + taken)


def _tell(blind: int, taken: list[Counted]) -> list[str]:
    said = []
    if blind:
        said.append(
            f"{blind} of the files are not read yet: each counts as one recording, of a subject of "
            "its own unless its folder in the archive says whose it is"
        )
    if taken:
        kinds = " or ".join(f"{n} channels" for n in sorted({one.channels for one in taken}))
        said.append(
            f"{len(taken)} probes are not read yet: each is taken for {kinds} and an hour or more, "
            "and hours below rest on that"
        )
    return said


def _held(one: Found, spec: StudySpec, catalogue: Catalogue) -> list[Counted] | None:
    """What an archive's file is taken to hold, one for each probe; None where nothing is known."""
    layout = LAYOUTS.get(one.dandiset)
    if layout is None or spec.data.modalities != ("lfp",):
        return None
    listed = [row for rows in catalogue.values() for row in rows if row.session in one.path]
    if layout == "allen":
        _, _, probe = one.path.partition("_probe-")
        flawed = [row for row in listed if row.flaw and probe.startswith(row.probe)]
        return [TAKEN_FOR[layout]] if probe and not flawed else []
    if "desc-processed" in one.path:
        return []
    only = [text for text in spec.data.only if text.rpartition("/")[0] in one.path]
    if spec.data.only and not only:
        return []
    return [TAKEN_FOR[layout]] * (len(only) or len(listed) or 1)


def _wanted(one: Listed, spec: StudySpec) -> bool:
    mine = [text.rpartition("/")[2] for text in spec.data.only if one.session in text]
    return not spec.data.only or any(_same_probe(one.probe, text) for text in mine)


def _same_probe(probe: str, text: str) -> bool:
    """Whether a text of a series' path is of this probe, or of every one."""
    return text.lower().rstrip("_") in ("probe", probe.lower(), f"probe_{probe}".lower())


def _look_into(
    one: Found, spec: StudySpec, notes: list[str]
) -> tuple[set[str], int, list[Counted]]:
    """Whose a file on this machine is, its recordings, and their channels and length."""
    from pipeline.nwb import ReadError, read_summary_isolated
    from schemas._ingest import DEADLINE_S, MEMORY

    try:
        found = read_summary_isolated(one.source, memory_bytes=MEMORY, deadline_s=DEADLINE_S)
    except ReadError as error:
        name = Path(one.source).name
        notes.append(f"{name} cannot be read and would be left out: {error}")
        return set(), 0, []
    whose = {found.subject.subject_id if found.subject else one.source}
    if "lfp" not in spec.data.modalities:
        return whose, 1, []
    return whose, len(found.lfp), [Counted(s.n_channels, s.stop_s - s.start_s) for s in found.lfp]


def _packed(files: Iterable[Found]) -> set[str]:
    """Whose the recordings of packed files are."""
    return {str(one.mapping.get("subject") or one.source) for one in files}


def _packed_signals(files: list[Found], notes: list[str]) -> list[Counted]:
    """Channels and length (s) of each recording of packed files, by their headers."""
    from pipeline.nwb import ReadError

    found = []
    for path in dict.fromkeys(one.source.rpartition(BETWEEN)[0] for one in files):
        try:
            held = survey_of(path)
        except ReadError as error:
            notes.append(f"{Path(path).name} cannot be read and would be left out: {error}")
            continue
        asked = [one for one in files if one.source.startswith(path + BETWEEN)]
        for one in asked:
            header = held.get(one.mapping["recording"])
            if header is not None:
                found.append(Counted(header.n_channels, header.n_samples / header.rate))
    return found


def _subject(one: Found) -> str:
    """Whom a file is about as far as its name tells: DANDI's folders are subjects."""
    if one.asset is not None and one.path.count("/") > 1:
        return one.path.rpartition("/")[0]
    return one.source
