"""Tiny files under the sessions, probes and dandisets of a study's catalogue.

One synthetic session of each layout is written; the others are copies of it with other ids.
"""

import io
import json
from pathlib import Path

import h5py
import numpy as np

from pipeline.synthetic.lab import write_sessions
from pipeline.synthetic.session import LabParams
from tests.packed_files import write_pack

CATALOGUE = Path(__file__).parents[3] / "studies" / "catalogue" / "lfp2vec.json"
TINY = {"channels": 4, "duration_s": 7.0, "units": 1, "bad_channels": 0, "artifacts": 0}
LACKING = "5dcee0eb-b34d-4652-acc3-d10afc6eae68"  # not in the list of the Brain-Wide Map
MONKEYS = {"000121": ("J", "L"), "000070": ("Jenkins", "Nitschke")}


def catalogue():
    return json.loads(CATALOGUE.read_text())


def write_experiments(folder):
    """Bytes by dandiset and path of everything public that the experiments name."""
    files = {"000021": {}, "000022": {}, "000409": ibl_files(folder), "000121": {}, "000070": {}}
    allen = _template(folder / "allen", layout="allen", probes=6)
    for place, row in enumerate(catalogue()["allen"]):
        subject = f"{699_000_000 + place}"  # DANDI's is not the specimen's
        probes = [probe["probe"] for probe in row["probes"]]
        silent = [probe["probe"] for probe in row["probes"] if "flaw" in probe]
        files[row["dandiset"]] |= _renamed(allen, subject, row["session"], probes, silent)
    for dandiset, names in MONKEYS.items():
        brain = {"layout": "generic", "hardware": "nhp", "brain": "macaque", "probes": 2}
        arrays = _template(folder / dandiset, **brain)
        for name in names:
            files[dandiset] |= _renamed(arrays, name, f"{name}-20090601")
    return files


def ibl_files(folder):
    """Bytes by path of IBL's sessions, two probes in each."""
    session = _template(folder / "ibl", layout="ibl", probes=2)
    subjects = {row["eid"]: row["subject"] for row in catalogue()["ibl"]}
    parts = [_renamed(session, subject, eid) for eid, subject in subjects.items()]
    return {path: data for part in parts for path, data in part.items()}


def write_private(folder):
    """What stands for the private recordings, under the sessions' names, and the packed mice."""
    comb = _template(folder / "comb", layout="generic", hardware="sinaps", shanks=2)
    arrays = _template(folder / "nhp", layout="generic", hardware="nhp", brain="macaque", probes=3)
    sinaps, macaque = (row["sessions"] for row in catalogue()["private"])
    for name in sinaps:
        _put(folder / "sinaps", _renamed(comb, name.rpartition("_")[0], name))
    for name in macaque:
        _put(folder / "macaque", _renamed(arrays, "monkey", name))
    write_pack(folder, "lf_compressed_all_bwm.h5")
    (folder / "who.csv").rename(folder / "bwm_insertions.csv")


def _put(folder, files):
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def _template(folder, **changes):
    """Paths of one session's files, by their names."""
    params = LabParams(subjects=1, **TINY, **changes)
    (paths,) = write_sessions(folder, params)
    return {path.name: path for path in paths}


def _renamed(template, subject, session, probes=(), silent=()):
    """The template's files as another session's: bytes by path."""
    first = min(template, key=len) if probes else next(iter(template))
    old_subject, old_session = first.removesuffix(".nwb").removeprefix("sub-").split("_ses-")
    old_session = old_session.partition("_")[0]
    there = sorted(name.split("_probe-")[1].split("_")[0] for name in template if "_probe-" in name)
    numbers = dict(zip(there, probes, strict=True)) if probes else {}
    made = {}
    for name, path in template.items():
        change = {old_session: session, old_subject: subject, **numbers}
        for old, new in change.items():
            name = name.replace(old, new)
        made[f"sub-{subject}/{name}"] = _changed(path, change, any(one in name for one in silent))
    return made


def _changed(path, change, silent):
    """A file's bytes with other ids inside, too."""
    held = io.BytesIO(path.read_bytes())
    with h5py.File(held, "r+") as file:
        places = []
        file.visit(places.append)
        for place in places:
            one = file[place]
            if isinstance(one, h5py.Dataset) and one.shape == () and one.dtype.kind == "O":
                text = one[()].decode()
                for old, new in change.items():
                    text = text.replace(old, new)
                one[()] = text
            elif place.endswith("electrodes/probe_id"):
                one[:] = [int(change[str(number)]) for number in one[:]]
            elif silent and place.endswith("_lfp_data/data"):
                one[:] = np.zeros(one.shape, one.dtype)
        for place in sorted(places, key=len, reverse=True):
            leaf = place.rpartition("/")[2]
            new = next((leaf.replace(o, n) for o, n in change.items() if o in leaf), leaf)
            if new != leaf:
                file.move(place, place[: len(place) - len(leaf)] + new)
        file.pop("general/subject/genotype", None)  # who is diseased is told by the names
        file["identifier"][()] = f"{path.name} {sorted(change.values())}"
    return held.getvalue()
