"""Files of vectors made elsewhere: which they are, what each column is, who made them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .archive.find import find_sources
from .archive.found import FEATURES, SourceError


def read_mapping(file: Path | None, facts: dict[str, str | None]) -> dict[str, Any] | None:
    """The mapping of a feature file's columns, from a TOML file; None without one.

    Parameters
    ----------
    facts
        Model, licence and origin where they are known; they go before what the file says.

    Raises
    ------
    SourceError
        If the file is no TOML, or no mapping, one line per mistake; or there are facts alone.
    """
    given = {name: text for name, text in facts.items() if text}
    if file is None:
        if given:
            raise SourceError(
                f"--{', --'.join(given)}: who made the vectors is said, not which column is what; "
                "add --mapping FILE.toml"
            )
        return None
    from pydantic import ValidationError

    from pipeline.evaluation.features_file import FeatureMapping

    try:
        said = FeatureMapping.from_toml(file).to_json()
        return FeatureMapping.model_validate(said | given).to_json()
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(part) for part in item['loc'])}: {item['msg']}".replace(": :", ":")
            for item in error.errors()
        ]
        raise SourceError(
            f"{file} is no mapping; it says which column is what, e.g. "
            'features = ["power"], subject = "mouse", region = "region"\n' + "\n".join(lines)
        ) from error
    except ValueError as error:
        raise SourceError(f"{file} is not TOML: {error}") from error


def find_embeddings(sources: Iterable[str], *, base: Path) -> list[str]:
    """Files of vectors that `sources` name.

    Raises
    ------
    SourceError
        If there is none, or one is of another kind.
    """
    found = find_sources(sources, base=base)
    wrong = [source for source in found if Path(source).suffix not in FEATURES]
    if wrong or not found:
        kinds = ", ".join(FEATURES)
        raise SourceError(
            f"embeddings come as {kinds}; got {', '.join(wrong) or 'no file'}. Recordings are "
            "ingested without the word `embeddings`"
        )
    return found
