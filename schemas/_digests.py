"""What says that stored content is still what was stored."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

BLOCK = 1 << 22  # bytes


def digest_arrays(arrays: Mapping[str, np.ndarray | None]) -> str:
    """sha256 over names, shapes, types and content, in the order given; None is left out."""
    total = hashlib.sha256()
    for name, array in arrays.items():
        if array is not None:
            total.update(f"{name}{array.shape}{array.dtype}".encode())
            for block in blocks_of(array):
                total.update(block)
    return total.hexdigest()


def digest_content(array: np.ndarray) -> str:
    """sha256 of what an array holds, row by row, without its shape."""
    total = hashlib.sha256()
    for block in blocks_of(array):
        total.update(block)
    return total.hexdigest()


def digest_files(files: Iterable[tuple[str, Iterable[bytes]]]) -> str:
    """sha256 over names and content of files, whatever their order."""
    lines = []
    for name, content in files:
        one = hashlib.sha256()
        for block in content:
            one.update(block)
        lines.append(f"{name} {one.hexdigest()}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def digest_folder(folder: Path) -> str:
    """`digest_files` of the files of a folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return digest_files(
        (p.relative_to(folder).as_posix(), read_blocks(p.open("rb"))) for p in found
    )


def read_blocks(file) -> Iterable[bytes]:
    """The bytes of an open file in blocks; closes it."""
    with file:
        while block := file.read(BLOCK):
            yield block


def blocks_of(array: np.ndarray) -> Iterable[np.ndarray]:
    """An array in pieces of a few MB, contiguous, so that a memory map is never held whole.

    Anything else with ``shape``, ``dtype`` and a method ``blocks`` gives its own.
    """
    if not isinstance(array, np.ndarray):
        yield from array.blocks()
        return
    if array.ndim == 0 or array.nbytes <= BLOCK:
        yield np.ascontiguousarray(array)
        return
    step = max(1, BLOCK * len(array) // array.nbytes)
    for start in range(0, len(array), step):
        yield np.ascontiguousarray(array[start : start + step])
