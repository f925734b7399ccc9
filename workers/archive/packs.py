"""A file that holds many recordings becomes one row for each, with whose it is."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.lfpack import read_packed_summary
from pipeline.lfpack.contents import BETWEEN, Survey, survey_pack
from pipeline.lfpack.insertions import COLUMNS, EACH, Insertion, read_insertions
from pipeline.nwb import FileSummary, ReadError, read_summary_isolated
from schemas._ingest import DEADLINE_S, MEMORY
from schemas._roots import root_of
from schemas._sources import content_mark

from .found import Found, SourceError

PACKED = (".h5", ".hdf5")
SUBJECTS = ", ".join(names[0] for names in COLUMNS.values())


def split_name(pattern: str) -> tuple[str, str | None]:
    """A source's file, and which of its recordings are meant: ``FILE.h5::GLOB``; None for all."""
    file, between, wanted = pattern.rpartition(BETWEEN)
    if between and Path(file).suffix.lower() in PACKED:
        return file, wanted
    return pattern, None


def look_at_pack(path: Path, wanted: str | None, subjects: str | None, base: Path) -> list[Found]:
    """A Found for each recording of a packed file; empty if the file is none of lfpack's.

    Parameters
    ----------
    wanted
        Glob of the recordings' names; None takes all.
    subjects
        Table that says whose each recording is, relative to ``base``; "each" makes every recording
        a subject of its own.

    Raises
    ------
    SourceError
        If it has no such recording, or does not say whose they are and neither does a table.
    """
    if path.suffix.lower() not in PACKED:
        return []
    try:
        held = survey_pack(path, memory_bytes=MEMORY, deadline_s=DEADLINE_S)
    except ReadError as error:
        if wanted is None:
            return []  # ingested as it is, its error gets a row
        raise SourceError(str(error)) from error
    if not held:
        if wanted is None:
            return []
        raise SourceError(
            f"{path} holds no recordings of lfpack: give it without {BETWEEN}{wanted}"
        )
    names = [one.recording for one in held]
    chosen = [name for name in names if wanted is None or fnmatchcase(name, wanted)]
    if not chosen:
        raise SourceError(f"{path} has no recording {wanted}; it has {len(names)}, e.g. {names[0]}")
    insertions = _insertions(path, chosen, subjects, base)
    root, place = root_of(path)
    size, mark = path.stat().st_size, content_mark(path)
    return [
        Found(
            f"{path}{BETWEEN}{one.recording}", root, place, "lfpack", size, mark,
            mapping=one.to_json(),
        )
        for one in insertions
    ]  # fmt: skip


def summary_of(one: Found) -> FileSummary:
    """What a file on this machine would become, by its headers, read in a child process.

    Raises
    ------
    ReadError
        If it cannot be read.
    """
    if one.file_kind == "lfpack":
        path, insertion = one.source.rpartition(BETWEEN)[0], Insertion.from_json(one.mapping)
        return read_packed_summary(path, insertion, MEMORY, DEADLINE_S)
    return read_summary_isolated(one.source, memory_bytes=MEMORY, deadline_s=DEADLINE_S)


def survey_of(path: str) -> dict[str, Survey]:
    """What the headers of a packed file say, by recording.

    Raises
    ------
    ReadError
        If the file cannot be read.
    """
    held = survey_pack(path, memory_bytes=MEMORY, deadline_s=DEADLINE_S)
    return {one.recording: one for one in held}


def _insertions(
    path: Path, names: Iterable[str], subjects: str | None, base: Path
) -> list[Insertion]:
    names = list(names)
    if subjects == EACH:
        return [Insertion(recording=name) for name in names]
    if subjects is None:
        raise SourceError(
            f"{path} does not say whose its {len(names)} recordings are, and what is held out must "
            f"be of other animals: give a table with columns {SUBJECTS} (the first two are needed) "
            f"as --subjects TABLE, in a study as `subjects` under [data]; --subjects {EACH} makes "
            "every recording a subject of its own"
        )
    table = Path(subjects).expanduser()
    try:
        known = read_insertions(table if table.is_absolute() else base / table)
    except ValueError as error:
        raise SourceError(str(error)) from error
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SourceError(
            f"{table.name} does not say whose {len(unknown)} of {len(names)} recordings of "
            f"{path.name} are, e.g. {unknown[0]}: add them, or name those that are wanted as "
            f"{path.name}{BETWEEN}GLOB"
        )
    return [known[name] for name in names]
