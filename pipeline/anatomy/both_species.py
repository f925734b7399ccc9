"""Regions that a mouse and a macaque both have: one name may mean another place in the other."""

from .labels import Label, unknown, without_hemisphere
from .matching import match_roots
from .tables import BOTH_SPECIES, MACAQUE

_NAMED = {
    name.strip(): region for region, names in MACAQUE.items() for name in names.split(";")
}  # fmt: skip
PRIMATES = ("macaca", "macaque", "rhesus", "ncbitaxon_9544", "ncbitaxon_9541", "ncbitaxon_9545")
RODENTS = ("mus ", "mus_", "rattus", "mouse", "ncbitaxon_10090", "ncbitaxon_10116")

match_mouse = match_roots(BOTH_SPECIES)


def match_both(text: str, species: str | None) -> Label:
    """The region of a name as used of that species.

    Where the species is not told, a name must mean the same of both, or be known of one alone:
    PMd is the dorsal premotor cortex of a macaque and a nucleus of the mouse's hypothalamus.
    """
    if text.casefold() in BOTH_SPECIES:
        return Label(text.casefold())
    told = (species or "").casefold() + " "
    if any(name in told for name in PRIMATES):
        return _match_macaque(text)
    if any(name in told for name in RODENTS):
        return match_mouse(text)
    if species:
        return unknown(f"no table of names for {species}")
    mouse, macaque = match_mouse(text), _match_macaque(text)
    if macaque.region is None or macaque == mouse:
        return mouse
    if "not in the Allen ontology" in (mouse.reason or ""):
        return macaque
    said = mouse.region or mouse.reason
    return unknown(f"ambiguous: {text!r} is {macaque.region} in a macaque; in a mouse: {said}")


def _match_macaque(text: str) -> Label:
    found = _NAMED.get(without_hemisphere(text).casefold())
    return Label(found) if found else unknown(f"no name used of a macaque: {text!r}")
