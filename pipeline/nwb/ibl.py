"""International Brain Laboratory files on DANDI: the new names and the legacy ones."""

import re

import h5py

from .layout import ELECTRODES, Layout, Localization
from .summary import Evidence
from .tables import Table, as_text, children, read_text

_NEW = re.compile(r"^ElectricalSeriesProbe\d\d(Shank\d)?(AP|LF)$")
_LEGACY = re.compile(r"^ElectricalSeries(Probe\d\d)?(Ap|Lf)$")
_LEGACY_LABELS = ("beryl_location", "cosmos_location", "ibl_location", "atlas_id")


class IblLayout(Layout):
    """384 channels of int16 per probe; full CCF names in ``location``, acronyms beside it."""

    name = "ibl"
    coordinate_frame = "Allen CCFv3 (x AP, y DV, z LR)"
    label_source = "location column; no localization table, so histology is not confirmed"
    index_columns = ("index_on_probe", "channel_number", "contact_index")
    unit_region_columns = ("brain_region", "location", "beryl_location", "cosmos_location")

    @classmethod
    def matches(cls, file: h5py.File) -> bool:
        """IBL series names, its atlas columns, or its name as institution."""
        names = [name for name, _ in children(file, "acquisition")]
        if any(_NEW.match(name) or _LEGACY.match(name) for name in names):
            return True
        if {"beryl_location", "cosmos_location", "ibl_x"} & set(dict(children(file, ELECTRODES))):
            return True
        return "international brain lab" in (read_text(file, "general/institution") or "").lower()

    def evidence(self, electrodes: Table) -> tuple[Evidence, str]:
        """Histology where IBL's own atlas columns or the localization tables stand."""
        if "beryl_location" in electrodes or "ibl_x" in electrodes:
            return "histology", "IBL legacy file: atlas columns of the aligned insertion"
        return super().evidence(electrodes)

    def region_of(self, raw: str | None) -> str | None:
        """ "root" is what IBL writes when no region was assigned."""
        return None if raw is not None and raw.strip().lower() == "root" else raw

    def localizations(self) -> dict[int, Localization]:
        """The localization tables, or the atlas columns of a legacy electrode table."""
        found = super().localizations()
        electrodes = self.electrodes()
        if found or electrodes is None or "beryl_location" not in electrodes:
            return found
        columns = {name: electrodes.values(name) for name in _LEGACY_LABELS if name in electrodes}
        xyz = [electrodes.numbers(axis) for axis in "xyz"]
        for row in range(len(electrodes)):
            point = tuple(axis[row] for axis in xyz)
            labels = {n: as_text(v[row]) or "" for n, v in columns.items() if v is not None}
            found[row] = Localization(
                None,
                None if None in point else point,
                labels={name: label for name, label in labels.items() if label},
            )
        return found
