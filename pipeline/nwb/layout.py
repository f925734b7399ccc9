"""Where the NWB standard puts things; a provider's layout overrides only what differs."""

import re
from dataclasses import dataclass, field

import h5py
import numpy as np

from .clock import is_rate
from .locations import Unit, evidence_in
from .summary import Evidence
from .tables import Table, as_number, as_text, children, read_text, walk_groups

ELECTRODES = "general/extracellular_ephys/electrodes"


@dataclass(frozen=True)
class Localization:
    """Where one electrode was found to be, from a table beside the electrodes."""

    region: str | None = None
    xyz: tuple[float, float, float] | None = None
    frame: str = "Allen CCFv3 (x AP, y DV, z LR)"
    source: str = "localization table of the file (ndx-anatomical-localization)"
    labels: dict[str, str] = field(default_factory=dict)


class Layout:
    """The standard's own conventions. One instance reads one open file.

    Attributes
    ----------
    file
        The open file.
    warnings
        What was found odd and how it was read all the same.
    """

    name = "generic"
    coordinate_frame = "NWB (x posterior, y inferior, z right)"
    coordinate_unit: Unit = "um"
    missing_coordinate: float | None = None
    label_evidence: Evidence = "target"
    label_source = "location column of the electrode table, origin not stated"
    index_columns: tuple[str, ...] = ("index_on_probe", "probe_channel_number", "local_index")
    rel_x_columns: tuple[str, ...] = ("rel_x", "probe_horizontal_position")
    rel_y_columns: tuple[str, ...] = ("rel_y", "probe_vertical_position", "dist_from_tip_um")
    shank_columns: tuple[str, ...] = ("shank", "shank_id", "shank_ids", "shank_index", "shank_row")
    good_columns: tuple[str, ...] = ("valid_data", "good", "is_good")
    bad_columns: tuple[str, ...] = ("bad", "bad_channel", "is_bad", "is_bad_channel")
    peak_columns: tuple[str, ...] = ("peak_channel_id", "max_electrode", "peak_electrode")
    unit_region_columns: tuple[str, ...] = ("location", "brain_region", "region", "brain_area")

    def __init__(self, file: h5py.File):
        self.file = file
        self.warnings: list[str] = []

    @classmethod
    def matches(cls, file: h5py.File) -> bool:
        """Whether a file follows this layout; the standard's takes any."""
        return True

    @property
    def species(self) -> str:
        """Species as written, empty if it is not."""
        return read_text(self.file, "general/subject/species") or ""

    def electrodes(self) -> Table | None:
        """The electrode table, None if the file has none."""
        group = self.file.get(ELECTRODES)
        return Table(group, self.warnings) if isinstance(group, h5py.Group) else None

    def region_of(self, raw: str | None) -> str | None:
        """The text of ``location`` as this provider means it."""
        return raw

    def evidence(self, electrodes: Table) -> tuple[Evidence, str]:
        """Where the location column comes from, in a word and in words."""
        described = evidence_in(electrodes.description("location"))
        if described:
            return described, electrodes.description("location")[:200]
        return self.label_evidence, self.label_source

    def declared_rate(self, series: h5py.Group) -> float | None:
        """The sampling rate written in the file (Hz), which may be wrong."""
        start = series.get("starting_time")
        rate = None if start is None else start.attrs.get("rate")
        number = as_number(rate)
        if rate is not None and not is_rate(number):
            self.warnings.append(f"{series.name.strip('/')}: a rate of {str(rate)[:40]} is none")
            return None
        return number

    def is_spike_band(self, path: str, paths: list[str]) -> bool:
        """Whether a series is the spike band of a probe whose LF band is in the file too."""
        stem = re.sub(r"AP$|Ap$|ap$", "", path.rpartition("/")[2])
        names = {p.rpartition("/")[2] for p in paths}
        return stem != path.rpartition("/")[2] and bool(
            names & {stem + band for band in ("LF", "Lf", "lf", "LFP")}
        )

    def invalid_scope(self, tags: list[str], probes: list[str]) -> str:
        """What an invalid interval concerns: a probe's name or "all"."""
        return next((tag for tag in tags if tag in probes), "all")

    def localizations(self) -> dict[int, Localization]:
        """Per electrode row, what a table of anatomical localizations says.

        Reads ndx-anatomical-localization by its shape (``localized_entity`` and
        ``brain_region``), so that the extension need not be installed. Regions come from the
        CCF table where there is one.
        """
        found: dict[int, Localization] = {}
        tables = [
            group
            for name, node in children(self.file, "general")
            if isinstance(node, h5py.Group) and name != "extracellular_ephys"
            for group in [node, *walk_groups(node, 2)]
            if "localized_entity" in group and "brain_region" in group
        ]
        for group in sorted(tables, key=lambda g: "ccf" not in g.name.lower()):
            _add_localizations(found, Table(group, self.warnings))
        return found


def _add_localizations(found: dict[int, Localization], table: Table) -> None:
    rows = table.values("localized_entity")
    regions = table.texts("brain_region") or []
    if rows is None or rows.dtype.kind not in "iu":
        return
    xyz = np.array([table.numbers(axis) for axis in "xyz"], dtype=float).T
    extra = {
        column: table.group[column][()]
        for column in table.columns
        if column.endswith(("_location", "atlas_id")) and table.group[column].ndim == 1
    }
    for i, (row, region) in enumerate(zip(rows.tolist(), regions, strict=False)):
        old = found.get(row, Localization())
        labels = {name: as_text(values[i]) or "" for name, values in extra.items()}
        ccf = "ccf" in table.name.lower() and bool(np.isfinite(xyz[i]).all())
        found[row] = Localization(
            old.region or region or None,
            old.xyz or (tuple(xyz[i].tolist()) if ccf else None),
            labels={**{k: v for k, v in labels.items() if v}, **old.labels},
        )
