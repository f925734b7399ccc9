"""Names from files, whatever is in them, break no query, no verb and no path."""

import json
import shutil
import sys
import uuid
from pathlib import Path

import h5py
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from mutations_values import HOSTILE  # noqa: E402

from pipeline.nwb import FileSummary, ReadError  # noqa: E402


def summary_of(name):
    """A small file in which every name is this one."""
    channel = {"probe": name, "location_raw": name, "location": name, "evidence": "target",
               "label_source": name, "extra_labels": {name[:60] or "x": name[:255]},
               "coordinate_frame": name}  # fmt: skip
    return FileSummary.model_validate(
        {
            "layout": "generic", "nwb_version": "2.6.0", "identifier": name, "session_id": name,
            "session_description": name, "session_start": name, "lab": name, "institution": name,
            "subject": dict.fromkeys(("subject_id", "species", "sex", "age", "genotype",
                                      "description"), name),
            "probes": [{"probe": name, "device": name, "description": name, "n_channels": 2}],
            "channels": [{**channel, "channel": i} for i in range(2)],
            "lfp": [{"series": f"acquisition/{name}", "n_samples": 10, "n_channels": 2,
                     "rate_measured": 1000.0, "unit": name, "channel_ids": [0, 1],
                     "digest": "0" * 64, "dtype": "int16"}],
            "units": [{"unit": 1, "probe": name, "channel": 1, "region_raw": name,
                       "quality": name}],
            "trials": [{"table": name, "trial": 0, "values": {name: name, "list": [name]}}],
            "behavior": [{"series": f"processing/{name}", "n_samples": 5, "unit": name,
                          "columns": [name]}],
            "invalid": [{"start_s": 0.0, "stop_s": 1.0, "scope": name, "label": name}],
            "warnings": [name],
        }
    )  # fmt: skip


@pytest.fixture
def enter(tables, roots, monkeypatch):
    """Ingest an answer as if a file had been read."""
    from schemas import _ingest, recording
    from workers.ingest import register

    def run(answer):
        monkeypatch.setattr(_ingest, "read_summary_isolated", lambda *_, **__: answer())
        place = roots[1] / f"{uuid.uuid4().hex}.nwb"
        place.write_bytes(place.name.encode())
        (key,) = register([place.name], base=roots[1])
        recording.Ingestion.populate({"nwb_file": key})
        return key

    return run


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_every_name_of_a_file_is_found_again_under_its_key(enter, tables, number):
    from schemas import recording, session
    from workers.ingest import _outcome

    name = HOSTILE[number]
    key = enter(lambda: summary_of(name))
    where = {"nwb_file": key}
    row = (recording.IngestionSession & where).fetch1()
    (found,) = (session.Session & {"session": row["session"]}).to_dicts()
    assert found["session"] == row["session"]
    assert (session.Subject & found).fetch1("subject") == found["subject"]
    (probe,) = (recording.ProbeInsertion & where).to_dicts()
    assert len(recording.Channel & {"session": row["session"], "probe": probe["probe"]}) == 2
    (series,) = (recording.LfpSeries & where).to_dicts()
    assert len(recording.LfpColumn & where & {"series": series["series"]}) == 2
    (trial,) = (recording.Trial & where).to_dicts()
    assert len(recording.Trial & {"trial_table": trial["trial_table"], **where}) == 1
    assert [len(getattr(recording, t) & where) for t in ("Unit", "BehaviorSeries")] == [1, 1]
    keys = (row["session"], found["subject"], found["source"], probe["probe"], series["series"],
            trial["trial_table"])  # fmt: skip
    assert all(0 < len(k) <= 64 and k.isprintable() and "/" not in k for k in keys)
    json.dumps(_outcome([where], {}))
    (recording.Ingestion & where).delete()
    assert not len(recording.Channel & where)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_an_error_that_quotes_such_a_name_is_a_row_and_is_shown(enter, tables, number):
    from schemas import recording
    from workers.ingest import _outcome
    from workers.status import errors

    name = HOSTILE[number]

    def fail():
        raise ReadError("read", f"the series {name} is damaged", f"fetch {name} again")

    key = enter(fail)
    row = (recording.Ingestion & {"nwb_file": key}).fetch1()
    assert row["ingestion_status"] == "error"
    assert row["message"].startswith("the series ")
    json.dumps(_outcome([{"nwb_file": key}], {}))
    json.dumps(errors("Ingestion"), default=str)


def test_a_recording_of_hostile_names_is_located_and_every_output_is_in_its_folder(
    mice, model, fresh, tmp_path
):
    from workers.locate import locate

    inside = tmp_path / "in"
    inside.mkdir()
    path, out = inside / "%s {x} '; DROP.nwb", tmp_path / "out"
    shutil.copyfile(fresh, path)
    with h5py.File(path, "r+") as file:
        for place, name in (("general/session_id", "../../../up"), ("identifier", "%s%d{0}"),
                            ("general/subject/subject_id", "'; DROP TABLE x; --"),
                            ("general/lab", "/etc/\n\u202eλ")):  # fmt: skip
            if place in file:
                del file[place]
            file[place] = name
        group = "general/extracellular_ephys"
        old = next(name for name in file[group] if name != "electrodes")
        text = file[f"{group}/electrodes/location"]
        text[...] = ["[red]{x}%s"] * len(text)
        names = file.get(f"{group}/electrodes/group_name")
        if names is not None:
            names[...] = ["..\\%s{0}"] * len(names)
        file.move(f"{group}/{old}", f"{group}/..\\%s{{0}}")
    before = {p for p in tmp_path.rglob("*") if p.is_file()}
    found = locate(str(path), model="small", out=out, write_nwb=True)
    json.dumps(found.to_json(), default=str)
    from rich.console import Console

    found.print(Console(file=(tmp_path / "shown").open("w"), width=120))
    made = {p for p in tmp_path.rglob("*") if p.is_file()} - before - {tmp_path / "shown"}
    assert made == {*found.pictures, found.csv, found.nwb}
    assert all(p.parent == out for p in made)
    assert "\\" not in found.session
    assert "/" not in found.session
