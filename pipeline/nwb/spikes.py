"""Spike times out of a file."""

from os import PathLike

import numpy as np
import pandas as pd

from ..recording import Spikes
from .channels import read_channels
from .chunks import read_rows
from .errors import ReadError
from .layouts import layout_of
from .open import open_nwb
from .sizes import check_size
from .units import read_units, units_table


def read_spikes(source: str | PathLike[str]) -> Spikes:
    """Every unit's spike times (s, session clock), sorted, and one row about each unit.

    Raises
    ------
    ReadError
        If the file has no units, or they were cut apart from their index.
    """
    with open_nwb(source) as file:
        layout = layout_of(file)
        _, channels = read_channels(layout)
        units = read_units(layout, channels)
        table = units_table(layout)
        if table is None or not units:
            reason = (
                layout.warnings[-1] if table is not None and layout.warnings else "no units table"
            )
            raise ReadError(
                "read", f"no spikes in {source} ({reason})", "ingest its LFP only, or refetch it"
            )
        bounds = table.bounds("spike_times")
        data = check_size(table.group["spike_times"], whole=True)
        times = read_rows(data, 0, len(data)).astype(np.float64)
    regions = {c.channel: c.location for c in channels}
    rows = [
        {
            "unit": u.unit,
            "probe": u.probe,
            "channel": u.channel,
            "region": u.region_raw if u.channel is None else regions.get(u.channel),
        }
        for u in units
    ]
    trains = [np.sort(times[a:b]) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    return Spikes(trains, pd.DataFrame(rows, columns=["unit", "probe", "channel", "region"]))
