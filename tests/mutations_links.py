"""Damage by links: in circles, without end, and out of the file."""

from contextlib import suppress

import h5py
import numpy as np
from mutations_inside import ELECTRODES, important, inside, pick, pick_first, replace, timed

__all__: list[str] = []


@inside
def link_cycle(file, rng):
    place = pick(rng, [p for p in ("acquisition", "processing", "intervals", "general", ELECTRODES,
                 "units", *timed(file)[:2]) if isinstance(file.get(p), h5py.Group)])  # fmt: skip
    group = file[place]
    which = int(rng.integers(6))
    if which == 0:
        group["again"] = file["/"]
    elif which == 1:
        group["again"] = group
    elif which == 2:
        group["a"], group["b"] = h5py.SoftLink("b"), h5py.SoftLink("a")
    elif which == 3:
        group["a"] = h5py.SoftLink("a/a/a")
    elif which == 4:
        name = pick(rng, list(group) or ["x"])
        if name in group:
            del group[name]
        group[name] = h5py.SoftLink(group.name + "/" + name)
    else:
        group["up"] = h5py.SoftLink("/")
        file["down"] = h5py.SoftLink(group.name)
    return f"{place}: cycle {which}"


@inside
def many_groups(file, rng):
    """Groups without end: deep, wide, or two links to the next at every step."""
    root = file.require_group(pick(rng, ["acquisition", "processing", "intervals", "general"]))
    which, node = int(rng.integers(3)), root.create_group("pile")
    for i in range(400 if which else 3000):
        if which == 0:
            root.create_group(f"wide{i}")
        else:
            deeper = node.create_group("n")
            if which == 2:
                node["m"] = deeper
            node = deeper
    return f"{root.name}: pile {which}"


@inside
def link_outside(file, rng):
    """An external link, absolute or up the tree, to another NWB file or to a pipe."""
    folder = file.filename.rpartition("/")[0] + "/outside"
    where = pick(rng, [folder, "outside", "../" + folder.split("/")[-2] + "/outside"])
    path = important(file, rng)
    if rng.random() < 0.3 and timed(file):
        path = pick_first(rng, timed(file))
    target = _twin(file[path])
    del file[path]
    name = "pipe" if rng.random() < 0.2 else "other.nwb"
    file[path] = h5py.ExternalLink(f"{where}/{name}", target)
    return f"{path} leads to {where}/{name}:{target}"


def _twin(node):
    if isinstance(node, h5py.Group):
        return "/series" if "data" in node else "/"
    if node.dtype.kind in "iuf":
        return "/signal" if node.ndim == 2 else "/numbers"
    return "/texts" if node.ndim else "/text"


@inside
def bytes_from_outside(file, rng):
    """A dataset whose bytes lie in another file: external storage, or a virtual dataset."""
    folder = file.filename.rpartition("/")[0] + "/outside"
    path = important(file, rng)
    old = file[path]
    text = old.dtype.kind not in "iuf"
    shape = tuple(min(n, 400) for n in old.shape) if old.shape else (1,)
    if rng.random() < 0.5:
        dtype = "S32" if text else old.dtype
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        where = pick(rng, [f"{folder}/raw.bin", "outside/raw.bin"])
        replace(file, path, shape=shape, dtype=dtype, external=[(where, 0, size)])
        return f"{path} is stored in {where}"
    layout = h5py.VirtualLayout((min(400, shape[0]),), h5py.string_dtype() if text else "f8")
    layout[:] = h5py.VirtualSource(
        f"{folder}/other.nwb", "texts" if text else "numbers", (400 if text else 20_000,),
        h5py.string_dtype() if text else "f8")[: layout.shape[0]]  # fmt: skip
    attributes = dict(old.attrs)
    del file[path]
    made = file.create_virtual_dataset(path, layout)
    for name, value in attributes.items():
        with suppress(Exception):
            made.attrs[name] = value
    return f"{path} is a view of {folder}/other.nwb"
