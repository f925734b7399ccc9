"""Damage to values: clocks, rates, attributes, texts, names, numbers."""

from contextlib import suppress

import h5py
import numpy as np
from mutations import MARK
from mutations_inside import (
    ELECTRODES,
    TABLES,
    TEXTS,
    datasets,
    inside,
    pick,
    pick_first,
    replace,
    timed,
)  # fmt: skip

__all__: list[str] = []
HOSTILE = (
    "'; DROP TABLE session; --", '" OR 1=1 --', "%s%d%(x)s%", "{0}{x!r}{{", "../../../etc/passwd",
    "/etc/passwd", "a\x00b", "line\nbreak\r\n\ttab", "x" * 10_000, "\u202eλ猫🐭\u0301", "\\\\n\\'",
    "", " ", "NaN", "[red]x[/red]", "<script>x</script>", "`id`$(id)", "con.txt:stream",
)  # fmt: skip


@inside
def wrong_times(file, rng):
    """NaN, infinite, backward, constant or absurd times, anywhere times are."""
    series = [f"{p}/timestamps" for p in timed(file) if f"{p}/timestamps" in file]
    columns = [p for p in datasets(file, *TABLES) if p.endswith(("_time", "_times", "intervals"))]
    path = pick(rng, pick(rng, [group for group in (series, columns) if group]) or [])
    if path is None or file[path].dtype.kind != "f" or not file[path].size:
        return None
    return f"{path}: {_damage_numbers(file[path], rng)}"


def _damage_numbers(data, rng):
    values = data[()]
    flat = values.reshape(-1)
    some = rng.integers(0, len(flat), max(1, len(flat) // int(rng.integers(1, 30))))
    which = pick(rng, ["nan", "all nan", "inf", "-inf", "first inf", "last nan", "shuffled",
                       "backward", "constant", "huge", "tiny steps", "1e308", "jump"])  # fmt: skip
    if which in ("nan", "inf", "-inf"):
        flat[some] = float(which)
    elif which == "all nan":
        flat[:] = np.nan
    elif which in ("first inf", "last nan"):
        flat[0 if which == "first inf" else -1] = np.inf if which == "first inf" else np.nan
    elif which == "shuffled":
        rng.shuffle(flat)
    elif which == "backward":
        flat[:] = flat[::-1].copy()
    elif which == "constant":
        flat[:] = flat[0]
    elif which == "huge":
        flat *= 1e15
    elif which == "1e308":
        flat[some] = 1.7e308
    elif which == "tiny steps":
        flat[:] = np.arange(len(flat)) * 1e-300
    else:
        flat[len(flat) // 2 :] += 1e12
    data[...] = values
    return which


@inside
def wrong_rate(file, rng):
    path = pick_first(rng, timed(file))
    if path is None:
        return None
    node = file[path]
    value = pick(rng, [-1250.0, 0.0, np.nan, np.inf, -np.inf, 1e300, 1e-300, "fast", [1.0, 2.0],
                       5e-324, 2**62, h5py.Empty("f8")])  # fmt: skip
    if "starting_time" not in node:
        if "timestamps" in node:
            del node["timestamps"]
        node["starting_time"] = 0.0
    if rng.random() < 0.7:
        node["starting_time"].attrs["rate"] = value
        return f"{path}: rate {value}"
    value = pick(rng, [np.nan, np.inf, 1e300, -1e18])
    rate = node["starting_time"].attrs.get("rate", 1000.0)
    del node["starting_time"]
    node.create_dataset("starting_time", data=value).attrs["rate"] = rate
    return f"{path}: starts at {value}"


@inside
def wrong_attribute(file, rng):
    path = pick_first(rng, timed(file))
    node = file[
        pick(rng, [p for p in (path and path + "/data", path, "/", ELECTRODES) if p and p in file])
    ]
    name = pick(rng, ["conversion", "offset", "unit", "neurodata_type", "nwb_version", "colnames",
                      "description", "comments", "resolution"])  # fmt: skip
    value = pick(rng, [np.nan, np.inf, 1e300, -1, "text", [1, 2], np.zeros(3), h5py.Empty("f8"),
                       b"\xff\xfe\x00x", "x" * 60_000, 2**63 - 1, np.zeros((0,)), MARK.lower(),
                       np.array([("a", 1)], dtype=[("s", "S3"), ("n", "i4")])])  # fmt: skip
    with suppress(OSError, ValueError, TypeError):  # HDF5 keeps attributes below 64 kB
        node.attrs[name] = value
    return f"{node.name}@{name} = {str(value)[:40]!r}"


@inside
def hostile_text(file, rng):
    path = pick(rng, [p for p in (*TEXTS, *_text_columns(file)) if p in file])
    if path is None:
        return None
    value = pick(rng, HOSTILE)
    if "\x00" in value:
        value = value.encode()
    old = file[path]
    if isinstance(old, h5py.Dataset) and old.ndim:
        dtype = "S20" if isinstance(value, bytes) else h5py.string_dtype()
        with suppress(TypeError, ValueError, OSError):
            replace(file, path, data=[value] * len(old), dtype=dtype)
    else:
        replace(file, path, data=np.bytes_(value) if isinstance(value, bytes) else value)
    return f"{path} = {str(value)[:40]!r}"


def _text_columns(file):
    return [p for p in datasets(file, *TABLES)
            if file[p].ndim == 1 and h5py.check_string_dtype(file[p].dtype)]  # fmt: skip


@inside
def broken_text(file, rng):
    """Bytes that are no UTF-8, in a text."""
    path = pick(rng, [p for p in (*TEXTS, *_text_columns(file)) if p in file])
    if path is None:
        return None
    old, raw = file[path], np.bytes_(b"\xff\xfe\xed\xa0\x80\x01caf\xe9")
    shape = old.shape if isinstance(old, h5py.Dataset) else ()
    replace(file, path, data=np.full(shape, raw), dtype="S12")
    return f"{path} is no UTF-8"


@inside
def hostile_name(file, rng):
    """A series, group or column with a name that is no name."""
    path = pick(rng, [p for p in (*timed(file)[:3], ELECTRODES + "/x", "acquisition",
                *_text_columns(file)[:3]) if p in file])  # fmt: skip
    if path is None:
        return None
    name = pick(rng, [n.replace("/", "∕").replace("\x00", "") or "." for n in HOSTILE])
    parent = file[path].parent
    with suppress(ValueError, OSError, RuntimeError):
        parent.move(path.rpartition("/")[2], name[:5000])
    return f"{path} is called {name[:40]!r}"


@inside
def wrong_numbers(file, rng):
    """Ids, indices and coordinates out of all bounds."""
    places = [*datasets(file, *TABLES), *[f"{series}/electrodes" for series in timed(file)]]
    found = [file.get(place) for place in places]
    found = [x.name for x in found if isinstance(x, h5py.Dataset) and x.dtype.kind in "iuf"]
    path = pick(rng, [place for place in found if file[place].size])
    if path is None:
        return None
    shape = file[path].shape
    value, dtype = pick(rng, [
        (-1, "i8"), (2**63 - 1, "i8"), (-(2**63), "i8"), (2**64 - 1, "u8"), (np.nan, "f8"),
        (np.inf, "f8"), (1e308, "f8"), (2**31, "i8"), (0, "i8"), (255, "u1"), (1e20, "f8"),
        (0.5, "f8"), (True, "?"), (np.nan, "f2"),
    ])  # fmt: skip
    values = file[path][()].astype(dtype)
    values.reshape(-1)[rng.integers(0, values.size, max(1, values.size // 3))] = value
    if rng.random() < 0.3:
        values[...] = value
    replace(file, path, data=values)
    return f"{path}: {value} of {dtype}, {shape}"
