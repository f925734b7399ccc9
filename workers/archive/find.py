"""What a person types becomes files: paths, folders, globs, URLs, names in the archive."""

from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.nwb import conversion_lines
from pipeline.redact import redact_url

from .asked import Asked
from .found import Found, SourceError, look_at_file, look_at_url
from .names import names_assets
from .packs import look_at_pack, split_name

NWB = (".nwb", ".h5", ".hdf5")
WEB = ("http://", "https://")


def find(
    patterns: Iterable[str], *, base: Path, subjects: str | None = None,
    asked: Asked | None = None, say: Callable[[str], None] = lambda text: None,
) -> list[Found]:  # fmt: skip
    """Every file that `patterns` name, once, in order; of a packed file, every recording.

    Parameters
    ----------
    subjects
        Whose the recordings of packed files are, see `look_at_pack`.
    asked
        What the archive was asked before, see `list_assets`.

    Raises
    ------
    SourceError
        If a pattern names nothing, the archive does not answer, or a folder holds a recording
        that is not NWB yet; the message then has the lines that convert it.
    """
    found: dict[str, Found] = {}
    for pattern in patterns:
        if names_assets(pattern):
            from .dandi import list_assets

            for asset in list_assets(pattern, say, asked):
                found.setdefault(asset.asset, asset)
            continue
        pattern, wanted = split_name(pattern)
        for name in find_sources([pattern], base=base):
            web = name.startswith(WEB)
            if wanted is not None and web:
                raise SourceError(f"{name} is read from a copy on this machine only: download it")
            held = [] if web else look_at_pack(Path(name), wanted, subjects, base)
            for one in held:
                found.setdefault(one.source, one)
            if not held and name not in found:
                found[name] = look_at_url(name) if web else look_at_file(Path(name))
    return list(found.values())


def find_sources(patterns: Iterable[str], *, base: Path) -> list[str]:
    """Files and URLs that `patterns` name: a path, a folder, a glob, or an http(s) URL.

    Raises
    ------
    SourceError
        As `find`.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        if pattern.startswith(WEB):
            refuse_secrets([pattern])
            found[pattern] = None
            continue
        if "://" in pattern:
            raise SourceError(
                f"{pattern}: of URLs, only http:// and https:// are read; give one of those, or "
                "download the file"
            )
        for path in _expand(pattern, base):
            found[str(path)] = None
    return list(found)


def refuse_secrets(patterns: Iterable[str]) -> None:
    """What is ingested is kept in tables and shown in messages.

    Raises
    ------
    SourceError
        If a URL holds a user, a password, a signature or a token.
    """
    for url in patterns:
        parts = urlsplit(url) if url.startswith(WEB) else None
        if parts is None or redact_url(url) == url and "@" not in parts.netloc:
            continue
        if "@" in parts.netloc:
            place = redact_url(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
            raise SourceError(
                f"the URL of {place} holds a user or a password, which every reader of the tables "
                "would see; put them into ~/.netrc and give the URL without them"
            )
        raise SourceError(
            f"the URL {redact_url(url)} holds a signature or a token, which every reader of the "
            "tables would see and which expires; download the file and ingest the copy, or give a "
            "URL that needs none"
        )


def _expand(pattern: str, base: Path) -> list[Path]:
    path = Path(pattern).expanduser()
    path = path if path.is_absolute() else base / path
    if path.is_file():
        return [path]
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in NWB and p.is_file())
        lines = None if files else conversion_lines(path)
        if lines is not None:
            raise SourceError(f"{path} holds no NWB file: {lines}")
        if not files:
            raise SourceError(f"no NWB file in the folder {path}; give a folder with *.nwb files")
        return files
    anchor = Path(path.anchor or ".")
    files = sorted(p for p in anchor.glob(str(path.relative_to(path.anchor))) if p.is_file())
    if not files:
        raise SourceError(f"nothing is at {path}; give a file, a folder, a glob or a URL")
    return files
