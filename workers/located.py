"""What `locate` found: one row per channel and unit, read back from the tables."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.analyses.insertion_figure import counted
from pipeline.analyses.report_data import InsertionReport
from pipeline.analyses.spectra import Spectra, SpectraParams, band_power, find_reversals
from pipeline.recording import REASONS
from schemas import prediction, recording, windows
from schemas._load import load_windows

from .choose import Chosen
from .study.insertions import draw_probes

SHOWN = {
    "probe": "probe", "channel": "channel", "depth_um": "depth (µm)", "region_pred": "region",
    "confidence": "confidence", "region_file": "file label", "evidence": "evidence",
    "theta_uv2": "theta (µV²)", "ripple_uv2": "ripple (µV²)", "bad": "bad", "reason": "why unknown",
}  # fmt: skip


@dataclass(frozen=True)
class Located:
    """A file's channels and units with their regions.

    Attributes
    ----------
    model
        None where no registered model fits; ``command`` then trains one.
    windows, predictions
        Digests of the Windows rows, and of the Prediction that belongs to each.
    probes
        What is drawn, one per probe.
    units
        ``unit, probe, channel, region, confidence, quality, unit_region``; None without a model.
    warnings
        Distance to the training domain, in sentences.
    watermark
        What stands across every output; empty for a real model on a real recording.
    pictures, csv, nwb
        Files written.
    """

    source: str
    nwb_file: str
    session: str
    model: Chosen | None
    windows: list[str]
    predictions: dict[str, str]
    probes: list[InsertionReport]
    units: pd.DataFrame | None
    warnings: list[str]
    notes: list[str]
    watermark: str
    command: str | None
    runs: list[pd.DataFrame] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    csv: Path | None = None
    nwb: Path | None = None

    @property
    def channels(self) -> pd.DataFrame:
        """One row per channel: place, answer, confidence, label in the file, band power."""
        frames = [probe.channels for probe in self.probes]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    @property
    def table(self) -> pd.DataFrame:
        """What is printed: the columns that say something, from the surface to the tip."""
        frame = self.channels
        names = [name for name in SHOWN if name in frame and frame[name].notna().any()]
        if self.model is not None:
            names = [name for name in names if not name.endswith("_uv2")]
        if "bad" in names and not frame["bad"].any():
            names.remove("bad")
        if "depth_um" in names:
            frame = frame.sort_values(["probe", "depth_um"], ascending=[True, False])
        return frame[names].rename(columns=SHOWN)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        model = self.model
        return {
            "source": self.source,
            "session": self.session,
            "watermark": self.watermark,
            "model": None if model is None else {
                "name": model.name, "training": model.training, "scheme": model.card["scheme"],
                "classes": list(model.classes), "reason": model.reason,
                "synthetic": model.card["synthetic"],
            },
            "warnings": self.warnings,
            "notes": self.notes,
            "windows": self.windows,
            "predictions": self.predictions,
            "channels": _records(self.channels),
            "units": _records(self.units),
            "pictures": [str(path) for path in self.pictures],
            "csv": None if self.csv is None else str(self.csv),
            "nwb": None if self.nwb is None else str(self.nwb),
            "train_with": self.command,
        }  # fmt: skip

    def print(self, console: Any) -> None:
        """Write it to a rich console: watermark, warnings, regions, channels, files."""
        from rich.table import Table

        for text in [self.watermark] if self.watermark else []:
            console.print(f"*** {text} ***", markup=False, style="bold red")
        for text in self.warnings:
            console.print(f"warning: {text}", markup=False, style="yellow", soft_wrap=True)
        frame = self.table
        title = f"{self.session}: {self.model.name}" if self.model else self.session
        title = f"{title} ({self.watermark})" if self.watermark else title
        table = Table(*frame.columns, title=title, title_justify="left", box=None, pad_edge=False)
        for row in frame.itertuples(index=False):
            table.add_row(*[_cell(value) for value in row])
        if len(frame):
            console.print(table)
        for probe, runs in zip(self.probes, self.runs, strict=True):
            for text in _describe_runs(probe.probe, runs):
                console.print(text, markup=False)
        if self.units is not None and len(self.units):
            counts = self.units["region"].value_counts()
            told = ", ".join(f"{region} {n}" for region, n in counts.items())
            console.print(f"{len(self.units)} units: {told}", markup=False)
        for text in self.notes:
            console.print(f"note: {text}", markup=False, soft_wrap=True)
        for path in [*self.pictures, self.csv, self.nwb]:
            if path is not None:
                console.print(f"wrote {path}", markup=False, soft_wrap=True)


def read_probes(
    names: list[str], predictions: dict[str, str], labels: dict[str, str] | None, model: str
) -> list[InsertionReport]:
    """Every probe of these windows with its answers, file labels and what needs no model."""
    made = []
    for name in names:
        windowset = load_windows(name, **(labels or {}))
        answers = answer_table(name, predictions.get(name))
        made += [_complete(probe) for probe in draw_probes(windowset, answers, model)]
    return made


def answer_table(name: str, predicted: str | None) -> pd.DataFrame:
    """Per channel of a windows task: series, column, whether it is bad, and the stored answer."""
    sites = (windows.Windows.Site * recording.Channel.proj("bad") & {"windows": name}).to_dicts(
        order_by="site"
    )
    link = (windows.WindowsLfp & {"windows": name}).fetch1()
    path = (recording.LfpSeries & link).fetch1("series_path")
    reasons = np.asarray((windows.Windows & {"windows": name}).fetch1("reasons").load())
    found_bad = (reasons == REASONS.index("bad_channel")).any(axis=0)
    frame = pd.DataFrame(sites)[["probe", "channel", "site", "bad"]]
    frame = frame.rename(columns={"site": "column"}).assign(series=path)
    frame["bad"] = frame["bad"].eq(True) | found_bad[frame["column"].to_numpy()]
    if predicted is None:
        return frame
    columns = [
        "probe",
        "channel",
        "predicted",
        "best",
        "confidence",
        "votes",
        "n_voting",
        "refused",
    ]
    rows = (prediction.Prediction.ChannelPrediction & {"prediction": predicted}).to_dicts()
    answers = pd.DataFrame(rows, columns=columns).astype({"confidence": float})
    frame = frame.merge(answers, on=["probe", "channel"], how="left")
    return frame.assign(predicted=frame["predicted"].fillna("unknown"))


def locate_units(name: str, probes: list[InsertionReport]) -> pd.DataFrame:
    """The units of a session with the region of their peak channel."""
    said = {
        (row["probe"], row["channel"]): (row["region_pred"], row["confidence"])
        for probe in probes
        for row in probe.channels.to_dict("records")
    }
    columns = ["unit", "probe", "channel", "quality", "unit_region"]
    rows = (recording.Unit & {"session": name}).to_dicts(order_by="nwb_file, unit")
    frame = pd.DataFrame(rows, columns=columns)
    places = list(zip(frame["probe"], frame["channel"], strict=True))
    answers = [said.get(place, ("unknown", math.nan)) for place in places]
    frame["region"] = pd.Series([region for region, _ in answers], dtype=object)
    frame["confidence"] = pd.Series([sure for _, sure in answers], dtype=float)
    return frame


def _complete(probe: InsertionReport) -> InsertionReport:
    """Band power per channel, and the depths at which theta turns over among the notes."""
    params = SpectraParams()
    spectra = Spectra(probe.freqs, probe.power, np.ones(len(probe.power), dtype=np.int64))
    channels = probe.channels.assign(
        theta_uv2=band_power(spectra, params.theta), ripple_uv2=band_power(spectra, params.ripple)
    )
    channels.loc[channels["region_file"].isna(), "evidence"] = None
    notes = list(probe.notes)
    if probe.phase is not None and probe.coherence is not None:
        turns = find_reversals(probe.phase, probe.coherence, channels, params)
        if len(turns):
            places = ", ".join(f"{depth:.0f}" for depth in sorted(turns["depth_um"], reverse=True))
            notes.append(
                f"{probe.probe}: theta ({probe.theta_hz:g} Hz) reverses its phase {places} µm from "
                "the tip."
            )
    peak = None if probe.theta_hz is None else round(probe.theta_hz, 2)
    return replace(probe, channels=channels, notes=tuple(notes), theta_hz=peak)


def _describe_runs(probe: str, runs: pd.DataFrame) -> list[str]:
    """Regions of a probe from the surface to the tip, one line each."""
    lines = []
    for run in runs.itertuples():
        place = " ".join(part for part in (probe, run.shank) if part)
        depth = "" if math.isnan(run.from_um) else f" {_stretch(run.to_um, run.from_um)} µm,"
        sure = "" if math.isnan(run.confidence) else f", median confidence {run.confidence:.2f}"
        lines.append(f"{place}:{depth} {run.region} ({counted(run.n_channels, 'channel')}{sure})")
    return lines


def _stretch(high: float, low: float) -> str:
    return f"{high:.0f}" if round(high) == round(low) else f"{high:.0f} to {low:.0f}"


def _records(frame: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    if frame is None:
        return None
    plain = frame.astype(object).where(frame.notna(), None)
    return [
        {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in row.items()
        }
        for row in plain.to_dict("records")
    ]


def _cell(value: Any) -> str:
    from rich.markup import escape

    if value is None or value != value:
        return "–"
    return escape(f"{value:.2f}" if isinstance(value, float) else str(value))
