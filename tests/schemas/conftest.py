"""A synthetic laboratory of three subjects that has gone through every table, once per run."""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

TINY = {
    "size": "tiny", "conv_dim": (8,) * 7, "hidden": 16, "heads": 2, "layers": 1, "feedforward": 16,
    "position_kernel": 8, "position_groups": 2, "codewords": 8, "code_dim": 16, "negatives": 8,
    "head_dim": 16, "model_rate": 4000.0,
}  # fmt: skip
TINY_MTM = {"hidden": 16, "layers": 1, "heads": 2, "feedforward": 16, "read_in": 8}
QUICK = {"epochs": 1, "max_steps_per_epoch": 2, "batch_size": 8}
CHAIN = [{"objective": "ssl", **QUICK}, {"objective": "finetune", **QUICK}]
FEW = {"draws": 20}


@dataclass(frozen=True)
class Lab:
    """Where the files lie, the studies that were run, and what came of each."""

    folder: Path
    files: list[Path]
    specs: dict
    outcomes: dict


@pytest.fixture(scope="session")
def lab(tables, tmp_path_factory):
    """Four studies: held-out subjects, a transductive fold, spikes with behaviour, vectors."""
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    folder = tmp_path_factory.mktemp("lab")
    files = write_laboratory(folder / "recordings")
    write_vectors(folder / "vectors.parquet")
    specs = {name: StudySpec.model_validate(values) for name, values in studies().items()}
    outcomes = {name: run_study(spec, base=folder) for name, spec in specs.items()}
    return Lab(folder, files, specs, outcomes)


def write_laboratory(folder):
    from pipeline.synthetic.lab import write_sessions
    from pipeline.synthetic.session import LabParams

    params = LabParams(
        layout="allen", subjects=3, channels=10, duration_s=9, units=4, bad_channels=1, seed=3
    )
    return [path for paths in write_sessions(folder, params) for path in paths]


def write_vectors(path):
    rows = [
        {"lab": f"lab{s}", "mouse": f"mouse {s}", "region": region, "power": s + offset}
        for s in range(3)
        for region, offset in (("CA1", 10.0), ("DG", 20.0))
    ]
    pd.DataFrame(rows).to_parquet(path)


def studies():
    lfp = {"recordings": ["recordings"], "labels": "lfp2vec5", "lab": "toy"}
    common = {"windows": {"length_s": 1.0}, "lfp": {"target_rate_hz": 500.0}}
    held_out = {"evaluation": FEW, "probe": {**FEW, "blocks": 2, "gap_s": 1.0}}
    return {
        "subjects": {
            **common,
            "study": {"name": "subjects"},
            "data": lfp,
            "split": {"by": "subject", "folds": "k-fold", "k": 2, "validation": 0},
            "model": [
                {"name": "band power", "family": "band_power"},
                {"name": "tiny", "family": "lfp2vec", "params": TINY, "stages": CHAIN},
            ],
            "analyses": {
                **held_out,
                "linear_probes": ["region", "session"],
                "silhouettes": ["region"],
                "controls": ["permuted_labels", "phase_randomised", "relabelled"],
            },
            "published": [
                {
                    "model": "tiny", "metric": "balanced_accuracy", "level": "window",
                    "value": 0.645, "origin": "text",
                }
            ],
        },
        "transductive": {
            **common,
            "study": {"name": "transductive"},
            "data": lfp,
            "split": {
                "by": "subject", "folds": "fixed", "validation": 0, "pretrain": "all",
                "test": ["toy/900003000"],
            },
            "model": [{"name": "tiny", "family": "lfp2vec", "params": TINY, "stages": CHAIN}],
            "analyses": held_out,
        },
        "spikes": {
            "study": {"name": "spikes"},
            "data": {
                "recordings": ["recordings/*/*[0-9].nwb"], "modalities": ["spikes", "behavior"],
                "behavior": "running",
                "lab": "toy",
            },
            "windows": {"length_s": 1.0},
            "bins": {"bin_s": 0.1},
            "split": {"by": "time", "folds": "k-fold", "k": 2, "validation": 0, "gap_s": 0.0},
            "model": [
                {
                    "name": "mtm", "family": "mtm", "params": TINY_MTM,
                    "stages": [{"objective": "ssl", **QUICK, "select": "last"}],
                }
            ],
            "analyses": held_out,
        },
        "vectors": {
            "study": {"name": "vectors"},
            "data": {
                "recordings": ["vectors.parquet"], "modalities": ["features"],
                "labels": "as_given",
                "mapping": {
                    "features": ["power"], "source": "lab", "subject": "mouse", "region": "region",
                },
            },
            "split": {"by": "lab", "validation": 0},
            "model": [{"name": "vectors", "family": "external"}],
            "analyses": {**held_out, "linear_probes": ["region"]},
        },
    }  # fmt: skip


@pytest.fixture
def ingest(tables, roots, monkeypatch):
    """Ingest summaries as if they had been read from files, in the order given."""
    from schemas import _ingest, recording
    from workers.ingest import register

    told = {}
    monkeypatch.setattr(
        _ingest, "read_summary_isolated", lambda source, **_: told[os.path.basename(source)]()
    )

    def run(**files):
        keys = []
        for name, answer in files.items():
            told[f"{name}.nwb"] = answer if callable(answer) else lambda answer=answer: answer
            (roots[1] / f"{name}.nwb").write_bytes(name.encode())
            keys += register([f"{name}.nwb"], base=roots[1])
        for key in keys:
            recording.Ingestion.populate({"nwb_file": key})
        return keys

    return run


@pytest.fixture(scope="session")
def summary():
    """A small file's summary, with fields changed."""
    from pipeline.nwb import FileSummary

    def make(**changes):
        return FileSummary.model_validate(SMALL | changes)

    return make


SMALL = {
    "layout": "generic",
    "nwb_version": "2.6.0",
    "identifier": "id",
    "session_id": "one",
    "session_start": "2020-02-03T04:05:06+02:00",
    "lab": "bench",
    "subject": {"subject_id": "rat 1", "species": "Rattus norvegicus"},
    "probes": [{"probe": "probe A", "device": "silicon", "n_channels": 2}],
    "channels": [
        {
            "probe": "probe A", "channel": i, "rel_x": 0.0, "rel_y": 20.0 * i, "depth_um": 20.0 * i,
            "location_raw": name, "location": name, "evidence": "target",
            "label_source": "column location",
        }
        for i, name in enumerate(("CA1", "DG"))
    ],
    "lfp": [
        {
            "series": "acquisition/LFP", "n_samples": 2500, "n_channels": 2,
            "rate_declared": 1250.0, "rate_measured": 1249.99, "start_s": 0.0, "stop_s": 2.0,
            "unit": "V", "dtype": "int16",
            "channel_ids": [0, 1], "digest": "0" * 64,
        }
    ],
    "units": [{"unit": 7, "probe": "probe A", "channel": 1, "n_spikes": 12}],
    "trials": [
        {"table": "trials", "trial": 0, "start_s": 0.5, "stop_s": 1.0, "values": {"left": True}}
    ],
    "behavior": [{"series": "processing/behavior/speed", "n_samples": 100, "columns": ["speed"]}],
    "invalid": [{"start_s": 0.1, "stop_s": 0.2, "label": "artefact"}],
}  # fmt: skip
