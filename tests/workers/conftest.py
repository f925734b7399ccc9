"""Three synthetic mice, a study of them, and a fourth that no model has heard; once per run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

STUDY = {
    "study": {"name": "locate_small", "register": "small"},
    "data": {"recordings": ["lab/**/*.nwb"], "labels": "lfp2vec5"},
    "lfp": {"lowpass_hz": 100.0, "target_rate_hz": 250.0},
    "windows": {"length_s": 2.0},
    "split": {"by": "subject", "folds": "leave-one-out", "validation": 0},
    "model": [
        {"name": "position", "family": "position_only"},
        {"name": "band power", "family": "band_power", "params": {"balanced": True}},
    ],
    "analyses": {"evaluation": {"draws": 50}},
}
SMALL = {"layout": "generic", "channels": 8, "duration_s": 12.0}


@pytest.fixture(scope="session")
def mice(tables, tmp_path_factory):
    """Folder of a study that was run."""
    from pipeline.synthetic import write_lab
    from workers.study.run import run_study
    from workers.study.spec import StudySpec

    folder = tmp_path_factory.mktemp("mice")
    write_lab(folder / "lab", subjects=3, seed=3, **SMALL)
    done = run_study(StudySpec.model_validate(STUDY), base=folder)
    assert not done.failed
    return folder


@pytest.fixture(scope="session")
def model(mice):
    """Card of the study's registered model."""
    from workers.register import register_study_model

    return register_study_model("locate_small")


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """A recording of a mouse that no model has heard."""
    from pipeline.synthetic import write_lab

    return write_lab(tmp_path_factory.mktemp("fresh"), subjects=1, seed=9, **SMALL)[-1]


@pytest.fixture(scope="session")
def asked_by_mice(mice, tables):
    """Rows of a task table that the study of the mice asked for."""

    def rows(task, member_table, key):
        members = tables.dataset.StudyMember & {
            "study": STUDY["study"]["name"], "member_table": member_table,
        }  # fmt: skip
        return task & [{key: one} for one in members.to_arrays("member")]

    return rows


@pytest.fixture
def nobody_asks():
    """What other tests left to make in a table is no job during this one."""
    left = []

    def ignore(table):
        left.append((table, (table().key_source - table.proj()).keys()))
        for key in left[-1][1]:
            table.jobs.ignore(key)

    yield ignore
    for table, others in left:
        (table.jobs.ignored & others).delete_quick()


@pytest.fixture
def crew(tables, roots, nobody_asks):
    """Workers as processes of their own, on files that take a known time to read."""
    from crew import Crew

    from schemas import _lease

    _lease.end()  # this process reaps nobody, who may only have lost a connection
    nobody_asks(tables.recording.Ingestion)
    made = Crew(tables, roots[1])
    yield made
    made.leave()
