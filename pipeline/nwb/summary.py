"""What Ingestion stores of one NWB file: everything but the signals, as plain JSON-able values."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Evidence = Literal["histology", "target", "coordinates", "expert", "unknown"]
Scalar = str | int | float | bool | None


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class SubjectSummary(_Row):
    """The animal or patient, as written in the file."""

    subject_id: str | None = None
    species: str | None = None
    sex: str | None = None
    age: str | None = None
    genotype: str | None = None
    description: str | None = None


class ProbeSummary(_Row):
    """One probe, array or grid: an electrode group with all its shanks."""

    probe: str
    device: str | None = None
    description: str | None = None
    shanks: int = 1
    n_channels: int = 0


class ChannelSummary(_Row):
    """One row of the electrode table.

    ``location_raw`` is the text in the file, ``location`` the region name read out of it (None
    when it names none). ``evidence`` says where that name comes from, ``label_source`` in words.
    """

    probe: str
    channel: int = Field(description="electrode id in the file")
    index_on_probe: int | None = None
    x: float | None = None
    y: float | None = None
    z: float | None = None
    coordinate_frame: str = Field("unknown", description="frame of x, y, z, as the file names it")
    coordinate_unit: Literal["um", "mm", "unknown"] = "unknown"
    rel_x: float | None = Field(None, description="across the shank (µm)")
    rel_y: float | None = Field(None, description="along the shank, from the tip (µm)")
    depth_um: float | None = Field(None, description="along the shank, from the tip (µm)")
    shank: int | None = None
    location_raw: str | None = None
    location: str | None = None
    evidence: Evidence = "unknown"
    label_source: str | None = None
    bad: bool | None = None
    extra_labels: dict[str, str] = Field(default_factory=dict)


class LfpSummary(_Row):
    """One field-potential series; of a "wideband" one the LFP has yet to be filtered out."""

    series: str = Field(description="path inside the file")
    n_samples: int
    n_channels: int
    rate_declared: float | None = None
    rate_measured: float | None = Field(
        None, description="from timestamps where there are any (Hz)"
    )
    start_s: float | None = None
    stop_s: float | None = None
    unit: str | None = None
    conversion: float = 1.0
    offset: float = 0.0
    dtype: str = ""
    chunks: list[int] | None = None
    compression: str | None = None
    gaps: int = 0
    kind: Literal["lfp", "wideband"] = "lfp"
    channel_ids: list[int] = Field(default_factory=list, description="electrode id per column")
    all_zero: bool | None = Field(None, description="every sampled value is zero")
    digest: str = Field("", description="sha256 of shape, dtype and first, middle, last megabyte")


class UnitSummary(_Row):
    """One sorted unit."""

    unit: int
    probe: str | None = None
    channel: int | None = Field(None, description="electrode id of the peak channel")
    n_spikes: int = 0
    rate_hz: float | None = None
    region_raw: str | None = None
    quality: str | None = None


class TrialSummary(_Row):
    """One row of a trial-like interval table."""

    table: str
    trial: int
    start_s: float | None = None
    stop_s: float | None = None
    values: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)


class BehaviorSummary(_Row):
    """One behavioural time series."""

    series: str
    n_samples: int
    rate: float | None = None
    unit: str | None = None
    columns: list[str] = Field(default_factory=list)
    start_s: float | None = None
    stop_s: float | None = None


class InvalidSummary(_Row):
    """A stretch declared invalid; ``scope`` is a probe's name or "all"."""

    start_s: float
    stop_s: float
    scope: str = "all"
    label: str = ""


class FileSummary(_Row):
    """All of one file that becomes rows. Times are seconds on the session's clock."""

    layout: str
    nwb_version: str | None = None
    identifier: str = ""
    session_id: str | None = None
    session_description: str | None = None
    session_start: str | None = Field(None, description="ISO 8601")
    timestamps_note: str | None = None
    lab: str | None = None
    institution: str | None = None
    subject: SubjectSummary = Field(default_factory=SubjectSummary)
    synthetic: bool = False
    probes: list[ProbeSummary] = Field(default_factory=list)
    channels: list[ChannelSummary] = Field(default_factory=list)
    lfp: list[LfpSummary] = Field(default_factory=list)
    units: list[UnitSummary] = Field(default_factory=list)
    trials: list[TrialSummary] = Field(default_factory=list)
    behavior: list[BehaviorSummary] = Field(default_factory=list)
    invalid: list[InvalidSummary] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, every field present."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "FileSummary":
        """The summary that ``to_json`` gave."""
        return cls.model_validate(value)
