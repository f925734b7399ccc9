"""The DANDI archive, asked through its own client."""

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from pipeline.nwb.http import archive_api
from schemas import session
from schemas._sources import archive_root

from ..extras import need
from .asked import Asked
from .bounded import Bounded
from .found import ArchiveAway, Found, SourceError
from .names import Wanted, parse_name, path_fits

ASK_AT_ONCE = 8
log = logging.getLogger(__name__)


def list_assets(
    text: str, say: Callable[[str], None], asked: Asked | None = None
) -> list[Found]:  # fmt: skip
    """The recordings that a dandiset, an Allen id or an IBL id stands for, by path.

    Parameters
    ----------
    asked
        What was asked before, and not again; it learns the answer.

    Raises
    ------
    SourceError
        If there is no such dandiset, version or file; ArchiveAway if the archive does not answer.
    MissingExtra
        If the dandi client is not installed.
    """
    need("dandi")
    wanted, asked = parse_name(text), asked or Asked()
    if text in asked.found:
        return asked.found[text]
    with _client(wanted, asked) as client:
        for place in wanted.dandisets:
            dandiset = _open(client, place, wanted)
            if dandiset is None:
                continue
            assets = _matching(dandiset, wanted)
            if assets:
                asked.found[text] = _found(dandiset, assets, wanted, say)
                return asked.found[text]
    raise SourceError(_nothing(wanted))


@contextmanager
def _client(wanted: Wanted, asked: Asked) -> Iterator[Any]:
    """A client of the archive in use, quiet, with an end, and without a word to a third party."""
    os.environ.setdefault("DANDI_NO_ET", "1")  # no telemetry
    from dandi.consts import DandiInstance
    from dandi.dandiapi import DandiAPIClient
    from requests import RequestException

    logging.getLogger("dandi").setLevel(logging.CRITICAL)
    api = archive_api()
    if api in asked.away:
        raise ArchiveAway(f"{wanted.typed}: not asked, the archive at {api} did not answer before")
    try:
        # named here, or the client asks the archive for its name and waits for ever
        with DandiAPIClient(dandi_instance=DandiInstance("archive", None, api)) as client:
            for scheme in ("http://", "https://"):
                client.session.mount(scheme, Bounded())
            token = os.environ.get("DANDI_API_KEY")
            if token is not None:
                client.authenticate(token)
            yield client
    except RequestException as error:
        code = getattr(getattr(error, "response", None), "status_code", None)
        if code in (401, 403):
            raise SourceError(
                f"the archive at {api} does not show that to us ({code}); set DANDI_API_KEY to a "
                "key that may see it"
            ) from error
        asked.away.add(api)
        text = " ".join(str(error).split())[:200]
        raise ArchiveAway(
            f"{wanted.typed}: the archive at {api} does not answer ({type(error).__name__}: "
            f"{text}); try again where there is a network, set DANDI_API_URL to a copy of it, or "
            "FIELDBASE_PATIENCE to wait longer (s)"
        ) from error


def _open(client: Any, place: str, wanted: Wanted) -> Any | None:
    """The dandiset in the version wanted; None where another one may have the session."""
    from dandi.exceptions import NotFoundError

    try:
        dandiset = client.get_dandiset(place, lazy=False)
        if wanted.version is None or wanted.version == dandiset.version_id:
            return dandiset
        return dandiset.for_version(wanted.version)
    except NotFoundError as error:
        if len(wanted.dandisets) > 1:
            return None
        raise SourceError(
            f"{wanted.typed}: {str(error).rstrip(' .')}; look at https://dandiarchive.org/dandiset/"
            f"{place}, and set DANDI_API_KEY if it is embargoed"
        ) from error


def _matching(dandiset: Any, wanted: Wanted) -> list[Any]:
    found = {}
    for glob in wanted.globs:
        if any(sign in glob for sign in "*?"):
            # the archive's * goes into folders, and it knows no **
            assets = dandiset.get_assets_by_glob(glob.replace("**/", "*").replace("**", "*"))
        else:
            assets = dandiset.get_assets_with_path_prefix(glob)
        for asset in assets:
            if path_fits(asset.path, glob) and (
                wanted.fits is None or wanted.fits.search(asset.path)
            ):
                found[asset.path] = asset
    if wanted.with_session:
        found |= _session_files(dandiset, list(found))
    return [found[path] for path in sorted(found)]


def _session_files(dandiset: Any, paths: list[str]) -> dict[str, Any]:
    """The files that hold units, trials and invalid intervals of these probe files' sessions."""
    stems = {path.partition("_probe-")[0] for path in paths if "_probe-" in path}
    missing = [f"{stem}.nwb" for stem in stems if f"{stem}.nwb" not in paths]
    assets = (a for path in missing for a in dandiset.get_assets_with_path_prefix(path))
    return {asset.path: asset for asset in assets if asset.path in missing}


def _found(dandiset: Any, assets: list[Any], wanted: Wanted, say) -> list[Found]:
    version = dandiset.version_id
    if version == "draft":
        why = "asked for" if wanted.version else "nothing is published yet"
        say(f"{wanted.typed}: draft of {dandiset.identifier}, which may change ({why})")
    elif wanted.version is None:
        say(f"{wanted.typed}: version {version} of {dandiset.identifier}, the most recent")
    usable = [asset for asset in assets if asset.path.lower().endswith(".nwb")]
    zarr = [asset for asset in usable if not hasattr(asset, "blob")]
    if zarr or len(usable) < len(assets):
        left = len(assets) - len(usable) + len(zarr)
        say(f"{wanted.typed}: {left} files that are not HDF5 NWB are left out")
    usable = [asset for asset in usable if hasattr(asset, "blob")]
    if not usable:
        raise SourceError(f"{wanted.typed}: none of its {len(assets)} files is NWB in HDF5")
    marks = _known_marks([asset.identifier for asset in usable])
    unknown = [asset for asset in usable if asset.identifier not in marks]
    with ThreadPoolExecutor(ASK_AT_ONCE) as pool:
        marks |= dict(pool.map(_etag, unknown))
    return [
        Found(
            source=f"dandi:{dandiset.identifier}@{version}/{asset.path}",
            root=archive_root(),
            path=f"{dandiset.identifier}/{asset.path}",
            file_kind="nwb",
            bytes=asset.size,
            etag=marks[asset.identifier],
            dandiset=dandiset.identifier,
            dandi_version=version,
            asset=asset.identifier,
            note="draft: may change" if version == "draft" else None,
        )
        for asset in usable
    ]


def _known_marks(assets: list[str]) -> dict[str, str]:
    """What need not be asked again: an asset never changes."""
    rows = (session.NwbFile & [{"asset": asset} for asset in assets]).to_dicts()
    return {row["asset"]: row["etag"] for row in rows if row["etag"]}


def _etag(asset: Any) -> tuple[str, str | None]:
    from dandi.exceptions import NotFoundError

    try:
        return asset.identifier, asset.get_raw_digest()
    except NotFoundError:  # not computed yet: fresh in a draft
        return asset.identifier, None


def _nothing(wanted: Wanted) -> str:
    places = ", ".join(wanted.dandisets)
    if wanted.fits is None:
        return (
            f"{wanted.typed}: no file in the dandiset fits; look at its files on dandiarchive.org"
        )
    way_out = "is it a session id?"
    if wanted.typed.lower().startswith("ibl:"):
        way_out = (
            "a probe insertion's pid is no session: ONE().pid2eid(pid) has its eid. Sessions that "
            "DANDI lacks come by ONE: write them as NWB (pip install ONE-api ibl-to-nwb) and give "
            "the folder instead of the name"
        )
    return f"{wanted.typed}: no file of that session in {places}; {way_out}"
