"""One packed recording to one summary, without decoding a sample."""

import hashlib
import json
from os import PathLike
from typing import Any

import h5py
import numpy as np

from ..nwb.isolate import call_isolated
from ..nwb.locations import region_name
from ..nwb.sizes import check_column
from ..nwb.summary import ChannelSummary, FileSummary, InvalidSummary, LfpSummary, ProbeSummary
from ..nwb.tables import as_number, as_text
from .clock import PackClock, clock_of_pack
from .contents import BETWEEN, SCALE, Pack, open_pack
from .insertions import Insertion

LAYOUT = "lfpack"
FRAME = "IBL bregma (x right, y front, z up)"
LABELS = "acronym of the packed file (IBL)"
_AXES = {"x": "ml", "y": "ap", "z": "dv"}
_UM = 1e6


def read_packed_summary(
    path: str | PathLike[str], insertion: Insertion, memory_bytes: int, deadline_s: float | int
) -> FileSummary:
    """What becomes rows of one recording, read in a child process.

    Parameters
    ----------
    insertion
        Which recording, and what the file does not say of it: whose it is.

    Raises
    ------
    ReadError
        If the recording cannot be read, or the child crashed, ran out of memory or time.
    """
    found = FileSummary.from_json(
        call_isolated(
            "pipeline.lfpack.header:read_header_json",
            f"{path}{BETWEEN}{insertion.recording}",
            memory_bytes=memory_bytes,
            deadline_s=deadline_s,
        )
    )
    return insertion.name(found)


def read_header_json(source: str) -> dict[str, Any]:
    """The summary of ``FILE::RECORDING`` as JSON; of nobody, by a probe of the recording's name."""
    path, _, recording = source.rpartition(BETWEEN)
    with open_pack(path, recording) as pack:
        clock, warnings = clock_of_pack(pack.meta, pack.rate), []
        if not clock.known:
            warnings.append(f"{recording}: no session clock; times count from the first sample")
        channels = _channels(pack, warnings)
        summary = FileSummary(
            layout=LAYOUT,
            identifier=recording,
            session_id=recording,
            session_description=_about(pack.meta),
            probes=[
                ProbeSummary(probe=recording, device=_device(pack.meta), n_channels=pack.n_channels)
            ],
            channels=channels,
            lfp=[_series(pack, clock)],
            invalid=_saturated(pack, clock),
            warnings=warnings,
        )
    return summary.to_json()


def _channels(pack: Pack, warnings: list[str]) -> list[ChannelSummary]:
    attrs, n = pack.meta.attrs, pack.n_channels
    columns = {name: _column(attrs, name, n, warnings) for name in ("geometry_x", "geometry_y")}
    xyz = {axis: _column(attrs, name, n, warnings) for axis, name in _AXES.items()}
    acronym, atlas = _texts(attrs, n, warnings), _column(attrs, "atlas_id", n, warnings)
    flags = _column(attrs, "labels", n, warnings)
    if acronym is None:
        warnings.append(f"{pack.recording}: no region is written for any channel")
    rows = []
    for i in range(n):
        place = {axis: None if v is None else _finite(v[i] * _UM) for axis, v in xyz.items()}
        across, along = (None if v is None else _finite(v[i]) for v in columns.values())
        text = None if acronym is None else acronym[i]
        region = None if text in (None, "root", "void") else region_name(text)
        known = any(value is not None for value in place.values())
        rows.append(
            ChannelSummary(
                probe=pack.recording,
                channel=i,
                index_on_probe=i,
                **place,
                coordinate_frame=FRAME if known else "unknown",
                coordinate_unit="um" if known else "unknown",
                rel_x=across,
                rel_y=along,
                depth_um=along,
                location_raw=text,
                location=region,
                label_source=LABELS if region else None,
                bad=None if flags is None else bool(flags[i]),
                extra_labels={} if atlas is None else {"atlas_id": str(int(atlas[i]))},
            )
        )
    return rows


def _series(pack: Pack, clock: PackClock) -> LfpSummary:
    ends = clock.times(np.array([0.0, pack.n_samples - 1.0]))
    stored = _digest(pack)
    return LfpSummary(
        series=f"{pack.recording}/{SCALE}",
        n_samples=pack.n_samples,
        n_channels=pack.n_channels,
        rate_declared=pack.rate,
        rate_measured=clock.rate if clock.known else None,
        start_s=float(ends[0]),
        stop_s=float(ends[1] + 1 / clock.rate),
        unit="volts",
        dtype="float32",
        chunks=[pack.chunk, pack.n_channels],
        compression=f"lfpack {pack.version}",
        channel_ids=list(range(pack.n_channels)),
        all_zero=_all_zero(pack),
        digest=stored,
    )


def _all_zero(pack: Pack) -> bool | None:
    """Whether every spatial factor is zero; not known in format 1 without decoding."""
    return None if pack.version == 1 else not check_column(pack.codec["u_norms"])[()].any()


def _digest(pack: Pack) -> str:
    """sha256 of shape, clock and coded bytes: tables whole, arrays where they begin and end."""
    total = hashlib.sha256(f"{pack.version} {pack.n_channels} {pack.n_samples}".encode())
    for name in ("fs", "t0_sync", "fs_sync"):
        total.update(f"{name}={as_number(pack.meta.attrs.get(name))}".encode())
    if pack.version == 2:
        for name in ("chunk_table", "basis"):
            total.update(np.ascontiguousarray(check_column(pack.codec[name])[()]).tobytes())
        arrays = [pack.codec[name] for name in ("u_values", "u_norms", "vh_deltas", "vh_values")]
    else:
        last = len(pack.codec) - 1
        places = sorted({0, last // 2, last})
        names = ("U_scaled", "vh_indices", "vh_values")
        arrays = [pack.codec[f"{place}/{name}"] for place in places for name in names]
    for data in arrays:
        total.update(f"{data.shape}{data.dtype.str}".encode())
        for block in _ends(data):
            total.update(block)
    return total.hexdigest()


def _ends(data: h5py.Dataset) -> list[bytes]:
    """First, middle and last stored block as they are on the disk."""
    if not data.size:
        return []
    if data.chunks is None:
        step = min(len(data), 1 << 16)
        starts = sorted({0, (len(data) - step) // 2, len(data) - step})
        return [np.ascontiguousarray(data[start : start + step]).tobytes() for start in starts]
    n = -(-data.shape[0] // data.chunks[0])
    tail = (0,) * (data.ndim - 1)
    spots = [(at * data.chunks[0], *tail) for at in sorted({0, n // 2, n - 1})]
    return [data.id.read_direct_chunk(spot)[1] for spot in spots]


def _saturated(pack: Pack, clock: PackClock) -> list[InvalidSummary]:
    """Stretches in which the converter was saturated; lfpack writes zeros there."""
    data = pack.meta.parent.parent.get("saturation")
    if not isinstance(data, h5py.Dataset) or not data.size:
        return []
    raw_rate = as_number(data.attrs.get("fs")) or pack.rate
    spans = check_column(data)[()].reshape(-1, 2) * (pack.rate / raw_rate)
    times = clock.times(spans.ravel().astype(float)).reshape(-1, 2)
    return [
        InvalidSummary(start_s=a, stop_s=b, scope=pack.recording, label="saturated")
        for a, b in times.tolist()
    ]


def _column(attrs, name: str, n: int, warnings: list[str]) -> np.ndarray | None:
    """A number for each channel, None where there is none for each."""
    if name not in attrs:
        return None
    values = np.asarray(attrs[name])
    if values.shape == (n,) and values.dtype.kind in "iuf":
        return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    warnings.append(f"{name} is not one number for each of {n} channels and was left out")
    return None


def _texts(attrs, n: int, warnings: list[str]) -> list[str | None] | None:
    if "acronym" not in attrs:
        return None
    values = np.ravel(attrs["acronym"]).tolist()
    if len(values) == n:
        return [as_text(value) or None for value in values]
    warnings.append(f"acronym has {len(values)} values for {n} channels and was left out")
    return None


def _device(meta: h5py.Group) -> str | None:
    """The kind of probe in SpikeGLX' own words, with its serial number."""
    about = _sglx(meta)
    kind, serial = about.get("imDatPrb_type"), about.get("imDatPrb_sn") or about.get("imProbeSN")
    name = "Neuropixels" if about.get("typeThis") == "imec" or kind is not None else None
    if name is None:
        return None
    told = [f"SpikeGLX type {kind}" if kind is not None else "", f"serial {serial}"]
    told = [text for text in told if text and not text.endswith("None")]
    return name + (f" ({', '.join(told)})" if told else "")


def _about(meta: h5py.Group) -> str:
    created = _sglx(meta).get("fileCreateTime")
    wrote = as_text(meta.attrs.get("lfpack_version"))
    told = [
        f"recorded {created} (local time)" if created else "",
        f"lfpack {wrote}" if wrote else "",
    ]
    return "LFP compressed with loss by lfpack" + "".join(f"; {text}" for text in told if text)


def _sglx(meta: h5py.Group) -> dict[str, Any]:
    try:
        found = json.loads(as_text(meta.attrs.get("sglx_meta")) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
