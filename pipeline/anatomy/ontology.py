"""The Allen mouse ontology: acronyms, full names, ancestors, colours and coarser mappings.

Read once from the table that ships with iblatlas (no download); the first call pays the import.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Structure:
    """One structure of the ontology.

    Attributes
    ----------
    acronym, name
        As iblatlas prints them (``DG-mo``, ``Dentate gyrus molecular layer``).
    ancestors
        Acronyms from the structure itself up to ``root``.
    color
        Atlas colour, ``#rrggbb``.
    cosmos, beryl
        The structure in the coarser mappings; ``root`` where they are finer than it.
    order
        Position in the flattened tree.
    """

    acronym: str
    name: str
    ancestors: tuple[str, ...]
    color: str
    cosmos: str
    beryl: str
    order: int


@dataclass(frozen=True)
class Ontology:
    """All structures, found by exact acronym, by acronym without case, or by full name."""

    structures: dict[str, Structure]
    by_folded: dict[str, tuple[str, ...]]
    by_name: dict[str, str]

    def find(self, text: str) -> tuple[str, ...]:
        """Acronyms a text can mean: one, none, or several that differ only in case."""
        if text in self.structures:
            return (text,)
        name = self.by_name.get(fold_name(text))
        return (name,) if name else self.by_folded.get(text.casefold(), ())

    def ancestors(self, acronym: str) -> tuple[str, ...]:
        """The structure itself first, then its parents up to ``root``."""
        return self[acronym].ancestors

    def descendants(self, acronym: str) -> frozenset[str]:
        """The structure and everything below it."""
        _ = self[acronym]
        return frozenset(a for a, s in self.structures.items() if acronym in s.ancestors)

    def __getitem__(self, acronym: str) -> Structure:
        try:
            return self.structures[acronym]
        except KeyError:
            raise KeyError(
                f"no structure {acronym!r} in the Allen ontology of {len(self.structures)}; "
                "acronyms are matched with their case, use find() for anything else"
            ) from None


def fold_name(name: str) -> str:
    """A full name without commas, case and repeated spaces."""
    return " ".join(name.replace(",", " ").casefold().split())


@lru_cache(maxsize=1)
def allen_ontology() -> Ontology:
    """The ontology of one hemisphere (1327 structures, ``root`` included, ``void`` not)."""
    from iblatlas.regions import BrainRegions

    tree = BrainRegions()
    right = [i for i in range(len(tree.id)) if tree.id[i] > 0]
    acronym = [str(a) for a in tree.acronym]
    index_of = {int(tree.id[i]): i for i in right}
    parents = {i: index_of.get(int(tree.parent[i])) if i != index_of[997] else None for i in right}
    cosmos, beryl = tree.mappings["Cosmos"], tree.mappings["Beryl"]
    structures = {
        acronym[i]: Structure(
            acronym=acronym[i],
            name=str(tree.name[i]),
            ancestors=tuple(acronym[j] for j in _climb(i, parents)),
            color="#{:02x}{:02x}{:02x}".format(*(int(c) for c in tree.rgb[i])),
            cosmos=acronym[cosmos[i]],
            beryl=acronym[beryl[i]],
            order=n,
        )
        for n, i in enumerate(right)
    }
    return Ontology(
        structures=structures,
        by_folded=_group((a.casefold(), a) for a in structures),
        by_name={fold_name(s.name): s.acronym for s in structures.values()},
    )


def _climb(index: int, parents: dict[int, int | None]) -> list[int]:
    path = [index]
    while (parent := parents[path[-1]]) is not None:
        path.append(parent)
    return path


def _group(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    grouped: dict[str, tuple[str, ...]] = {}
    for key, value in pairs:
        grouped[key] = (*grouped.get(key, ()), value)
    return grouped
