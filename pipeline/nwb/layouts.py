"""The registry of layouts."""

import h5py

from .allen import AllenLayout
from .ibl import IblLayout
from .layout import Layout

LAYOUTS: tuple[type[Layout], ...] = (AllenLayout, IblLayout, Layout)
"""Tried in this order; the last takes any file."""


def layout_of(file: h5py.File) -> Layout:
    """The first layout that a file matches, ready to read it."""
    return next(layout for layout in LAYOUTS if layout.matches(file))(file)
