"""What a packed file does not hold: whose each recording is."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from ..nwb.summary import Evidence, FileSummary
from ..params import Params

if TYPE_CHECKING:
    import pandas as pd

EACH = "each"
"""In place of a table: every recording is a subject of its own."""
COLUMNS = {
    "recording": ("pid", "recording", "insertion"),
    "subject": ("subject", "nickname"),
    "session": ("eid", "session"),
    "lab": ("lab",),
    "probe": ("probe", "probe_name"),
    "species": ("species",),
    "evidence": ("evidence",),
}
"""Names a column may have; those of IBL's own lists of insertions come first."""
TABLES = (".csv", ".tsv", ".parquet", ".pqt")


class Insertion(Params):
    """One recording of a packed file, and whose it is; NwbFile keeps it as ``mapping``."""

    recording: str = Field(min_length=1, description="its name in the file: the insertion's id")
    subject: str | None = Field(None, description="None: not known, a subject of its own")
    session: str | None = None
    lab: str | None = None
    probe: str | None = None
    species: str | None = None
    evidence: Evidence = Field("unknown", description="how the regions in the file were found")

    def name(self, summary: FileSummary) -> FileSummary:
        """The summary of this recording, with what the file does not say of it."""
        probe = self.probe or self.recording
        told = [*summary.warnings]
        if self.subject is None:
            told.append(f"{self.recording}: its subject is not known; it counts as one of its own")
        subject = {"subject_id": self.subject or self.recording, "species": self.species}
        sites = [
            site.model_copy(
                update={
                    "probe": probe, "evidence": self.evidence if site.location else "unknown"
                }
            )
            for site in summary.channels
        ]  # fmt: skip
        return summary.model_copy(
            update={
                "session_id": self.session or self.recording,
                "lab": self.lab,
                "subject": type(summary.subject)(**subject),
                "probes": [one.model_copy(update={"probe": probe}) for one in summary.probes],
                "channels": sites,
                "invalid": [one.model_copy(update={"scope": probe}) for one in summary.invalid],
                "warnings": told,
            }
        )


def read_insertions(table: Path | str) -> dict[str, Insertion]:
    """Insertions by recording, from a table with a row for each.

    Raises
    ------
    ValueError
        If the table cannot be read, says nothing of recordings or subjects, has no subject for
        one, or speaks of one twice.
    """
    path = Path(table)
    frame = _read(path)
    named = {role: [n for n in names if n in frame] for role, names in COLUMNS.items()}
    for role in ("recording", "subject"):
        if not named[role]:
            raise ValueError(
                f"{path.name} has no column {' or '.join(COLUMNS[role])}; there are "
                f"{sorted(map(str, frame))[:12]}"
            )
    roles = {role: names[0] for role, names in named.items() if names}
    rows = [_row({role: row[column] for role, column in roles.items()}, path)
            for row in frame.to_dict("records")]  # fmt: skip
    found = {row.recording: row for row in rows}
    if len(found) < len(rows):
        seen = [row.recording for row in rows]
        twice = next(name for name in seen if seen.count(name) > 1)
        raise ValueError(f"{path.name} speaks of recording {twice} twice")
    _check_probes(rows, path)
    return found


def _read(path: Path) -> "pd.DataFrame":
    import pandas as pd  # half a second that reading headers need not pay

    if path.suffix not in TABLES:
        raise ValueError(f"{path.name} is no table of insertions; these come as {TABLES}")
    if not path.is_file():
        raise ValueError(
            f"no table of insertions at {path}; it has the columns pid, subject and, where known, "
            "eid, lab, probe (IBL's list of its Brain-Wide Map insertions is one)"
        )
    try:
        if path.suffix in (".parquet", ".pqt"):
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, sep="\t" if path.suffix == ".tsv" else ",")
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path.name} cannot be read as a table: {reason}") from error


def _row(values: Mapping[str, Any], path: Path) -> Insertion:
    texts = {
        role: None if v != v or v is None else str(v).strip() or None for role, v in values.items()
    }
    lacking = [role for role in ("recording", "subject") if not texts.get(role)]
    if lacking:
        who = texts.get("recording") or "a row"
        raise ValueError(f"{path.name}: {who} has no {' and no '.join(lacking)}")
    return Insertion.model_validate({k: v for k, v in texts.items() if v is not None})


def _check_probes(rows: list[Insertion], path: Path) -> None:
    """Two recordings of one probe of one session would be one insertion."""
    seen: dict[tuple, str] = {}
    for row in rows:
        place = (row.lab, row.subject, row.session or row.recording, row.probe or row.recording)
        other = seen.setdefault(place, row.recording)
        if other != row.recording:
            raise ValueError(
                f"{path.name}: recordings {other} and {row.recording} are both probe {row.probe} "
                f"of session {row.session}"
            )
