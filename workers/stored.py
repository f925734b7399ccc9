"""Stored objects read once, from front to back, without filling memory or cache."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from schemas._digests import BLOCK, read_blocks


class StoredArray:
    """A stored ``.npy`` file as `schemas._digests` wants an array: shape, type, and blocks.

    Raises
    ------
    FileNotFoundError
        If the object is gone.
    ValueError
        If it is no array, or another shape or type than its row says, or cut short.
    """

    def __init__(self, reference: Any) -> None:
        self._reference = reference
        self.shape, self.dtype = reference.shape, reference.dtype
        self.nbytes = reference.nbytes

    def blocks(self) -> Iterator[bytes | np.ndarray]:
        """The content in C order."""
        with self._reference._backend.open(self._reference.path) as file:
            version = np.lib.format.read_magic(file)
            header = getattr(np.lib.format, f"read_array_header_{version[0]}_{version[1]}")
            shape, fortran, dtype = header(file)
            if (shape, dtype) != (self.shape, self.dtype):
                raise ValueError(
                    f"it holds {shape} {dtype}, its row says {self.shape} {self.dtype}"
                )
            if fortran and len(shape) > 1:
                flat = np.frombuffer(file.read(), dtype)
                yield np.ascontiguousarray(flat.reshape(shape, order="F"))
                return
            found = 0
            while block := file.read(BLOCK):
                found += len(block)
                yield block
        if found != self.nbytes:
            raise ValueError(f"it holds {found} bytes of {self.nbytes}")


def files_of(reference: Any) -> dict[str, Iterable[bytes]]:
    """Name and content of each file of a stored folder.

    Raises
    ------
    FileNotFoundError
        If nothing is stored there.
    """
    backend = reference._backend
    base = backend._full_path(reference.path)
    backend.fs.invalidate_cache()
    found = backend.fs.find(base)
    if not found:
        raise FileNotFoundError(f"nothing is stored under {backend.get_url(reference.path)}")
    return {
        path[len(base) :].lstrip("/"): read_blocks(backend.fs.open(path, "rb")) for path in found
    }
