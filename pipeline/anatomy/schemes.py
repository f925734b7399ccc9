"""Label schemes: which regions a study tells apart, and how a file's text becomes one of them.

Matching is by exact name and by ancestry in the Allen ontology, never by substring or id range.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from .both_species import match_both
from .labels import Label, clean, unknown, why_unlabelled
from .matching import (
    DK_REGIONS,
    allen_regions,
    mapped_regions,
    match_allen,
    match_condition,
    match_desikan_killiany,
    match_lfp2vec5,
    match_lobe,
    match_mapping,
)
from .tables import BOTH_SPECIES, CONDITIONS, DK_LOBES, LFP2VEC5

EVIDENCE = ("histology", "target", "coordinates", "expert", "unknown")
"""How a channel's label came about, best first; ``target`` is where the probe was meant to go."""

STRONGEST_FIRST = ("histology", "expert", "coordinates", "target", "unknown")
"""The same in the order in which one is taken where a channel has several labels."""

OF_SUBJECT = "subject"
"""Evidence of a label that says nothing of a place: what is known of the animal."""


@dataclass(frozen=True)
class LabelScheme:
    """A fixed vocabulary of regions.

    Attributes
    ----------
    name
        Key of the registry.
    description
        One line for the table.
    list_regions
        All regions, in display order; empty for an open vocabulary.
    match
        From a cleaned, known text to a Label.
    match_in
        The same where the species matters; None where it does not.
    """

    name: str
    description: str
    list_regions: Callable[[], tuple[str, ...]]
    match: Callable[[str], Label]
    match_in: Callable[[str, str | None], Label] | None = None


def map_label(raw: str | None, scheme: str, species: str | None = None) -> Label:
    """The region of ``scheme`` a file's text names, or None with the reason.

    Parameters
    ----------
    species
        Of which the text is (Latin name); schemes of one species do not ask for it.

    Raises
    ------
    KeyError
        If no scheme has that name.
    """
    return _map(None if raw is None else str(raw), get_scheme(scheme).name, species)


def map_labels(raw: Iterable[str | None], scheme: str) -> list[Label]:
    """``map_label`` over many texts."""
    return [map_label(text, scheme) for text in raw]


def regions(scheme: str) -> tuple[str, ...]:
    """Every region of a scheme in display order; empty where any text is a region."""
    return get_scheme(scheme).list_regions()


def get_scheme(name: str) -> LabelScheme:
    """The scheme of that name."""
    if name not in SCHEMES:
        raise KeyError(f"no label scheme {name!r}; there are {sorted(SCHEMES)}")
    return SCHEMES[name]


@lru_cache(maxsize=65536)
def _map(raw: str | None, scheme: str, species: str | None) -> Label:
    text = clean(raw)
    if reason := why_unlabelled(text):
        return unknown(reason)
    found = SCHEMES[scheme]
    return found.match_in(text, species) if found.match_in else found.match(text)


SCHEMES: dict[str, LabelScheme] = {
    scheme.name: scheme
    for scheme in (
        LabelScheme("lfp2vec5", "CA1, CA2, CA3, DG and visual cortex (He et al. 2025)",
                    lambda: tuple(LFP2VEC5), match_lfp2vec5),
        LabelScheme("Cosmos", "ten major divisions of the mouse brain (IBL)",
                    lambda: mapped_regions("cosmos"), match_mapping("cosmos")),
        LabelScheme("Beryl", "areas and nuclei of the mouse brain without layers (IBL)",
                    lambda: mapped_regions("beryl"), match_mapping("beryl")),
        LabelScheme("Allen", "every structure of the Allen mouse ontology",
                    allen_regions, match_allen),
        LabelScheme("Desikan-Killiany", "human cortical and subcortical labels, sides folded",
                    lambda: DK_REGIONS, match_desikan_killiany),
        LabelScheme("lobe", "human lobes, hippocampus and amygdala",
                    lambda: tuple(DK_LOBES), match_lobe),
        LabelScheme("mouse-macaque", "six divisions that a mouse and a macaque both have",
                    lambda: tuple(BOTH_SPECIES), lambda text: match_both(text, None), match_both),
        LabelScheme("condition", "diseased or control, of a whole session and of no place",
                    lambda: CONDITIONS, match_condition),
        LabelScheme("as_given", "the text in the file, cleaned", tuple, Label),
    )
}  # fmt: skip
"""Every scheme by name."""
