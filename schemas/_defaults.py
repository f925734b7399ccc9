"""What every database holds from the start."""

from . import anatomy


def register_schemes() -> None:
    """Insert the label schemes this package knows."""
    from pipeline.anatomy import SCHEMES

    anatomy.LabelScheme.insert(
        [
            {
                "scheme": name,
                "scheme_description": scheme.description[:512],
                "regions": list(scheme.list_regions()),
            }
            for name, scheme in SCHEMES.items()
        ],
        skip_duplicates=True,
    )
