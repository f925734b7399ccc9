"""IBL's destriping of the LF band, by the library that defines it (`ibl-neuropixel`)."""

from types import ModuleType

import numpy as np
from jaxtyping import Bool, Float32, Integer, UInt8

from .geometry import Geometry

NEUROPIXELS_CHANNELS = 384


def load_ibldsp() -> ModuleType:
    """`ibldsp.voltage`, imported when first asked for.

    Raises
    ------
    ModuleNotFoundError
        With the line that installs it.
    """
    try:
        import ibldsp.voltage
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "destripe='ibl' needs the package ibl-neuropixel, which is not installed; "
            'install it with: pip install "ibl-neuropixel>=1.11"'
        ) from missing
    return ibldsp.voltage


def destripe_ibl(
    lfp: Float32[np.ndarray, "time channel"],
    geometry: Geometry,
    labels: UInt8[np.ndarray, " channel"],
    *,
    rate: float,
    band_hz: tuple[float, float],
    order: int,
) -> Float32[np.ndarray, "time channel"]:
    """Band-pass, converter delays, bad channels interpolated, median of the inside removed.

    Parameters
    ----------
    lfp
        Voltage (µV).
    geometry
        Sites of the channels.
    labels
        0 good, 1 dead, 2 noisy, 3 outside the brain. 1 and 2 are interpolated from their
        neighbours, 3 stays out of the reference.
    rate
        Sampling rate (Hz).
    band_hz, order
        Corners and order of the zero-phase Butterworth band-pass.

    Source: International Brain Laboratory, spike sorting white paper (2022); `ibldsp.voltage`.
    """
    volts = load_ibldsp().destripe_lfp(
        lfp.T.astype(np.float64) * 1e-6,
        rate,
        h=_header(geometry),
        channel_labels=labels.astype(np.int64),
        butter_kwargs={"N": order, "Wn": list(band_hz), "btype": "bandpass", "fs": rate},
        neuropixel_version=geometry.neuropixels or 2,
    )
    return np.ascontiguousarray(volts.T * 1e6, dtype=np.float32)


def detect_ibl(
    snippets: list[Float32[np.ndarray, "time channel"]], *, rate: float
) -> UInt8[np.ndarray, " channel"]:
    """The commonest label of each channel over short snippets (µV).

    Labels: 0 good, 1 dead, 2 noisy, 3 outside the brain.
    """
    detect = load_ibldsp().detect_bad_channels
    votes = np.stack(
        [detect(s.T.astype(np.float64) * 1e-6, fs=rate)[0] for s in snippets]
    )  # (snippet, channel); its noise limit follows the band: 1.4 µV²/Hz for LF, 0.02 for AP
    counts = np.stack([(votes == label).sum(axis=0) for label in range(4)])  # (label, channel)
    return counts.argmax(axis=0).astype(np.uint8)


def has_converter_delays(geometry: Geometry) -> bool:
    """Whether the delays between multiplexed converters are known (a full bank, generation 1)."""
    return geometry.neuropixels == 1 and len(geometry.x_um) == NEUROPIXELS_CHANNELS


def _header(geometry: Geometry) -> dict[str, np.ndarray]:
    delays = np.zeros(len(geometry.x_um))
    if has_converter_delays(geometry):
        from neuropixel import trace_header

        delays = np.array(trace_header(version=1)["sample_shift"])
    return {
        "x": geometry.x_um.astype(np.float64),
        "y": geometry.y_um.astype(np.float64),
        "shank": _shanks(geometry.shank),
        "sample_shift": delays,
    }


def _shanks(shank: Integer[np.ndarray, " channel"]) -> Integer[np.ndarray, " channel"]:
    return np.unique(shank, return_inverse=True)[1]


def interpolated(labels: UInt8[np.ndarray, " channel"]) -> Bool[np.ndarray, " channel"]:
    """Channels whose signal is made up from their neighbours."""
    return (labels == 1) | (labels == 2)
