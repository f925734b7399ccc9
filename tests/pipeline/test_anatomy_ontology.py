import logging
import subprocess
import sys

import pytest

from pipeline.anatomy import allen_ontology


def test_ancestors_run_from_the_structure_to_the_root():
    path = allen_ontology().ancestors("VISpm6a")
    assert path[:2] == ("VISpm6a", "VISpm")
    assert "Isocortex" in path
    assert path[-2:] == ("grey", "root")


def test_every_structure_but_the_root_hangs_below_the_root():
    tree = allen_ontology()
    assert len(tree.structures) == 1327
    assert all(s.ancestors[-1] == "root" for s in tree.structures.values())


def test_full_names_are_found_with_and_without_commas_and_in_any_case():
    tree = allen_ontology()
    for name in ("Dentate gyrus molecular layer", "dentate gyrus, molecular layer"):
        assert tree.find(name) == ("DG-mo",)


def test_an_acronym_is_exact_before_it_is_folded():
    tree = allen_ontology()
    assert tree.find("CM") == ("CM",)
    assert tree.find("cm") == ("cm",)
    assert set(tree.find("Cm")) == {"CM", "cm"}


def test_every_acronym_and_every_full_name_leads_back_to_its_structure():
    tree = allen_ontology()
    assert all(tree.find(s.acronym) == (s.acronym,) for s in tree.structures.values())
    assert all(
        tree.find(s.name) == (s.acronym,) for s in tree.structures.values()
        if s.name not in tree.structures
    )  # fmt: skip


def test_mappings_equal_those_of_iblatlas():
    from iblatlas.regions import BrainRegions

    ids, tree = BrainRegions(), allen_ontology()
    for acronym in ("CA1sp", "VISp2/3", "LGd", "SCs", "BLA"):
        assert tree[acronym].cosmos == ids.acronym2acronym(acronym, mapping="Cosmos")[0]
        assert tree[acronym].beryl == ids.acronym2acronym(acronym, mapping="Beryl")[0]


def test_a_missing_acronym_says_how_to_look():
    with pytest.raises(KeyError, match="find"):
        allen_ontology()["XYZ"]


def test_importing_anatomy_reads_no_atlas_and_the_atlas_leaves_logging_alone():
    code = "import sys, pipeline.anatomy; sys.exit('iblatlas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    before = list(logging.getLogger().handlers), logging.getLogger().level
    allen_ontology.__wrapped__()
    assert before == (list(logging.getLogger().handlers), logging.getLogger().level)
