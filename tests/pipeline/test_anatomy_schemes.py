from collections import Counter

import pytest

from pipeline.anatomy import SCHEMES, allen_ontology, class_colors, map_label, regions
from pipeline.anatomy.labels import REASON_LENGTH, Label, without_hemisphere


@pytest.mark.parametrize(
    ("raw", "scheme", "region"),
    [
        ("VISp", "lfp2vec5", "cortex"),
        ("VISpm6a", "lfp2vec5", "cortex"),
        ("VISmma", "lfp2vec5", "cortex"),
        ("VISrl5", "lfp2vec5", "cortex"),
        ("Cortex", "lfp2vec5", "cortex"),
        ("DG-mo", "lfp2vec5", "DG"),
        ("CA1sp", "lfp2vec5", "CA1"),
        ("Field CA3", "lfp2vec5", "CA3"),
        ("Dentate gyrus molecular layer", "Beryl", "DG"),
        ("VISpm6a", "Beryl", "VISpm"),
        ("VISpm6a", "Allen", "VISpm6a"),
        ("SUB", "Cosmos", "HPF"),
        ("RSC", "Cosmos", "Isocortex"),
        ("RSC", "Allen", "RSP"),
        ("retrosplenial", "Allen", "RSP"),
        ("hpc", "Cosmos", "HPF"),
        ("ls", "Allen", "LS"),
        ("PrL", "Beryl", "PL"),
        ("SC", "Cosmos", "MB"),
        ("PPC", "lfp2vec5", "cortex"),
        ("brain_region: ALM; brain_subregion: N/A; cortical_layer: 5", "Beryl", "MOs"),
        ("ctx-lh-superiortemporal", "Desikan-Killiany", "superiortemporal"),
        ("ctx_rh_superiortemporal", "Desikan-Killiany", "superiortemporal"),
        ("Left-Hippocampus", "Desikan-Killiany", "Hippocampus"),
        ("b'amygdala_right'", "lobe", "amygdala"),
        ("hippocampus_right", "lobe", "hippocampus"),
        ("ctx-rh-isthmuscingulate", "lobe", "cingulate"),
        ("Temporal lobe", "lobe", "temporal"),
        ("VISp", "as_given", "VISp"),
    ],
)
def test_names_that_files_use_find_their_region(raw, scheme, region):
    assert map_label(raw, scheme) == Label(region)


@pytest.mark.parametrize(
    ("raw", "scheme", "reason"),
    [
        (None, "as_given", "empty"),
        ("", "lfp2vec5", "empty"),
        ("unknown", "as_given", "unknown"),
        ("ctx-lh-unknown", "Desikan-Killiany", "unknown"),
        ("grey", "Cosmos", "grey matter"),
        ("root", "Beryl", "root"),
        ("void", "Allen", "outside the brain"),
        ("VISC", "lfp2vec5", "outside the scheme"),
        ("SSp-bfd4", "lfp2vec5", "outside the scheme"),
        ("SUB", "lfp2vec5", "outside the scheme"),
        ("HPF", "lfp2vec5", "coarser than the scheme"),
        ("amygdala_right", "Cosmos", "coarser than the scheme"),
        ("xCA1", "lfp2vec5", "not in the Allen ontology"),
        ("CA1|DG", "lfp2vec5", "not in the Allen ontology"),
        ("aIC", "Allen", "not in the Allen ontology"),
        ("Cm", "Allen", "ambiguous"),
        ("SC", "Allen", "no single Allen structure"),
        ("fiber tracts", "Cosmos", "outside the scheme"),
        ("Left-Cerebral-White-Matter", "lobe", "white matter"),
        ("VISp", "lobe", "not a Desikan-Killiany label"),
    ],
)
def test_what_has_no_region_has_a_reason(raw, scheme, reason):
    label = map_label(raw, scheme)
    assert label.region is None
    assert label.reason.startswith(reason) or reason in label.reason


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_region_of_a_scheme_maps_to_itself(scheme):
    assert [map_label(r, scheme).region for r in regions(scheme)] == list(regions(scheme))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_any_structure_gets_a_region_of_the_scheme_or_a_reason(scheme):
    allowed = set(regions(scheme))
    for acronym in [*list(allen_ontology().structures)[::7], "x" * 500]:
        label = map_label(acronym, scheme)
        assert (label.region is None) != (label.reason is None)
        assert label.region is None or not allowed or label.region in allowed
        assert label.reason is None or len(label.reason) <= REASON_LENGTH


def test_mapped_regions_hold_the_structure_by_ancestry():
    tree = allen_ontology()
    for acronym in tree.structures:
        region = map_label(acronym, "Cosmos").region
        assert region is None or region in tree.ancestors(acronym)


def test_a_side_is_taken_off_only_where_it_is_set_apart():
    sided = ("ctx-lh-insula", "Left-Amygdala", "CA1_right", "CA1_l", "CA1 (R)", "right DG")
    assert [without_hemisphere(s) for s in sided] == [
        "insula",
        "Amygdala",
        "CA1",
        "CA1",
        "CA1",
        "DG",
    ]
    for name in ("VISl", "LHA", "SSp-ll", "Lateral habenula", "SSp-ul"):
        assert without_hemisphere(name) == name


def test_an_unknown_scheme_names_those_there_are():
    with pytest.raises(KeyError, match="Cosmos"):
        map_label("CA1", "cosmo")


def test_classes_of_one_picture_never_share_a_colour():
    for scheme in ("lfp2vec5", "Cosmos", "lobe", "Desikan-Killiany"):
        colors = class_colors(regions(scheme), scheme)
        assert list(colors) == list(regions(scheme))
        assert len(set(colors.values())) == len(colors)
    assert class_colors(["CA1"], "lfp2vec5")["CA1"] == allen_ontology()["CA1"].color


@pytest.mark.real
@pytest.mark.parametrize("subject", ["BW001", "CH003", "CH012"])
def test_lobes_equal_those_the_real_files_carry(real_data, subject):
    import h5py

    path = real_data / "ieeg_nwb" / f"sub-{subject}_ses-supereeg_ieeg.nwb"
    with h5py.File(path) as file:
        table = file["general/extracellular_ephys/electrodes"]
        location = [x.decode() for x in table["location"][:]]
        lobe = [x.decode() for x in table["lobe"][:]]
        atlas = [x.decode() for x in table["desikan_killiany"][:]]
    assert [map_label(x, "lobe").region or "other" for x in location] == lobe
    assert [map_label(x, "lobe") for x in location] == [map_label(x, "lobe") for x in atlas]


@pytest.mark.real
def test_only_one_name_in_all_real_rodent_files_is_in_no_ontology(real_data):
    import h5py

    missing = Counter()
    for path in sorted((real_data / "rodent_nwb").glob("*.nwb")):
        with h5py.File(path) as file:
            for raw in file["general/extracellular_ephys/electrodes/location"][:]:
                label = map_label(raw.decode(), "Cosmos")
                if label.region is None:
                    missing[raw.decode(), label.reason] += 1
    assert missing == {("unknown", "unknown"): 13, ("aIC", "not in the Allen ontology: 'aIC'"): 9}


@pytest.mark.parametrize(
    ("raw", "species", "region"),
    [
        ("MOp5", "Mus musculus", "primary motor"),
        ("MOs2/3", "Mus musculus", "premotor"),
        ("VISp", "Mus musculus", "other cortex"),
        ("CA3", "Mus musculus", "hippocampus"),
        ("CP", "Mus musculus", "basal ganglia"),
        ("LP", "Mus musculus", "thalamus"),
        ("M1", "Macaca mulatta", "primary motor"),
        ("SMA", "Macaca mulatta", "premotor"),
        ("PMd", "Macaca mulatta", "premotor"),
        ("BG", "Macaca mulatta", "basal ganglia"),
        ("M1", None, "primary motor"),
        ("SMA", None, "premotor"),
    ],
)
def test_a_mouse_and_a_macaque_meet_in_one_scheme(raw, species, region):
    assert map_label(raw, "mouse-macaque", species).region == region


@pytest.mark.parametrize(
    ("raw", "species", "reason"),
    [
        ("PMd", "Mus musculus", "outside the scheme"),  # dorsal premammillary nucleus
        ("PMd", None, "ambiguous"),
        ("VISp", "Macaca mulatta", "no name used of a macaque"),
        ("MO", "Mus musculus", "coarser than the scheme"),
        ("Isocortex", "Mus musculus", "coarser than the scheme"),
        ("LS", "Mus musculus", "outside the scheme"),
        ("M1", "Homo sapiens", "no table of names"),
        ("diseases", None, "no"),
    ],
)
def test_a_name_of_the_other_species_is_no_region(raw, species, reason):
    label = map_label(raw, "mouse-macaque", species)
    assert label.region is None
    assert reason in label.reason
