"""A session's files find each other: Allen and IBL keep signals, units and trials in several."""

from collections.abc import Callable
from typing import Any

import datajoint as dj

from schemas import recording, session
from schemas._revisions import files_of

SPLIT_LAYOUTS = ("allen", "ibl")


def beside(
    table: type[dj.Table], file: dict[str, str], *, alone: bool = False,
    keep: Callable[[dict[str, Any]], bool] = lambda row: True,
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows of a file, else of the file of the same session that has most of them.

    Parameters
    ----------
    alone
        Look at no other file.
    keep
        Which rows count.
    """

    def rows_of(key: dict[str, str]) -> list[dict[str, Any]]:
        rows = (table & key).to_dicts(order_by=table().primary_key)
        return [row for row in rows if keep(row)]

    most = rows_of(file)
    if most or alone:
        return most
    for name in (recording.IngestionSession & file).to_arrays("session"):
        for other in files_of(name):
            found = rows_of({"nwb_file": other, "session": name})
            most = found if len(found) > len(most) else most
    return most


def files_with_invalid(series: dict[str, Any]) -> list[str]:
    """Files of a series' session that say of times of its probes that they must not be used."""
    where = {"nwb_file": series["nwb_file"], "series": series["series"]}
    probes = set((recording.LfpColumn & where).to_arrays("probe"))
    rows = (recording.InvalidInterval & {"session": series["session"]}).to_dicts()
    saying = {row["nwb_file"] for row in rows if row["scope"] == "all" or row["scope"] in probes}
    return sorted(saying & set(files_of(series["session"])))


def missing_session_file(name: str, told: list[str]) -> list[str]:
    """A sentence if only the signals of a session are there, and not what the session file says."""
    files = [{"nwb_file": file} for file in files_of(name)]
    read = (recording.Ingestion & files).to_dicts() if files else []
    apart = read and all(row["layout"] in SPLIT_LAYOUTS for row in read)
    if not apart or any(row["n_units"] or row["n_trials"] for row in read):
        return []
    written = (session.Session & {"session": name}).fetch1("session_id")
    kinds = {
        row["layout"]
        for row in read
        if (session.NwbFile & {"nwb_file": row["nwb_file"]} & "asset is not null")
    }
    how = f" (fieldbase ingest {kinds.pop()}:{written})" if kinds else ""
    text = (
        f"session {written}: only its probe files are ingested, not the session file that says "
        f"which times are invalid; ingest it{how} and run again, and other windows will be cut"
    )
    return [] if text in told else [text]
