"""Allen Institute Neuropixels files: one of the session, one of LFP for each probe."""

import re

import h5py

from .layout import ELECTRODES, Layout
from .tables import as_number, children, kind_of


class AllenLayout(Layout):
    """LFP in volts with explicit timestamps; CCF-registered acronyms in ``location``.

    Source: AllenSDK's writer, as described by the Visual Coding Neuropixels white paper.
    """

    name = "allen"
    coordinate_frame = "Allen CCFv3 (x AP, y DV, z LR)"
    missing_coordinate = -1.0
    label_evidence = "histology"
    label_source = "Allen release: probe track registered to CCFv3"
    index_columns = ("local_index", "probe_channel_number")

    @classmethod
    def matches(cls, file: h5py.File) -> bool:
        """EcephysProbe devices, or the electrode columns only Allen's writer makes."""
        places = ("general/devices", "general/extracellular_ephys")
        kinds = {kind_of(node) for place in places for _, node in children(file, place)}
        if kinds & {"EcephysProbe", "EcephysElectrodeGroup"}:
            return True
        columns = dict(children(file, ELECTRODES))
        return "probe_vertical_position" in columns and bool(
            {"local_index", "probe_channel_number"} & set(columns)
        )

    def declared_rate(self, series: h5py.Group) -> float | None:
        """The rate in the electrode group's metadata (Hz), half the true one in releases."""
        rates = [
            as_number(node.attrs["lfp_sampling_rate"])
            for _, node in children(self.file, "general/extracellular_ephys")
            if "lfp_sampling_rate" in node.attrs
        ]
        declared = super().declared_rate(series)
        return declared or (rates[0] if len(set(rates)) == 1 else None)

    def invalid_scope(self, tags: list[str], probes: list[str]) -> str:
        """``tags`` is [scope, id, label]: all_probes, probeX, or what is no recording at all."""
        text = " ".join(tags).lower()
        if "all_probes" in text:
            return "all"
        probe = re.search(r"probe_?([a-z0-9]+)", text)
        named = {f"probe{probe[1]}"} if probe else set()
        for name in [*probes, *tags]:
            if name.lower().replace("_", "") in named:
                return name
        return next((s for s in ("stimulus", "optotagging") if s in text), "all")
