"""NWB files: open (disk or URL), summarise, read signals, write regions back.

Names are imported when first used, so that a child process starts light.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "ContentChanged": "errors",
    "FileSummary": "summary",
    "LAYOUTS": "layouts",
    "LfpReader": "lfp",
    "ReadError": "errors",
    "TransientReadError": "errors",
    "conversion_lines": "neuroconv",
    "layout_of": "layouts",
    "open_lfp": "lfp",
    "open_nwb": "open",
    "read_behavior": "behavior",
    "read_spikes": "spikes",
    "read_summary": "read",
    "read_summary_isolated": "isolate",
    "write_regions": "write",
    "write_regions_csv": "write",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
