"""Is everything that rows name still there, and still what it was?"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from pipeline.nwb import ReadError
from pipeline.nwb.errors import ContentChanged, TransientReadError
from schemas import dataset, embedding, prediction, session, training, windows
from schemas._digests import digest_arrays, digest_content, digest_files
from schemas._sources import is_sampled, place_of_copy, source_of
from schemas._split import assignment_digest
from schemas._tables import name_of
from schemas._windows import ARRAYS

from .archive.download import is_intact
from .extras import is_installed, pip_line
from .stored import StoredArray, files_of

PREDICTED = ("outputs", "window_index", "site_index")
RECOMPUTE = "delete the row and populate again, or bring the object back from a backup"


@dataclass(frozen=True)
class Finding:
    """Something wrong with one row, or that could not be told."""

    table: str
    key: dict[str, Any]
    what: str
    way_out: str


@dataclass
class Verdict:
    """What `verify` found: rows looked at, by table, what is damaged, and what it cannot tell.

    Of ``sampled`` files the length and three megabytes were compared, not all of the content.
    """

    checked: dict[str, int] = field(default_factory=dict)
    sampled: int = 0
    damage: list[Finding] = field(default_factory=list)
    untold: list[Finding] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


class Untold(Exception):
    """What cannot be checked, and why."""


def verify(
    *, table: str | None = None, sample: int | None = None, seed: int | None = None,
    on_row: Callable[[str, int, int], None] = lambda table, done, total: None,
) -> Verdict:  # fmt: skip
    """Compare every stored object with its row's digest, and every file with its registration.

    Also: a training saw the split that stands there, and a split has the assignments it was made
    with. Nothing is changed.

    Parameters
    ----------
    table
        Only this one: ``Windows`` or ``windows.Windows``.
    sample
        So many rows of each table, drawn by chance; None takes all.
    seed
        Of the draw; None draws others each time.
    on_row
        Told before each row: table, rows done, rows to do.

    Raises
    ------
    LookupError
        If nothing is checked under that name of a table.
    """
    verdict, rng = Verdict(), np.random.default_rng(seed)
    for kind, check in checks(table).items():
        name = name_of(kind)
        keys = kind().keys(order_by="KEY")
        if sample is not None and sample < len(keys):
            keys = [keys[i] for i in sorted(rng.choice(len(keys), sample, replace=False))]
        verdict.checked[name] = len(keys)
        for done, key in enumerate(keys):
            on_row(name, done, len(keys))
            _check_row(kind, check, key, verdict)
    return verdict


def checks(table: str | None = None) -> dict[type, Callable[[dict[str, Any]], Iterator[str]]]:
    """What is checked of each table that has something outside its row; of one, if it is named."""
    known = {
        session.NwbFile: _file,
        windows.Windows: _windows,
        dataset.Split: _split,
        training.Training: _training,
        embedding.Embedding: _embedding,
        prediction.Prediction: _prediction,
    }
    if table is None:
        return known
    found = {
        kind: check for kind, check in known.items()
        if table.lower() in (kind.__name__.lower(), name_of(kind).lower())
    }  # fmt: skip
    if not found:
        raise LookupError(
            f"no table {table!r} has anything to verify; there are "
            f"{', '.join(name_of(kind) for kind in known)}"
        )
    return found


def _check_row(kind: type, check, key: dict[str, Any], verdict: Verdict) -> None:
    found = (kind() & key).to_dicts()
    if not found:  # deleted since the keys were read
        return
    name, damage, way_out = name_of(kind), [], RECOMPUTE
    try:
        for text in check(found[0]):
            damage.append(text)
        verdict.sampled += is_sampled(found[0].get("etag"))
    except (Untold, TransientReadError) as error:
        verdict.untold.append(Finding(name, key, _told(error), "nothing is known to be wrong"))
    except ReadError as error:
        damage, way_out = [error.message], error.way_out
    except (FileNotFoundError, ValueError) as error:
        told = _told(error)
        if kind is session.NwbFile:
            told, way_out = _where(told)
        damage.append(told)
    except OSError as error:
        verdict.untold.append(Finding(name, key, _told(error), "verify again once it can be read"))
    verdict.damage += [Finding(name, key, what, way_out) for what in damage]


def _where(told: str) -> tuple[str, str]:
    """What is said of a file that is not where it should be, and its way out, told once."""
    what, _, way_out = told.rpartition(". ")
    if what:
        return what, way_out
    return told, "bring it back, or say where it lies now: fieldbase init --root NAME=FOLDER"


def _told(error: Exception) -> str:
    return " ".join((getattr(error, "message", None) or str(error)).split())


def _file(row: dict[str, Any]) -> Iterator[str]:
    if row["root"] is None and row["asset"] is None and row["bytes"] is row["etag"] is None:
        raise Untold("this URL was registered without size or mark")
    try:
        source_of(row)
    except ContentChanged:
        place = session.NwbFile & {name: row[name] for name in ("path", "root") if row[name]}
        later = place & f"revision > {row['revision']}"
        if not later:
            raise
        raise Untold(f"revision {max(later.to_arrays('revision'))} stands in its place") from None
    _copy(row)
    yield from ()


def _copy(row: dict[str, Any]) -> None:
    """Raise ReadError if this machine's copy of an asset has not the archive's checksum."""
    copy = place_of_copy(row)
    if row["asset"] is None or copy is None or not copy.is_file():
        return
    if row["etag"] is None:
        raise Untold(f"the archive had no checksum for {copy} when it was registered")
    if not is_installed("dandischema"):
        raise Untold(f"the checksum of {copy} needs dandi: {pip_line('dandi')}")
    if not is_intact(row, copy):
        raise ReadError(
            "changed", f"{copy} has another checksum than the archive's {row['etag']}",
            "remove it: it is read from the archive, or fetched again by `ingest --download`",
        )  # fmt: skip


def _windows(row: dict[str, Any]) -> Iterator[str]:
    arrays = {name: _array(row, name) for name in ARRAYS}
    yield from _compare("arrays", digest_arrays(arrays), row["content_digest"])


def _embedding(row: dict[str, Any]) -> Iterator[str]:
    vectors = _array(row, "vectors")
    yield from _compare("vectors", digest_content(vectors), row["embedding_digest"])
    named = {name: _array(row, name) for name in ("window_index", "site_index")}
    yield from _compare("row indices", digest_arrays(named), row["rows_digest"])


def _prediction(row: dict[str, Any]) -> Iterator[str]:
    arrays = {name: _array(row, name) for name in PREDICTED}
    yield from _compare("arrays", digest_arrays(arrays), row["prediction_digest"])


def _split(row: dict[str, Any]) -> Iterator[str]:
    rows = (dataset.SplitAssignment & {"split": row["split"]}).to_dicts()
    yield from _compare("assignments", assignment_digest(rows), row["assignment_digest"])


def _training(row: dict[str, Any]) -> Iterator[str]:
    task = training.TrainingTask & {"training": row["training"]}
    there = (dataset.Split & task).to_arrays("assignment_digest")
    if list(there) != [row["seen_digest"]]:
        yield "it saw another split than the one that stands there now"
    whole = hashlib.sha256()
    files = files_of(row["checkpoint"])
    if "model.safetensors" not in files or "meta.json" not in files:
        yield f"its checkpoint lacks model.safetensors or meta.json; it has {sorted(files)}"
        return
    kept = {name: _keep(name, blocks, whole) for name, blocks in files.items()}
    total = digest_files(kept.items())
    yield from _compare("weights", whole.hexdigest(), row["weights_digest"])
    if row["checkpoint_digest"] is not None:
        yield from _compare("checkpoint", total, row["checkpoint_digest"])


def _keep(name: str, blocks, whole) -> Iterator[bytes]:
    """The same blocks; those of the weights are also added to a digest of their own."""
    for block in blocks:
        if name == "model.safetensors":
            whole.update(block)
        yield block


def _array(row: dict[str, Any], name: str) -> StoredArray | None:
    return None if row[name] is None else StoredArray(row[name])


def _compare(what: str, found: str, stored: str | None) -> Iterator[str]:
    if stored is None:
        raise Untold(f"the row is from before {what} had a digest; they can be read")
    if found != stored:
        yield f"its {what} have the digest {found[:12]}…, the row says {stored[:12]}…"


def tell(finding: Finding) -> str:
    """One line."""
    key = ", ".join(f"{name} {str(value)[:16]}" for name, value in finding.key.items())
    way_out = finding.way_out[:1].upper() + finding.way_out[1:]
    return f"{finding.table} {key}: {finding.what}. {way_out}."


def to_line(verdict: Verdict) -> str:
    """The whole in one sentence."""
    rows = ", ".join(f"{count} of {name}" for name, count in verdict.checked.items())
    return f"{len(verdict.damage)} damaged, {len(verdict.untold)} untold; read {rows}"


def tell_sampled(verdict: Verdict) -> str:
    """One line about the files of which not everything was read; empty where there are none."""
    if not verdict.sampled:
        return ""
    return (
        f"sampled: {verdict.sampled} of the files on this machine were compared by their length "
        "and their first, middle and last megabyte, not by all they hold"
    )
