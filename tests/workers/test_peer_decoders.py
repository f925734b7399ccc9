"""IBL's published decoders in a study: scored beside ours, by the same tables, as they are."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "pipeline"))
import decoder_folders  # noqa: E402

from workers.study.experiment import read_experiment, simulate  # noqa: E402
from workers.study.run import run_study  # noqa: E402
from workers.study.spec import Model  # noqa: E402

FILE = Path(__file__).parents[2] / "studies" / "lfp2vec_within_allen.toml"


@pytest.fixture(scope="module")
def study(tables, tmp_path_factory):
    """A twin labelled in Cosmos, of two peers and band power; what was made, and its scores."""
    place = tmp_path_factory.mktemp("peers")
    folders = {
        "ibl_trees": decoder_folders.trees_folder(place / "trees"),
        "ibl_transformer": decoder_folders.transformer_folder(place / "transformer"),
    }
    for folder in folders.values():
        manifest = json.loads((folder / "ephysatlas_model.json").read_text())
        manifest["config"]["class_acronyms"] = ["Isocortex", "root", "HPF"]
        (folder / "ephysatlas_model.json").write_text(json.dumps(manifest))
        (folder / "checksums.json").unlink()
    whole = read_experiment(FILE, twin=True, only=["strict"])
    lab = whole.labs["allen"].model_copy(update={"subjects": 3, "channels": 24, "duration_s": 24.0})
    simulate(whole.model_copy(update={"labs": {"allen": lab}}), place, lambda text: None)
    models = [
        Model(name=family, family=family, params={"source": str(folder)})
        for family, folder in folders.items()
    ]
    models.append(Model(name="band power", family="band_power"))
    spec = whole.specs[0]
    few = {"linear_probes": (), "silhouettes": (), "controls": ()}
    spec = spec.model_copy(
        update={
            "study": spec.study.model_copy(update={"name": "peers"}),
            "data": spec.data.model_copy(update={"labels": "Cosmos"}),
            "model": tuple(models),
            "analyses": spec.analyses.model_copy(update=few),
            "published": (),
        }
    )
    return run_study(spec, base=place), tables.scores("peers")


def test_peers_are_scored_on_the_same_channels_as_ours(study):
    outcome, scores = study
    assert not outcome.failed
    rows = scores[
        (scores["table"] == "Evaluation") & (scores["metric"] == "balanced_accuracy")
        & scores["fold"].isna()
    ]  # fmt: skip
    for level in ("window", "channel"):
        mine = rows[(rows["level"] == level) & rows["subject"].isna()] if "subject" in rows else (
            rows[rows["level"] == level]
        )  # fmt: skip
        assert {"ibl_trees", "ibl_transformer", "band power"} <= set(mine["model"])
        assert mine.groupby("model")["n"].first().nunique() == 1
        assert mine["chance"].nunique() == 1


def test_the_row_of_a_peer_says_where_it_is_from_and_what_it_may_not_be_taken_for(study):
    from schemas import training

    rows = (training.Training & "weights_origin is not null").to_dicts()
    told = [row["weights_origin"] for row in rows if "vintage" in (row["weights_origin"] or {})]
    assert len(told) == 6  # two peers, three folds
    for origin in told:
        assert origin["licence"] == "cc-by-4.0"
        assert "denoised" in origin["approximate"]
