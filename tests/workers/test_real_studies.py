"""The studies of this repository: each parses and plans; two run, shortened, on real recordings."""

import re
import tomllib
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"
FILES = sorted(STUDIES.glob("*.toml"))
BAND = {"name": "band power", "family": "band_power", "params": {"balanced": True}}
FEW = {"draws": 100}


def shortened(name, **changes):
    """The study under a name of its own, with band power alone and few windows."""
    from workers.study.spec import StudySpec

    values = tomllib.loads((STUDIES / f"{name}.toml").read_text())
    values["study"]["name"] = f"{name}_short"
    values["model"] = [BAND]
    values["analyses"] |= {"evaluation": FEW, "probe": FEW}
    values["windows"] |= {"max_windows": 18, "placement": "spread"}
    for section, values_of in changes.items():
        values[section] |= values_of
    return StudySpec.model_validate(values)


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.fixture(scope="module")
def rat(tables, real_data):
    """The rat study, run; its report as HTML."""
    from workers.study.report import write_report
    from workers.study.run import run_study

    spec = shortened("rat_csr6", split={"k": 3}, analyses={
        "evaluation": FEW, "probe": FEW, "linear_probes": ["region"], "silhouettes": ["region"],
        "controls": ["relabelled"],
    })  # fmt: skip
    done = run_study(spec, base=STUDIES)
    assert not done.failed
    return spec, lambda target: write_report(spec, target).read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_study_of_the_repository_parses_and_says_what_not_to_conclude(file):
    from workers.study.experiment import read_experiment

    for spec in read_experiment(file).specs:
        assert spec.study.name.partition(".")[0] == file.stem  # what follows is the variant
        assert spec.study.question.endswith("?")
        assert spec.study.not_to_conclude


@pytest.mark.real
@pytest.mark.parametrize("name", ["rat_csr6", "rat_csr6_base", "ieeg_lobes", "ieeg_lobes_base"])
def test_a_plan_counts_jobs_and_hours_without_making_a_row(name, tables, real_data, monkeypatch):
    from schemas import dataset, session
    from workers.study.cost import plan_study
    from workers.study.spec import read_study

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = len(session.NwbFile()), len(dataset.Study())
    plan = plan_study(read_study(STUDIES / f"{name}.toml"), base=STUDIES)
    assert (len(session.NwbFile()), len(dataset.Study())) == before
    folds = 5 if name.startswith("rat") else 3
    assert f"{folds} folds" in plan["notes"][0]
    assert plan["jobs"]["Training"][0] % folds == 0
    (cost,) = [note for note in plan["notes"] if "PFLOP" in note]
    assert re.search(r"\d h on two CPU cores" if "base" in name else r"\d min on two", cost)


@pytest.mark.real
def test_running_a_study_again_makes_nothing(rat):
    from workers.study.run import run_study

    spec, _ = rat
    again = run_study(spec, base=STUDIES)
    assert (again.made, again.failed) == ({}, {})


@pytest.mark.real
def test_the_rats_first_screen_says_that_wire_and_region_cannot_be_told_apart(rat, tmp_path):
    _, report = rat
    first = words(report(tmp_path / "rat.html").split("<nav")[0])
    assert "It cannot be told: band power reaches" in first
    assert "RSC rests on one signal" in first
    assert "RSC is 2 channels that carry one signal (r = 0.9999), n = 1 independent" in first
    assert "Channels: SUB 30, RSC 2 (1 independent)" in first
    assert "Control: any 2 SUB called RSC, the real RSC left out" in first
    assert re.search(
        r"Anywhere: median 0\.\d+, at most 0\.\d+ \(of 100 of 435 relabellings\)", first
    )
    assert re.search(
        r"one probe or shank: median 0\.\d+, at most 0\.\d+ \(of 43 of 43 relabellings\)", first
    )
    alone = "1 at a time, as many as RSC has signals: median"
    assert re.search(rf"{alone} 0\.\d+, at most 0\.\d+ \(of 30 of 30 relabellings\)", first)
    assert "Real recordings" in first


@pytest.mark.real
def test_the_control_asks_what_the_probe_asked(rat, tables):
    """The real score among the relabellings is that of the pooled linear probe."""
    from schemas import analysis

    spec, _ = rat
    scores = tables.scores(spec.study.name)
    probe = scores[(scores["table"] == "LinearProbe") & scores["fold"].isna()]
    (value,) = probe.loc[probe["metric"] == "balanced_accuracy", "value"]
    control = scores[(scores["target"] == "relabelled") & (scores["level"] == "window")]
    assert set(control["detail"].str.partition("; observed ")[2]) == {f"{value:.3f}"}
    wide = control[control["metric"] == "balanced_accuracy"]
    assert (wide["value"] < value).all()
    assert len(analysis.Control & {"control_kind": "independent_channels"}) >= 1


@pytest.mark.real
def test_steps_that_cannot_apply_to_the_patients_are_left_out_and_written_down(
    tables, real_data, tmp_path
):
    from schemas import session, windows
    from workers.study.report import write_report
    from workers.study.run import run_study

    spec = shortened("ieeg_lobes", analyses={
        "evaluation": FEW, "probe": FEW, "linear_probes": [], "silhouettes": [], "controls": [],
    })  # fmt: skip
    done = run_study(spec, base=STUDIES)
    assert not done.failed
    asked = (windows.Windows * windows.WindowsTask * session.Session).proj(
        "lfp_rate_out", "window_notes", "n_windows", "subject"
    )
    rows = {r["subject"]: r for r in asked.to_dicts() if r["subject"] in ("BW001", "CH003")}
    assert rows["BW001"]["n_windows"] == 1
    assert rows["BW001"]["lfp_rate_out"] == pytest.approx(200)
    assert any("low-pass at 100 Hz left out" in note for note in rows["BW001"]["window_notes"])
    assert rows["CH003"]["lfp_rate_out"] == pytest.approx(256)
    assert not any("low-pass" in note for note in rows["CH003"]["window_notes"])
    page = words(write_report(spec, tmp_path / "ieeg.html").read_text())
    assert "low-pass at 100 Hz left out: sampling at 200 Hz" in page
    assert "nothing is upsampled" in page
