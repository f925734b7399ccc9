"""Small releases in the layout of IBL's region decoders, worked out by hand."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from pipeline.models.probe_transformer import ProbeTransformer

ACRONYMS = ["VISp", "root", "CA1"]
FEATURES = ["psd_theta", "rms_lf"]
LOUD_DB = -88.0
"""RMS (dB re 1 V) between the quiet and the loud region of the test worlds."""


def stump(feature, threshold, low, high):
    """One tree: one value below a threshold, another above."""
    return {
        "left_children": [1, -1, -1], "right_children": [2, -1, -1],
        "split_indices": [feature, 0, 0], "split_conditions": [threshold, low, high],
        "default_left": [1, 0, 0], "split_type": [0, 0, 0],
        "tree_param": {"size_leaf_vector": "1"},
    }  # fmt: skip


def trees(shift=0.0):
    """A model as XGBoost writes it: quiet is VISp, loud is CA1, nothing is root."""
    leaves = [(2.0, -2.0), (-3.0, -3.0), (-2.0, 2.0 + shift)]
    return {
        "learner": {
            "attributes": {},
            "gradient_booster": {
                "name": "gbtree",
                "model": {
                    "trees": [stump(1, LOUD_DB, *each) for each in leaves],
                    "tree_info": [0, 1, 2],
                    "iteration_indptr": [0, 3],
                },
            },
            "learner_model_param": {"base_score": "5E-1", "num_class": "3"},
            "objective": {"name": "multi:softprob"},
        }
    }


def network():
    """A transformer that says the same of the second feature, its channels unaware of others."""
    made = ProbeTransformer(n_features=2, n_classes=3, d_model=8, n_heads=2, n_layers=2)
    for name, value in made.named_parameters():
        if "norm" not in name:
            torch.nn.init.zeros_(value)
    with torch.no_grad():
        made.input_proj.weight[0, 1], made.input_proj.weight[1, 1] = 1.0, -1.0
        made.head.weight[2, 0] = made.head.weight[0, 1] = 2.0
        made.head.bias[1] = -5.0
    return made


def write_release(folder: Path, method: str, artifacts: dict, config: dict, features=FEATURES):
    """Manifest, card and digests beside the files that are there."""
    text = json.dumps(list(features), sort_keys=True, separators=(",", ":"))
    manifest = {
        "model_id": folder.name,
        "method": method,
        "vintage": "2026_W00",
        "artifacts": artifacts,
        "inputs": {
            "features": list(features),
            "feature_order_sha256": hashlib.sha256(text.encode()).hexdigest(),
        },
        "config": {"class_acronyms": ACRONYMS, "classes": [385, 997, 382], **config},
    }
    (folder / "ephysatlas_model.json").write_text(json.dumps(manifest))
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# by hand\n")
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "README.md"]
    listed = [
        {
            "path": str(p.relative_to(folder)),
            "sha256": hashlib.sha256(p.read_bytes()).hexdigest(),
        }
        for p in files
    ]
    (folder / "checksums.json").write_text(json.dumps({"algo": "sha256", "files": listed}))
    return folder


def trees_folder(folder: Path, features=FEATURES) -> Path:
    """Two folds."""
    for number in range(2):
        place = folder / "folds" / f"FOLD0{number}"
        place.mkdir(parents=True)
        (place / "model.json").write_text(json.dumps(trees(shift=float(number))))
    return write_release(folder, "xgboost", {"folds": ["FOLD00", "FOLD01"]}, {}, features)


def transformer_folder(folder: Path) -> Path:
    """Two seeds."""
    for number in range(2):
        place = folder / f"seed{number}"
        place.mkdir(parents=True)
        save_file(network().state_dict(), place / "best_model.safetensors")
        np.savez(place / "feature_scaler.npz", mean=[-90.0, LOUD_DB], std=[10.0, 3.0])
    config = {"n_features": 2, "n_classes": 3, "d_model": 8, "n_heads": 2,
              "n_transformer_layers": 2, "dropout": 0.1}  # fmt: skip
    return write_release(
        folder, "transformer", {"seeds": ["seed0", "seed1"]}, {"model_config": config}
    )
