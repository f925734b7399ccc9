"""What a file declares against what it can hold: terabytes of nothing, gigabytes of zeros.

A few kilobytes can declare any shape, and deflate packs zeros a thousand to one. Whatever is read
whole is measured first, so that such a file costs an error and no memory.
"""

from math import prod

import h5py

from .errors import ReadError

MOST_ROWS = 1_000_000
"""Rows of one table; each becomes a row of the database."""
MOST_COLUMN_BYTES = 256 << 20
"""Size of a column of a table."""
MOST_CHUNK_BYTES = 256 << 20
"""Size of one chunk, which can only be decoded whole."""
MOST_CHANNELS = 100_000
"""Columns of one series; the largest array of today has some 6,000."""
_DEFLATE = 1100  # no deflated byte stands for more
_PACKED, _LARGE = 200, 64 << 20  # how tightly times or signals of this size (bytes) are ever packed


def check_size(data: h5py.Dataset, *, whole: bool = False) -> h5py.Dataset:
    """The dataset, if a file of this size can hold it.

    Parameters
    ----------
    whole
        Whether all of it will be read: then it must not be nearly nothing but zeros either.

    Raises
    ------
    ReadError
        If it declares more than deflate can make of the file's bytes, has chunks of more than
        256 MB, or is packed far tighter than any measurement.
    """
    size = prod(data.shape or (0,)) * data.dtype.itemsize
    if size <= MOST_CHUNK_BYTES // 4:
        return data
    stored = data.file.id.get_filesize()
    if size > _DEFLATE * stored:
        raise _refuse(data, f"declares {size:,} bytes, and the file has {stored:,}")
    chunk = prod(data.chunks or (0,)) * data.dtype.itemsize
    if chunk > MOST_CHUNK_BYTES:
        raise ReadError(
            "read", f"{data.name} has chunks of {chunk:,} bytes; {MOST_CHUNK_BYTES:,} at most are "
            "read", "write the file anew with chunks of some megabytes",
        )  # fmt: skip
    if whole and size > _LARGE and data.chunks and size > _PACKED * data.id.get_storage_size():
        stored = data.id.get_storage_size()
        raise _refuse(data, f"unpacks {stored:,} bytes to {size:,}")
    return data


def check_column(data: h5py.Dataset) -> h5py.Dataset:
    """The dataset, if it is no larger than a column of a table may be."""
    size = prod(data.shape or (0,)) * data.dtype.itemsize
    if size > MOST_COLUMN_BYTES:
        raise _refuse(data, f"has {size:,} bytes, a column {MOST_COLUMN_BYTES:,} at most")
    return check_size(data)


def check_count(name: str, n: int, most: int, what: str) -> int:
    """The number, if there are not more than can be meant."""
    if n > most:
        raise ReadError(
            "read", f"{name} has {n:,} {what}; {most:,} at most are read",
            "fetch the file again if it is damaged, or leave out what is no recording",
        )  # fmt: skip
    return n


def _refuse(data: h5py.Dataset, what: str) -> ReadError:
    return ReadError(
        "read", f"{data.name} {what}: that is no measurement",
        "fetch the file again, or look for another copy",
    )  # fmt: skip
