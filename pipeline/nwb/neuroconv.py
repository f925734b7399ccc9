"""What to type to turn an acquisition system's folder into NWB."""

from pathlib import Path

_LINES = """\
this is {system}; make the NWB with neuroconv (pip install 'neuroconv[{extra}]'), ingest it:
    from neuroconv.converters import {converter}
    converter = {converter}(folder_path={folder!r})
    metadata = converter.get_metadata()
    metadata["Subject"] = dict(subject_id="SUBJECT", species="Mus musculus", sex="U", age="P90D")
    converter.run_conversion(nwbfile_path={target!r}, metadata=metadata)"""

_OPEN_EPHYS_LINES = """\
this is Open Ephys; make the NWB with neuroconv (pip install 'neuroconv[openephys]'), ingest it:
    from neuroconv.datainterfaces import OpenEphysRecordingInterface
    streams = OpenEphysRecordingInterface.get_stream_names(folder_path={folder!r})
    interface = OpenEphysRecordingInterface(folder_path={folder!r}, stream_name=streams[-1])
    metadata = interface.get_metadata()
    metadata["NWBFile"].setdefault("session_start_time", "2000-01-01T00:00:00+00:00")
    metadata["Subject"] = dict(subject_id="SUBJECT", species="Mus musculus", sex="U", age="P90D")
    interface.run_conversion(nwbfile_path={target!r}, metadata=metadata)"""


def recording_system(folder: Path) -> str | None:
    """ "SpikeGLX" or "Open Ephys" by the files inside (three levels down), else None."""
    patterns = {
        "SpikeGLX": ("*.ap.bin", "*.lf.bin", "*.ap.meta", "*.lf.meta", "*.ap.cbin", "*.lf.cbin"),
        "Open Ephys": ("structure.oebin", "settings*.xml", "*.continuous"),
    }
    for system, names in patterns.items():
        for depth in ("", "*/", "*/*/", "*/*/*/"):
            if any(next(folder.glob(depth + name), None) for name in names):
                return system
    return None


def conversion_lines(folder: Path) -> str | None:
    """The neuroconv lines that make an NWB file of a folder, with its name filled in.

    None when the folder is of no system known here.
    """
    system = recording_system(folder)
    if system is None:
        return None
    folder = folder.resolve()
    target = str(folder.with_name(folder.name + ".nwb"))
    if system == "Open Ephys":
        return _OPEN_EPHYS_LINES.format(folder=str(folder), target=target)
    return _LINES.format(
        system=system,
        extra="spikeglx",
        converter="SpikeGLXConverterPipe",
        folder=str(folder),
        target=target,
    )
