"""Labels that come after the recording: rows, and a score of what was predicted without them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.evaluation import EvalParams
from pipeline.nwb.locations import region_name
from schemas import analysis, anatomy, dataset, prediction, recording, training, windows
from schemas._ingest import add_labels
from schemas._names import clip

from .label_files import Given, read_labels
from .label_match import find_session, match_channels
from .making import make_rows

HEADLINES = ("accuracy", "balanced_accuracy", "macro_f1", "coverage", "accuracy_answered")


@dataclass(frozen=True)
class LabelsAdded:
    """What came of a file of labels.

    Attributes
    ----------
    label_sets
        Digest of each label set, one per kind of evidence.
    known
        Channels with a region by (label set, scheme).
    scores
        Every score of a stored prediction: ``model, scheme, heard, level, metric, detail, value,
        chance, n, low, high, reason``; ``heard`` is what the model's training had of the session.
    """

    session: str
    label_sets: dict[str, str]
    n_labels: int
    known: dict[str, int]
    scores: pd.DataFrame
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        frame = self.scores.astype(object).where(self.scores.notna(), None)
        return {
            "session": self.session,
            "label_sets": self.label_sets,
            "n_labels": self.n_labels,
            "known": self.known,
            "scores": frame.to_dict("records"),
            "notes": self.notes,
        }

    def print(self, console: Any) -> None:
        """Write it to a rich console."""
        from rich.table import Table

        kinds = ", ".join(self.label_sets)
        console.print(f"{self.n_labels} labels ({kinds}) for {self.session}", markup=False)
        for name, n in self.known.items():
            console.print(f"{name}: {n} channels have a region", markup=False)
        shown = self.scores[self.scores["metric"].isin(HEADLINES)]
        if len(shown):
            names = ["model", "scheme", "level", "metric", "value", "chance", "n", "low", "high"]
            table = Table(*names, "reason", box=None, pad_edge=False)
            for row in shown[[*names, "reason"]].itertuples(index=False):
                table.add_row(*[_cell(value) for value in row])
            console.print(table)
        for text in self.notes:
            console.print(f"note: {text}", markup=False)


def ingest_labels(
    file: Path, session: str, *, evidence: str | None = None, probe: str | None = None
) -> LabelsAdded:
    """Add the labels in a file to a session and score its stored predictions by them.

    The same file twice adds nothing twice.

    Parameters
    ----------
    file
        A CSV with the columns channel (electrode id) and region, maybe probe, evidence, x, y, z;
        or the alignment JSON of IBL (``channel_locations.json``).
    session
        Key of the session, or its id as written in the recording.
    evidence
        How the labels came about: histology, target, coordinates, expert, unknown.
    probe
        Whose channels they are, where the file does not say and the session has several.

    Raises
    ------
    LabelError
        If the file or session cannot be used; the message says what to change.
    """
    name = find_session(session)
    origin, given = read_labels(Path(file), evidence)
    entries, notes = match_channels(name, given, probe)
    sets = {}
    for kind in sorted({one.evidence for one, _ in entries}):
        rows = [_entry(one, place) for one, place in entries if one.evidence == kind]
        sets[kind] = add_labels({"session": name}, origin, kind, rows)
    known, asked = _score(name, list(sets.values()))
    if not asked:
        notes.append("no stored prediction of this session to score; `fieldbase locate` makes one")
    n = sum(one.region is not None for one, _ in entries)
    return LabelsAdded(name, sets, n, known, label_scores(asked), notes)


def _entry(one: Given, place: dict[str, Any]) -> dict[str, Any]:
    x, y, z = one.xyz or (None, None, None)
    return {
        "probe": place["probe"],
        "channel": place["channel"],
        "raw": clip(one.region, 255),
        "cleaned": clip(region_name(one.region), 255),
        "label_x": x,
        "label_y": y,
        "label_z": z,
    }


def _score(name: str, label_sets: list[str]) -> tuple[dict[str, int], list[dict[str, str]]]:
    """Map the labels to every scheme that predictions of the session use, and score those."""
    asked = prediction.PredictionTask * windows.WindowsTask.proj("session") & {"session": name}
    stored = asked * prediction.Prediction.proj("output") & {"output": "classes"}
    chain = training.TrainingTask.proj("split") * dataset.SplitTask.proj("dataset")
    schemes = dataset.Dataset.proj("scheme") * chain
    rows = (stored.proj("training") * schemes).to_dicts()
    params = analysis.EvalParamSet.register(None, EvalParams())
    known, tasks = {}, []
    for label_set in label_sets:
        for scheme in sorted({row["scheme"] for row in rows if row["scheme"] is not None}):
            key = {"label_set": label_set, "scheme": scheme}
            anatomy.LabelTask.insert1(key, skip_duplicates=True)
            make_rows(anatomy.ChannelLabel, [key])
            n = (anatomy.ChannelLabel & key).fetch1("n_known")
            kind = (recording.LabelSet & key).fetch1("evidence")
            known[f"{scheme} ({kind})"] = n
            for row in [row for row in rows if row["scheme"] == scheme]:
                asked_of = {"prediction": row["prediction"], **key, **params}
                tasks.append(analysis.LabelScoreTask.ensure(**asked_of))
    if tasks:
        make_rows(analysis.LabelScore, tasks)
    return known, tasks


def label_scores(tasks: list[dict[str, str]] | None = None) -> pd.DataFrame:
    """Scores against later labels; None takes all there are. Columns: see `LabelsAdded`."""
    scored = analysis.LabelScore * analysis.LabelScore.Score * analysis.LabelScoreTask
    scored = scored if tasks is None else scored & tasks
    joined = scored * prediction.PredictionTask.proj("training")
    rows = (joined * training.TrainingTask.proj("model")).to_dicts(order_by="label_score, score")
    names = {
        row["training"]: row["registered_model"] for row in training.RegisteredModel.to_dicts()
    }
    for row in rows:
        row["model"] = names.get(row["training"], row["model"])
    columns = ["model", "scheme", "heard", "level", "metric", "detail", "value", "chance", "n",
               "low", "high", "score_reason"]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns).rename(columns={"score_reason": "reason"})
    numeric = ["value", "chance", "n", "low", "high"]
    frame[numeric] = frame[numeric].apply(pd.to_numeric)
    return frame


def _cell(value: Any) -> str:
    from rich.markup import escape

    if value is None or value != value:
        return "–"
    return escape(f"{value:.2f}" if isinstance(value, float) else str(value))
