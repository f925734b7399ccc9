"""What a study's rows say about themselves: steps left out, warnings, where each number is."""

import operator
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import schemas
from schemas import dataset, recording, session, windows
from schemas._begun import NOT_STATED, tell_vectors, weights_of, what_it_began_with

from .plan import wanted
from .spec import StudySpec


def notes(spec: StudySpec, trainings: Sequence[dict[str, Any]]) -> list[str]:
    """Recordings that were not there, steps that were skipped, what the files warned about.

    Parameters
    ----------
    trainings
        Rows of the study's last trainings, for where their weights came from.
    """
    keys = [{"windows": row["member"]} for row in wanted(spec.study.name, "windows_task")]
    cut = (windows.Windows * windows.WindowsTask & keys).to_dicts()
    said: dict[str, dict[str, None]] = {}
    for row in cut:
        for text in row["window_notes"]:
            said.setdefault(text, {})[row["session"]] = None
    for names, row in _read(sorted({row["session"] for row in cut})):
        for text in row["warnings"]:
            said.setdefault(text, {})[Path(row["path"]).name if len(names) > 1 else names[0]] = None
    found = [
        f"{', '.join(names) if len(names) < 4 else f'{len(names)} recordings'}: {text}"
        for text, names in said.items()
    ]
    return [*_lacking(spec), *found, *dict.fromkeys(_begun(trainings))]


def _read(sessions: Sequence[str]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Each file that sessions were read from: their names, and a row of it."""
    keys = [{"session": name} for name in sessions]
    read = recording.Ingestion * recording.IngestionSession * session.NwbFile.proj("path") & keys
    for _, rows in groupby(read.to_dicts(order_by="nwb_file"), lambda row: row["nwb_file"]):
        held = list(rows)
        yield [row["session"] for row in held], held[0]


def _lacking(spec: StudySpec) -> list[str]:
    """Recordings the study may lack of which no file was registered for it."""
    files = [{"nwb_file": row["member"]} for row in wanted(spec.study.name, "nwb_file")]
    paths = (session.NwbFile & files).to_arrays("path") if files else []
    gone = [n for n in spec.data.may_lack if not any(n.partition(":")[2] in p for p in paths)]
    return [f"{name}: not found where it was asked for; the study was run without it"
            for name in gone]  # fmt: skip


def _begun(trainings: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Weights and vectors made elsewhere that trainings rest on."""
    vectors: dict[tuple[str, str], dict[str, str]] = {}
    for row in trainings:
        made = what_it_began_with(row["training"])
        for one in made["vectors"]:
            said = tell_vectors(one), one["licence"] or NOT_STATED
            vectors.setdefault(said, {})[one["file"]] = one["etag"] or "of unknown digest"
        if made["licence"] and not made["vectors"]:
            digest = weights_of(row["weights_origin"]).get("sha256", "unknown")
            yield f"initial weights: {made['origin']}, licence {made['licence']}, sha256 {digest}"
    for (told, licence), files in vectors.items():
        named = [" ".join(pair) for pair in files.items()]
        where = named[0] if len(named) == 1 else f"{len(named)} files"
        yield f"{told}, licence: {licence} ({where})"


def provenance(spec: StudySpec) -> list[tuple[str, str]]:
    """For each kind of number, the restriction that fetches it."""
    name = spec.study.name
    said = [("every score", f'schemas.scores("{name}")')]
    if "features" in spec.data.modalities:
        said.append(
            (
                "vectors made elsewhere: columns, model, licence, origin",
                f'files = schemas.dataset.StudyMember & {{"study": "{name}", '
                f'"member_table": "nwb_file"}}\n'
                "schemas.session.NwbFile & "
                '[{"nwb_file": m} for m in files.to_arrays("member")]',
            )
        )
    for title, table, member in (
        ("evaluations", "analysis.Evaluation.Score", "evaluation_task"),
        ("linear probes", "analysis.LinearProbe.Score", "linear_probe_task"),
        ("silhouettes", "analysis.Silhouette.Score", "silhouette_task"),
        ("controls", "analysis.Control.Score", "control_task"),
        ("trainings", "training.Training", "training_task"),
        ("predicted regions", "prediction.Prediction.ChannelPrediction", "prediction_task"),
    ):
        tasks = dataset.StudyMember & {"study": name, "member_table": member}
        key = member.removesuffix("_task")
        marks = [{key: mark} for mark in tasks.to_arrays("member")]
        if marks and len(operator.attrgetter(table)(schemas) & marks):
            members = f'{{"study": "{name}", "member_table": "{member}"}}'
            said.append(
                (
                    title,
                    f"tasks = schemas.dataset.StudyMember & {members}\n"
                    f'schemas.{table} & [{{"{key}": m}} for m in tasks.to_arrays("member")]',
                )
            )
    return said
