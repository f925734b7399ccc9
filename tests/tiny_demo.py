"""The demo's study on fewer, shorter recordings and a smaller model: `python tiny_demo.py FOLDER`.

Goes into the database of FIELDBASE_HOME under the name the demo has, so that whatever reads the
demo reads this as well.
"""

import sys
import tomllib
from pathlib import Path

from pipeline.synthetic import write_lab
from workers.study.run import run_study
from workers.study.spec import StudySpec

ROOT = Path(__file__).parents[1]
RECORDINGS = {"layout": "allen", "subjects": 3, "channels": 12, "duration_s": 15.0, "seed": 3}
SMALL = {
    "conv_dim": [8] * 7, "hidden": 16, "heads": 2, "layers": 1, "feedforward": 16,
    "position_kernel": 8, "position_groups": 2, "codewords": 8, "code_dim": 16, "negatives": 8,
    "head_dim": 16, "model_rate": 4000.0,
}  # fmt: skip
FEW = {"draws": 20}


def make_tiny_demo(folder):
    """Record, run, and raise if anything failed."""
    import schemas

    schemas.activate()
    write_lab(folder / "recordings", **RECORDINGS)
    done = run_study(tiny_study(), base=folder)
    if done.failed:
        raise SystemExit(f"the tiny demo failed: {done.failed}")


def tiny_study():
    """What `workers/demo.toml` asks for, on any folder of recordings, with less of everything."""
    values = tomllib.loads((ROOT / "workers" / "demo.toml").read_text())
    values["data"]["recordings"] = ["recordings"]
    values["windows"] |= {"max_windows": 3}
    values["analyses"] |= {"evaluation": FEW, "probe": {**FEW, "blocks": 2, "gap_s": 1.0}}
    for model in values["model"]:
        if model["family"] == "lfp2vec":
            model["params"] |= SMALL
            for stage in model["stages"]:
                stage |= {"epochs": 1, "max_steps_per_epoch": 2, "batch_size": 8}
    return StudySpec.model_validate(values)


if __name__ == "__main__":
    make_tiny_demo(Path(sys.argv[1]))
