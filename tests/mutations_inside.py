"""Damage to the parts of an NWB file: tables, types, shapes; and how such parts are found."""

from contextlib import suppress

import h5py
import numpy as np
from mutations import kind

__all__: list[str] = []
ELECTRODES = "general/extracellular_ephys/electrodes"
TABLES = (ELECTRODES, "units", "intervals")
TEXTS = ("session_start_time", "session_description", "identifier", "general/session_id",
         "general/subject/subject_id", "general/subject/species", "general/lab",
         "general/institution", "timestamps_reference_time")  # fmt: skip


def datasets(file, *places):
    """Paths of the datasets below some groups, or of all."""
    found = []
    for place in places or ("/",):
        node = file.get(place)
        if isinstance(node, h5py.Group):
            node.visititems(
                lambda _, x: found.append(x.name) if isinstance(x, h5py.Dataset) else None
            )
    return sorted(set(found))


def timed(file):
    """Series with data, those of electrodes first."""
    found = []
    file.visititems(
        lambda _, x: (
            found.append(x.name)
            if isinstance(x, h5py.Group) and isinstance(x.get("data"), h5py.Dataset)
            else None
        )
    )
    return sorted(found, key=lambda path: ("electrodes" not in file[path], path))


def pick(rng, items):
    return items[int(rng.integers(len(items)))] if items else None


def pick_first(rng, items):
    """The first more often than all others together: what matters stands first."""
    return items[0] if items and rng.random() < 0.6 else pick(rng, items)


def inside(damage):
    """A kind of damage that is done with h5py."""

    def open_and_damage(path, rng):
        with h5py.File(path, "r+") as file:
            return damage(file, rng)

    open_and_damage.__name__ = damage.__name__
    return kind(open_and_damage)


def replace(file, path, **made):
    """Put a dataset in the place of another, with its attributes."""
    attributes = dict(file[path].attrs) if path in file else {}
    if path in file:
        del file[path]
    new = file.create_dataset(path, **made)
    for name, value in attributes.items():
        with suppress(Exception):
            new.attrs[name] = value
    return new


def important(file, rng):
    """A dataset that becomes rows, mostly; any other sometimes."""
    series = [f"{path}/{name}" for path in timed(file) for name in ("data", "timestamps",
              "electrodes", "starting_time", "channel_conversion")]  # fmt: skip
    groups = [[p for p in series if p in file], datasets(file, *TABLES),
              [p for p in TEXTS if isinstance(file.get(p), h5py.Dataset)],
              datasets(file)]  # fmt: skip
    return pick(rng, pick(rng, [group for group in groups if group]))


@inside
def missing_table(file, rng):
    groups = []
    file.visititems(lambda n, x: groups.append(x.name) if isinstance(x, h5py.Group) else None)
    tables = (*TABLES, "general", "acquisition", "processing", "general/extracellular_ephys")
    path = pick(rng, [p for p in (*tables, pick(rng, groups)) if p in file])
    del file[path]
    return f"{path} deleted"


@inside
def missing_dataset(file, rng):
    path = important(file, rng)
    del file[path]
    return f"{path} deleted"


@inside
def missing_attributes(file, rng):
    node = file[pick(rng, [important(file, rng), "/", *timed(file)[:3]])]
    for name in list(node.attrs):
        del node.attrs[name]
    return f"{node.name}: no attributes"


@inside
def wrong_type(file, rng):
    path = important(file, rng)
    shape = file[path].shape or ()
    shape = tuple(min(n, 5000) for n in shape)
    compound = np.dtype([("a", "i4"), ("b", "S3")])
    made = pick(rng, [
        {"dtype": "f4"}, {"dtype": "u1"}, {"dtype": "i8"}, {"dtype": ">f8"}, {"dtype": "c16"},
        {"dtype": "S7"}, {"dtype": h5py.string_dtype()}, {"dtype": compound}, {"dtype": "?"},
        {"dtype": h5py.ref_dtype}, {"dtype": h5py.regionref_dtype}, {"dtype": "V6"},
        {"dtype": h5py.vlen_dtype(np.int32)}, {"dtype": h5py.enum_dtype({"A": 1, "B": 2})},
        {"dtype": np.dtype(("f8", (3,)))}, {"dtype": "f2"}, {"dtype": "u8"},
        {"dtype": np.longdouble},
    ])  # fmt: skip
    replace(file, path, shape=shape, **made)
    return f"{path} is {made['dtype']} of {shape}"


@inside
def wrong_rank(file, rng):
    path = important(file, rng)
    old = file[path]
    shape = pick(rng, [(), (0,), (3,), (3, 0), (2, 3), (2, 3, 4), (1, 1, 1, 1), None])
    dtype = old.dtype if old.dtype.kind in "iufb" else h5py.string_dtype()
    replace(file, path, dtype=dtype, **({"shape": shape} if shape is not None else
                                        {"data": h5py.Empty("f8")} if dtype != h5py.string_dtype()
                                        else {"shape": ()}))  # fmt: skip
    return f"{path} has shape {shape}"


@inside
def shorter_than_its_table(file, rng):
    path = pick(rng, [p for p in datasets(file, *TABLES) if file[p].ndim and len(file[p]) > 1])
    if path is None:
        return None
    n = int(rng.integers(0, len(file[path])))
    replace(file, path, data=file[path][:n], dtype=file[path].dtype)
    return f"{path} cut to {n} entries"


@inside
def group_for_dataset(file, rng):
    path = important(file, rng)
    del file[path]
    file.create_group(path)["data"] = 1
    return f"{path} is a group"


@inside
def dataset_for_group(file, rng):
    places = [*timed(file)[:2], *TABLES, "general", "general/subject", "processing", "acquisition",
              "general/extracellular_ephys", "general/devices"]  # fmt: skip
    path = pick(rng, [p for p in places if p in file])
    del file[path]
    file[path] = pick(rng, [1.0, "text", [1, 2, 3], h5py.Empty("f8")])
    return f"{path} is a dataset"


@inside
def wrong_dimensions_of_all(file, rng):
    """A table whose every column, ids too, is a scalar, empty, or two-dimensional."""
    table = file.get(pick(rng, [p for p in TABLES[:2] if p in file] or ["units"]))
    if not isinstance(table, h5py.Group):
        return None
    shape = pick(rng, [(), (0,), (4, 4), (1,)])
    for name in list(table):
        if isinstance(table.get(name), h5py.Dataset):
            old = table[name].dtype
            dtype = old if old.kind in "iufS" else h5py.string_dtype()
            replace(file, table[name].name, shape=shape, dtype=dtype)
    return f"{table.name}: every column of shape {shape}"
