"""How a cleaned text becomes a region: exact names, explicit tables, ancestry in the ontology."""

from collections.abc import Callable
from functools import lru_cache

from .labels import Label, unknown, without_hemisphere
from .ontology import Ontology, allen_ontology
from .tables import (
    ALIASES,
    CONDITIONS,
    DK_ALIASES,
    DK_LOBES,
    DK_NOWHERE,
    DK_SUBCORTICAL,
    LFP2VEC5,
)


def _allen_structures(text: str) -> tuple[str, ...] | Label:
    """Allen acronyms that make up a name; a Label with the reason if it is none."""
    tree = allen_ontology()
    for name in dict.fromkeys((text, without_hemisphere(text))):
        found = tree.find(name) or ALIASES.get(name.casefold(), ())
        if len(found) > 1 and name.casefold() not in ALIASES:
            return unknown(f"ambiguous: {text!r} could be any of {', '.join(found)}")
        if found:
            return unknown("no structure assigned (root)") if found == ("root",) else found
    return unknown(f"not in the Allen ontology: {text!r}")


def _agree(text: str, found: tuple[str, ...], place: Callable[[str], str | None]) -> Label | None:
    """The one region all parts fall in; None if none does; a reason if they differ."""
    placed = [place(acronym) for acronym in found]
    if len(set(placed)) > 1:
        named = ", ".join(sorted({str(p) for p in placed if p}))
        return unknown(f"coarser than the scheme: {text!r} reaches into {named} and more")
    return Label(placed[0]) if placed[0] else None


def match_allen(text: str) -> Label:
    """The Allen structure of that acronym or name."""
    found = _allen_structures(text)
    if isinstance(found, Label):
        return found
    if len(found) > 1:
        return unknown(f"no single Allen structure: {text!r} is {' + '.join(found)}")
    return Label(found[0])


def match_mapping(attribute: str) -> Callable[[str], Label]:
    """A matcher into a coarser mapping of the ontology, ``cosmos`` or ``beryl``."""

    def place(tree: Ontology, acronym: str) -> str | None:
        region = getattr(tree[acronym], attribute)
        return None if region in ("root", "void") else region

    return _match_by(place, lambda: mapped_regions(attribute))


def match_lfp2vec5(text: str) -> Label:
    """A hippocampal field or the visual family, by ancestry."""
    return Label("cortex") if text.casefold() == "cortex" else _match_fields(text)


def match_roots(roots: dict[str, tuple[str, ...]]) -> Callable[[str], Label]:
    """A matcher by ancestry, from regions to the Allen structures that begin them.

    A structure that holds one region inside another is in neither.
    """
    root_of = {root: region for region, names in roots.items() for root in names}

    def place(tree: Ontology, acronym: str) -> str | None:
        region = next((root_of[a] for a in tree.ancestors(acronym) if a in root_of), None)
        held = {root_of[r] for r in root_of if acronym in tree.ancestors(r)}
        return None if held - {region} else region

    return _match_by(place, lambda: tuple(root_of))


def _match_by(
    place: Callable[[Ontology, str], str | None], roots: Callable[[], tuple[str, ...]]
) -> Callable[[str], Label]:
    """A matcher of the region that all parts of a name are placed in; `roots` begin regions."""

    def match(text: str) -> Label:
        found = _allen_structures(text)
        if isinstance(found, Label):
            return found
        tree = allen_ontology()
        placed = _agree(text, found, lambda acronym: place(tree, acronym))
        return placed or unknown(_why_not(found, text, roots()))

    return match


_match_fields = match_roots(LFP2VEC5)


def match_condition(text: str) -> Label:
    """Whether a session is of a diseased animal or of a control."""
    name = text.casefold()
    return Label(name) if name in CONDITIONS else unknown(f"no condition of a session: {text!r}")


def _why_not(found: tuple[str, ...], text: str, roots: tuple[str, ...]) -> str:
    tree = allen_ontology()
    inside = [r for r in roots if set(found) & set(tree.ancestors(r))]
    if inside:
        return f"coarser than the scheme: {text!r} holds {', '.join(inside[:4])}"
    return f"outside the scheme: {text!r} is {' > '.join(tree.ancestors(found[0])[1:4]) or 'root'}"


@lru_cache(maxsize=2)
def mapped_regions(attribute: str) -> tuple[str, ...]:
    """Regions of a coarser mapping (``cosmos``, ``beryl``) in the order of the tree."""
    tree = allen_ontology()
    used = {getattr(s, attribute) for s in tree.structures.values()} - {"root", "void"}
    return tuple(a for a in tree.structures if a in used)


def allen_regions() -> tuple[str, ...]:
    """Every structure that says where something is."""
    return tuple(a for a in allen_ontology().structures if a not in ("root", "grey"))


DK_REGIONS = (*(r for lobe in DK_LOBES.values() for r in lobe), *DK_SUBCORTICAL)
_DK_FOLDED = {r.casefold(): r for r in DK_REGIONS} | DK_ALIASES
_LOBE_OF = {r: lobe for lobe, members in DK_LOBES.items() for r in members}


def match_desikan_killiany(text: str) -> Label:
    """FreeSurfer's label without its side."""
    name = without_hemisphere(text).casefold()
    if name in DK_NOWHERE:
        return unknown(DK_NOWHERE[name])
    if name in _DK_FOLDED:
        return Label(_DK_FOLDED[name])
    return unknown(f"not a Desikan-Killiany label: {text!r}")


def match_lobe(text: str) -> Label:
    """A lobe by its name or by the Desikan-Killiany label in it."""
    name = without_hemisphere(text).casefold().removesuffix(" lobe")
    if name in DK_LOBES:
        return Label(name)
    label = match_desikan_killiany(text)
    if label.region in _LOBE_OF:
        return Label(_LOBE_OF[label.region])
    return unknown(f"in no lobe: {text!r}") if label.region else label
