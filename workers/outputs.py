"""The files `locate` writes: a picture per probe, a CSV in file order, a copy with the regions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

import pandas as pd

from pipeline.nwb import ReadError, write_regions, write_regions_csv
from pipeline.nwb.summary import LfpSummary
from schemas import recording
from schemas._names import safe_name

from .archive.packs import split_name
from .choose import LocateError
from .located import Located


def check_target(source: str, folder: Path, *, write_nwb: bool) -> None:
    """Raise a LocateError before anything is computed if the copy could not be written."""
    if write_nwb and split_name(source)[1] is not None:
        raise LocateError(f"{source} is no NWB file to write a copy of; leave out --write-nwb")
    target = copy_path(source, folder)
    if write_nwb and target.exists():
        raise LocateError(f"{target} is there already; remove it or give another folder")


def copy_path(source: str, folder: Path) -> Path:
    """Where the copy of a file goes."""
    return folder / f"{_stem(source)}_regions.nwb"


def write_outputs(
    found: Located, source: str, folder: Path, *, write_nwb: bool, say: Callable[[str], None]
) -> Located:
    """Write what was found; the same with the paths of its files."""
    folder.mkdir(parents=True, exist_ok=True)
    found = _draw(found, _stem(source), folder)
    if found.model is None:
        if write_nwb:
            say("no copy is written: there are no regions to write")
        return found
    regions = _regions(found)
    about: dict[str, Any] = {"model": found.model.name, "watermark": found.watermark or None}
    csv = write_regions_csv(
        folder / f"{_stem(source)}_regions.csv", _columns(found.nwb_file), regions, **about
    )
    if not write_nwb:
        return replace(found, csv=csv)
    say("writing a copy with the regions")
    try:
        copy = write_regions(_readable(source), copy_path(source, folder), regions, **about)
    except (ReadError, FileExistsError) as error:
        raise LocateError(str(error)) from error
    return replace(found, csv=csv, nwb=copy)


def _draw(found: Located, stem: str, folder: Path) -> Located:
    from pipeline.analyses.locate_report import render_locate
    from pipeline.anatomy import class_colors

    scheme = found.model.card["scheme"] if found.model else "as_given"
    pictures, runs, notes = [], [], dict.fromkeys(found.notes)
    for probe in found.probes:
        columns = [probe.channels[c] for c in ("region_pred", "region_file") if c in probe.channels]
        names = sorted({n for column in columns for n in column.dropna()} - {"unknown"})
        colours = class_colors(names, scheme or "as_given")
        drawn = render_locate(probe, colours, warnings=found.warnings, watermark=found.watermark)
        several = f"_{safe_name(probe.probe, 32)}" if len(found.probes) > 1 else ""
        path = folder / f"{stem}{several}_{'regions' if found.model else 'spectra'}.png"
        path.write_bytes(drawn.png)
        pictures.append(path)
        runs.append(drawn.runs)
        known = {found.watermark, *found.warnings}
        told = [text for text in drawn.notes if text not in known]
        if several:  # the table says it channel by channel
            told = [text for text in told if not text.startswith("Evidence of the labels")]
        notes |= dict.fromkeys(told)
    return replace(found, pictures=pictures, runs=runs, notes=list(notes))


def _regions(found: Located) -> dict[int, tuple[str | None, float | None]]:
    """Region and confidence by electrode id."""
    regions: dict[int, tuple[str | None, float | None]] = {}
    for row in found.channels.to_dict("records"):
        sure = None if pd.isna(row["confidence"]) else float(row["confidence"])
        regions.setdefault(int(row["channel"]), (row["region_pred"], sure))
    return regions


def _columns(file: str) -> list[LfpSummary]:
    """The LFP series of a file with the electrode of each column."""
    made = []
    for row in (recording.LfpSeries & {"nwb_file": file}).to_dicts(order_by="series_path"):
        key = {"nwb_file": file, "series": row["series"]}
        ids = (recording.LfpColumn & key).to_arrays("channel", order_by="lfp_column")
        made.append(
            LfpSummary(
                series=row["series_path"],
                n_samples=row["n_samples"],
                n_channels=row["n_lfp_channels"],
                channel_ids=[int(i) for i in ids],
            )
        )
    return made


def _readable(source: str) -> str:
    return source if "://" in source else str(Path(source).expanduser())


def _stem(source: str) -> str:
    file, packed = split_name(source)
    if packed is not None:
        return safe_name(f"{Path(file).stem}_{packed}")
    path = urlparse(source).path if "://" in source else source
    return PurePosixPath(Path(path).as_posix()).stem or "recording"
