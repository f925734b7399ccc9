"""The variants of the study across laboratories that harmonise what they train on."""

from pathlib import Path

import pytest

from pipeline.training import AugmentParams
from workers.study.experiment import read_experiment, simulate

FILE = Path(__file__).parents[2] / "studies" / "lfp2vec_cross_lab.toml"


@pytest.mark.parametrize("twin", [False, True])
@pytest.mark.parametrize("direction", ["allen-ibl", "ibl-allen"])
def test_the_augmented_variant_is_the_one_below_100_hz_but_for_its_augmentation(direction, twin):
    names = [f"{direction}.100hz", f"{direction}.100hz-augmented"]
    plain, augmented = read_experiment(FILE, twin=twin, only=names).specs
    for part in ("data", "lfp", "windows", "split", "analyses"):
        assert getattr(plain, part).digest == getattr(augmented, part).digest
    for one, other in zip(plain.model, augmented.model, strict=True):
        for before, after in zip(one.stages, other.stages, strict=True):
            wanted = AugmentParams() if one.family == "lfp2vec" else None
            assert before.augment is None
            assert after == before.model_copy(update={"augment": wanted})


@pytest.mark.parametrize("twin", [False, True])
@pytest.mark.parametrize("direction", ["allen-ibl", "ibl-allen"])
def test_the_equalised_variant_is_that_of_the_full_band_but_for_signal_and_augmentation(
    direction, twin
):
    names = [f"{direction}.k0", f"{direction}.equalised-augmented"]
    plain, equal = read_experiment(FILE, twin=twin, only=names).specs
    assert equal.lfp == plain.lfp.model_copy(
        update={"reference": "median", "equalise_to_hz": 250.0}
    )
    for part in ("data", "windows", "split", "analyses"):
        assert getattr(plain, part).digest == getattr(equal, part).digest
    soft = AugmentParams(gain_db=3.0, lowpass_hz=(500.0, 1000.0))
    for one, other in zip(plain.model, equal.model, strict=True):
        wanted = soft if one.family == "lfp2vec" else None
        for before, after in zip(one.stages, other.stages, strict=True):
            assert after == before.model_copy(update={"augment": wanted})


def test_the_equalised_twin_runs_and_splits_by_the_laboratory_as_its_files_name_it(
    tables, tmp_path
):
    from schemas import windows
    from workers.study.run import run_study

    whole = read_experiment(FILE, twin=True, only=["allen-ibl.equalised-augmented"])
    (member,) = whole.members
    few = {"linear_probes": (), "silhouettes": (), "controls": ()}
    spec = member.spec.model_copy(update={
        "model": tuple(one for one in member.spec.model if one.name == "band power"),
        "analyses": member.spec.analyses.model_copy(update=few),
    })  # fmt: skip
    small = {"subjects": 3, "channels": 12, "duration_s": 15.0}
    twin = whole.model_copy(update={
        "members": (member.model_copy(update={"spec": spec}),),
        "labs": {name: lab.model_copy(update=small) for name, lab in whole.labs.items()},
    })  # fmt: skip
    simulate(twin, tmp_path, lambda text: None)
    before = len(windows.Windows & "n_windows > 0")
    assert not run_study(spec, base=tmp_path).failed
    assert len(windows.Windows & "n_windows > 0") == before + 6
    scores = tables.scores(spec.study.name)
    tested = scores[(scores["table"] == "Evaluation") & (scores["model"] == "band power")]
    assert len(tested) > 0
