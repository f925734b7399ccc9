"""Where things are: the Allen ontology, label schemes, and matching of the names files use."""

from .colors import class_colors
from .labels import Label
from .ontology import Ontology, Structure, allen_ontology
from .schemes import (
    EVIDENCE,
    OF_SUBJECT,
    SCHEMES,
    STRONGEST_FIRST,
    LabelScheme,
    get_scheme,
    map_label,
    map_labels,
    regions,
)

__all__ = [
    "EVIDENCE",
    "OF_SUBJECT",
    "SCHEMES",
    "STRONGEST_FIRST",
    "Label",
    "LabelScheme",
    "Ontology",
    "Structure",
    "allen_ontology",
    "class_colors",
    "get_scheme",
    "map_label",
    "map_labels",
    "regions",
]
