"""What the report draws of each probe: power, predicted region, confidence and file label."""

import numpy as np
import pandas as pd

from pipeline.analyses.report_data import InsertionReport
from pipeline.analyses.spectra import SpectraParams, phase_profile, power_spectra
from pipeline.recording import WindowSet
from schemas import prediction
from schemas._roles import member_windows, role_masks

from .models import final_trainings, windows_of
from .plan import wanted
from .spec import StudySpec

MOST = 12
HIGHEST_HZ = 250.0


def insertion_reports(spec: StudySpec) -> list[InsertionReport]:
    """Held-out recordings as the study's first model answers them, at most `MOST` of them."""
    split = [row["member"] for row in wanted(spec.study.name, "split_task")]
    if not split or "lfp" not in spec.data.modalities:
        return []
    made: list[InsertionReport] = []
    seen: set[str] = set()
    first = spec.model[0].name
    for final in [f for f in final_trainings(spec) if f["name"] == first]:
        for name in windows_of(split[0], final["fold"], ("test",)):
            if name in seen or len(made) >= MOST:
                continue
            seen.add(name)
            windowset = member_windows(split[0], name)
            held_out = role_masks(split[0], final["fold"], windowset)["test"]
            key = {"training": final["training"], "windows": name}
            made += draw_probes(windowset, answers(key), first, held_out)
    return made


def answers(key: dict[str, str]) -> pd.DataFrame:
    """Stored answers per channel of one training and one set of windows."""
    rows = prediction.Prediction.ChannelPrediction * prediction.PredictionTask & key
    columns = ["probe", "channel", "predicted", "confidence", "refused"]
    return pd.DataFrame(rows.to_dicts(), columns=columns)


def draw_probes(
    windowset: WindowSet, said: pd.DataFrame, model: str, held_out: np.ndarray | None = None
) -> list[InsertionReport]:
    """One InsertionReport per probe of a recording."""
    if windowset.lfp is None or not windowset.valid.any():
        return []
    valid = windowset.valid if held_out is None else windowset.valid & held_out[:, None]
    channels = windowset.channels.merge(said, on=["probe", "channel"], how="left")
    channels = channels.rename(
        columns={"predicted": "region_pred", "region": "region_file", "refused": "reason"}
    )
    spectra = power_spectra(windowset.lfp, windowset.rate, valid, SpectraParams())
    shown = (spectra.freqs > 0) & (spectra.freqs <= HIGHEST_HZ)
    made = []
    for probe, rows in channels.groupby("probe", sort=False):
        at = rows.index.to_numpy()
        profile = phase_profile(
            windowset.lfp[:, :, at], windowset.rate, valid[:, at],
            rows.reset_index(drop=True), SpectraParams(),
        )  # fmt: skip
        made.append(
            InsertionReport(
                session=windowset.session,
                probe=str(probe),
                subject=windowset.subject,
                freqs=spectra.freqs[shown],
                power=spectra.power[at][:, shown],
                channels=rows.reset_index(drop=True),
                model=model,
                notes=tuple(windowset.provenance.get("notes", ())),
                phase=None if profile is None else profile.phase,
                coherence=None if profile is None else profile.coherence,
                theta_hz=None if profile is None else profile.theta_hz,
            )
        )
    return made
