"""Which field-potential series a file holds, and what is to know about each."""

import hashlib
from dataclasses import dataclass

import h5py
import numpy as np

from .channels import contacts_of
from .clock import clock_of
from .layout import Layout
from .sizes import MOST_CHANNELS, check_count, check_size
from .summary import ChannelSummary, LfpSummary
from .tables import as_number, as_text, kind_of, walk_groups

WIDEBAND_HZ = 3000.0  # LF bands are sampled at 2.5 kHz or less, spike bands at 10 kHz or more
_UV = {"volts": 1e6, "volt": 1e6, "v": 1e6, "millivolts": 1e3, "mv": 1e3}
_UV |= dict.fromkeys(("microvolts", "microvolt", "uv", "µv", "μv"), 1.0)
_SAMPLE_BYTES = 1 << 20


def series_paths(layout: Layout) -> list[str]:
    """Path of every electrical series, each object once; spike bands beside an LF band left out."""
    paths: dict[str, None] = {}
    for place in ("acquisition", "processing"):
        root = layout.file.get(place)
        if isinstance(root, h5py.Group):
            found = [g for g in walk_groups(root) if _is_series(g)]
            paths |= dict.fromkeys(g.name.strip("/") for g in found)
    left_out = [p for p in paths if layout.is_spike_band(p, list(paths))]
    for path in left_out:
        layout.warnings.append(f"{path}: spike band of a probe whose LF band is there; left out")
    return [path for path in paths if path not in left_out]


def read_series(layout: Layout, channels: list[ChannelSummary]) -> list[LfpSummary]:
    """Every series of a file; columns without an electrode become new rows of ``channels``."""
    found: list[LfpSummary] = []
    for path in series_paths(layout):
        summary = _summarise(layout, layout.file[path], path, channels)
        twin = next((s for s in found if summary and _same(s, summary)), None)
        if twin:
            layout.warnings.append(f"{path}: the same data as {twin.series}; listed once")
        elif summary:
            found.append(summary)
    return found


@dataclass(frozen=True)
class Scale:
    """Stored number x ``factor`` + ``offset`` = µV; ``factor`` may differ by channel."""

    factor: np.ndarray
    offset: float


def scale_of(series: h5py.Group, n_channels: int, warnings: list[str]) -> Scale:
    """How stored numbers become µV: unit, conversion, offset and channel_conversion."""
    data = series["data"]
    unit = (as_text(data.attrs.get("unit")) or "volts").lower()
    if unit not in _UV:
        warnings.append(f"{series.name.strip('/')}: unit {unit!r} is none of voltage; volts taken")
    factor = np.full(n_channels, _UV.get(unit, 1e6) * attribute(data, "conversion", 1.0))
    by_channel = series.get("channel_conversion")
    if isinstance(by_channel, h5py.Dataset) and by_channel.shape == (n_channels,):
        factor = factor * by_channel[()]
    return Scale(factor, _UV.get(unit, 1e6) * attribute(data, "offset", 0.0))


def attribute(data: h5py.Dataset, name: str, default: float) -> float:
    """A finite number among a dataset's attributes, the default where there is none."""
    value = as_number(data.attrs.get(name, default))
    return default if value is None else value


def _is_series(group: h5py.Group) -> bool:
    data, kind = group.get("data"), kind_of(group)
    if not isinstance(data, h5py.Dataset) or data.ndim not in (1, 2):
        return False
    if data.dtype.kind not in "iuf" or kind == "SpikeEventSeries":
        return False
    return kind.endswith("ElectricalSeries") or "electrodes" in group


def _same(a: LfpSummary, b: LfpSummary) -> bool:
    return (a.digest, a.channel_ids, a.start_s) == (b.digest, b.channel_ids, b.start_s)


def _summarise(
    layout: Layout, series: h5py.Group, path: str, channels: list[ChannelSummary]
) -> LfpSummary | None:
    data = series["data"]
    n_samples, n_channels = data.shape[0], data.shape[1] if data.ndim == 2 else 1
    check_count(path, n_channels, MOST_CHANNELS, "channels")
    check_size(data)
    if _looks_channel_first(series, n_samples, n_channels):
        layout.warnings.append(
            f"{path}: {n_samples} electrodes for shape {data.shape}; channels seem to come first,"
            " which NWB does not allow; series left out"
        )
        return None
    clock = clock_of(series, n_samples, layout.declared_rate(series))
    declared = layout.declared_rate(series)
    _warn_about_clock(layout, path, clock, n_samples, declared)
    zero, digest = _sample(data)
    if zero:
        layout.warnings.append(f"{path}: every sampled value is zero")
    scale_of(series, n_channels, layout.warnings)
    return LfpSummary(
        series=path,
        n_samples=clock.n_samples,
        n_channels=n_channels,
        rate_declared=declared,
        rate_measured=clock.rate if clock.measured else None,
        start_s=_finite(clock.start_s),
        stop_s=_finite(clock.stop_s),
        unit=as_text(data.attrs.get("unit")),
        conversion=attribute(data, "conversion", 1.0),
        offset=attribute(data, "offset", 0.0),
        dtype=str(data.dtype),
        chunks=list(data.chunks) if data.chunks else None,
        compression=data.compression,
        gaps=len(clock.gaps),
        kind="wideband" if _is_wideband(path, clock.rate) else "lfp",
        channel_ids=_channel_ids(layout, series, path, n_channels, channels),
        all_zero=zero,
        digest=digest,
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _is_wideband(path: str, rate: float) -> bool:
    container, _, name = path.rpartition("/")
    named = "lfp" in path.lower() or name.lower().endswith("lf") or container.endswith("LFP")
    return bool(rate > WIDEBAND_HZ) and not named


def _looks_channel_first(series: h5py.Group, n_samples: int, n_channels: int) -> bool:
    electrodes, stamps = series.get("electrodes"), series.get("timestamps")
    n = len(electrodes) if isinstance(electrodes, h5py.Dataset) and electrodes.ndim else -1
    timed = isinstance(stamps, h5py.Dataset) and stamps.shape == (n_samples,)
    return n == n_samples and n != n_channels and not timed


def _warn_about_clock(
    layout: Layout, path: str, clock, n_samples: int, declared: float | None
) -> None:
    if clock.n_samples < n_samples:
        layout.warnings.append(
            f"{path}: {n_samples} samples but {clock.n_samples} timestamps; the rest is left out"
        )
    if clock.measured and declared and abs(clock.rate / declared - 1) > 1e-3:
        layout.warnings.append(
            f"{path}: declares {declared:g} Hz, its timestamps say {clock.rate:g} Hz; measured kept"
        )
    if len(clock.gaps):
        layout.warnings.append(f"{path}: {len(clock.gaps)} gaps in its timestamps")
    if clock.backward:
        layout.warnings.append(f"{path}: {clock.backward} timestamps do not increase")
    if not np.isfinite(clock.rate):
        layout.warnings.append(f"{path}: neither timestamps nor a sampling rate")


def _channel_ids(
    layout: Layout,
    series: h5py.Group,
    path: str,
    n_channels: int,
    channels: list[ChannelSummary],
) -> list[int]:
    region = series.get("electrodes")
    numeric = isinstance(region, h5py.Dataset) and region.ndim == 1 and region.dtype.kind in "iu"
    rows = region[:n_channels].tolist() if numeric else []
    known = min(len(layout.electrodes() or ()), len(channels))
    ids = [channels[row].channel for row in rows if 0 <= row < known]
    missing = n_channels - len(ids)
    if not missing:
        return ids
    same = [c.probe for c in channels if c.channel in set(ids)]
    probe = same[0] if same else next(iter(contacts_of(layout).values()), None)
    probe = getattr(probe, "probe", probe) or path.rpartition("/")[2]
    first = min(0, min((c.channel for c in channels), default=0)) - 1  # negative: no file has it
    invented = list(range(first, first - missing, -1))
    channels += [
        ChannelSummary(probe=probe, channel=i, label_source="no electrode row in the file")
        for i in invented
    ]
    layout.warnings.append(
        f"{path}: {n_channels} columns but {len(ids)} electrodes; ids {invented[0]} to"
        f" {invented[-1]} are invented for the last {missing}"
    )
    return ids + invented


def _sample(data: h5py.Dataset) -> tuple[bool | None, str]:
    n = data.shape[0]
    row_bytes = max(1, data.dtype.itemsize * int(np.prod(data.shape[1:])))
    step = max(1, min(n, _SAMPLE_BYTES // row_bytes))
    digest = hashlib.sha256(f"{data.shape}{data.dtype.str}".encode())
    zero = True
    for start in sorted({0, max(0, n // 2 - step // 2), max(0, n - step)}):
        block = np.ascontiguousarray(data[start : start + step])
        digest.update(block.tobytes())
        zero = zero and not block.any()
    for start in range(0, n if zero else 0, max(1, n // 16)):
        zero = zero and not data[start : start + 64].any()
    return (zero if data.size else None), digest.hexdigest()
