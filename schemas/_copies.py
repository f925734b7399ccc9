"""How many different signals the regions of a study rest on."""

from collections.abc import Iterable

import pandas as pd

from ._roles import members_windows


def count_signals(split: str, names: Iterable[str]) -> pd.DataFrame:
    """Channels and independent signals of each region, over these windows of a split.

    The columns are those of ``independent_channels``; windows without LFP are left out.
    """
    from pipeline.evaluation.copies import Recorded, correlate_channels, independent_channels

    recorded = []
    for _, windowset in sorted(members_windows(split, names).items()):
        if windowset.lfp is None:
            continue
        recorded.append(
            Recorded(
                windowset.session,
                f"{windowset.source}/{windowset.subject}",
                windowset.channels["region"].to_numpy(dtype=object),
                correlate_channels(windowset.lfp, windowset.valid),
            )
        )
    return independent_channels(recorded)
