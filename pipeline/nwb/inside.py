"""An HDF5 file without what lies outside of it.

HDF5 follows external links, external storage and virtual datasets to any path of the machine that
reads: a file from elsewhere could show `/etc/passwd` as its session's name. Here such a member is
not there, and `left_out` says where it would have led.
"""

import os
from typing import Any

import h5py

_HOPS = 16  # soft links in a row, as HDF5 itself follows them


class Inside(h5py.Group):
    """A group whose members all lie in its own file."""

    left_out: dict[str, str]
    _opened: dict[str, Any] | None = None  # members by name, where none can change

    def __getitem__(self, name: Any) -> Any:
        if isinstance(name, bytes | str):
            return self._walk(_text(name), _HOPS)
        return self._own(super().__getitem__(name))

    def get(self, name: Any, default: Any = None, getclass=False, getlink=False, **how: Any) -> Any:
        """A member, or ``default`` where there is none in this file; else as h5py has it."""
        if getclass or getlink:
            return super().get(name, default, getclass=getclass, getlink=getlink, **how)
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: Any) -> bool:
        return self.get(name) is not None

    def _walk(self, path: str, hops: int) -> Any:
        node: Any = self._own(super().__getitem__("/")) if path.startswith("/") else self
        for part in path.split("/"):
            if part not in ("", "."):
                if not isinstance(node, Inside):
                    raise KeyError(f"{path}: {node.name} is no group")
                node = node._step(part, hops)
        return node

    def _step(self, name: str, hops: int) -> Any:
        if self._opened is None:
            return self._open(name, hops)
        if name not in self._opened:
            self._opened[name] = self._open(name, hops)
        return self._opened[name]

    def _open(self, name: str, hops: int) -> Any:
        if not self.id.links.exists(self._e(name)):
            raise KeyError(f"{self.name} has no {name!r}")
        kind = self.id.links.get_info(self._e(name)).type
        if kind == h5py.h5l.TYPE_SOFT and hops:  # opened by its own name once it is known to stay
            self._walk(_text(self.id.links.get_val(self._e(name))), hops - 1)
        elif kind != h5py.h5l.TYPE_HARD:
            raise self._leave_out(f"{self.name.rstrip('/')}/{name}", _target(self, self._e(name)))
        try:
            node = super().__getitem__(name)
        except KeyError as error:
            if kind == h5py.h5l.TYPE_HARD:  # it is there and cannot be opened: not absent, damaged
                raise OSError(*error.args) from error
            raise
        return self._own(node)

    def _own(self, node: Any) -> Any:
        if isinstance(node, h5py.Group):
            node = Inside(node.id)
            node.left_out = self.left_out
            node._opened = None if self._opened is None else {}
        elif isinstance(node, h5py.Dataset):
            outside = _storage_outside(node)
            if outside is not None:
                raise self._leave_out(node.name, outside)
        return node

    def _leave_out(self, path: str, target: str) -> KeyError:
        self.left_out[path.strip("/")] = target
        return KeyError(f"{path} leads out of the file, to {target}")


class InsideFile(Inside, h5py.File):
    """An open file whose members all lie in it.

    Attributes
    ----------
    left_out
        What was asked for and lies elsewhere: path inside to file outside.
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.left_out = {}
        self._opened = {} if self.mode == "r" else None


def _text(path: bytes | str) -> str:
    """A path as text; what is none leads nowhere."""
    try:
        return path.decode() if isinstance(path, bytes) else path
    except UnicodeDecodeError:
        raise KeyError(f"{path!r} is no text") from None


def _target(group: h5py.Group, name: bytes) -> str:
    """File that an external link names; any other kind of link is a plugin's own."""
    if group.id.links.get_info(name).type != h5py.h5l.TYPE_EXTERNAL:
        return "nobody knows where"
    return os.fsdecode(group.id.links.get_val(name)[0])


def _storage_outside(data: h5py.Dataset) -> str | None:
    made = data.id.get_create_plist()
    if made.get_layout() == h5py.h5d.VIRTUAL:
        names = {made.get_virtual_filename(i) for i in range(made.get_virtual_count())} - {"."}
        return min(names, default=None)
    return os.fsdecode(made.get_external(0)[0]) if made.get_external_count() else None
