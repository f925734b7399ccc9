"""Names that recordings use and the Allen ontology does not: explicit, exact, with sources."""

UNKNOWN = {
    "": "empty",
    "nan": "empty",
    "none": "empty",
    "null": "empty",
    "n/a": "empty",
    "na": "empty",
    "unknown": "unknown",
    "unk": "unknown",
    "unlabeled": "unknown",
    "unlabelled": "unknown",
    "other": "unknown",
    "not set": "unknown",
    "void": "outside the brain",
    "out": "outside the brain",
    "outside brain": "outside the brain",
    "root": "no structure assigned (root)",
    "grey": "grey matter, no structure assigned",
    "gray": "grey matter, no structure assigned",
    "grey matter": "grey matter, no structure assigned",
    "no area": "no structure assigned",
}
"""Texts that mean "no label" (case folded) and the reason stored for them."""

ALIASES: dict[str, tuple[str, ...]] = {
    # common words
    "hippocampus": ("HIP",),
    "hpc": ("HIP",),
    "hipp": ("HIP",),
    "cortex": ("Isocortex",),
    "neocortex": ("Isocortex",),
    "retrosplenial": ("RSP",),
    "retrosplenial cortex": ("RSP",),
    "rsc": ("RSP",),
    "lateral septum": ("LS",),
    "septum": ("LSX", "MSC"),
    "visual cortex": ("VIS",),
    "entorhinal cortex": ("ENT",),
    "amygdala": ("LA", "BLA", "BMA", "PA", "sAMY"),
    "superior colliculus": ("SCs", "SCm"),
    "alm": ("MOs",),  # anterior lateral motor cortex: Guo et al. 2014, Neuron 81:179
    "ppc": ("VISa", "VISam"),  # IBL's repeated site: posterior parietal, Allen VISa and VISam
    # rat and mouse atlas of Paxinos, as iblatlas tabulates it beside Allen's
    "m1": ("MOp",),
    "m2": ("MOs",),
    "s1": ("SSp",),
    "v1": ("VISp",),
    "en": ("EP",),
    "ecic": ("ICe",),
    "cic": ("ICc",),
    "sc": ("SCs", "SCm"),
    # rat names of Luo et al. 2020, eLife 9:e59716 and Paxinos & Watson
    "prl": ("PL",),
    "cg1": ("ACAd",),
    "cg2": ("ACAv",),
    "ssc": ("SCs",),
    "dsc": ("SCm",),
    "dstr": ("STRd",),
    "cpu": ("CP",),
}
"""Case-folded name -> Allen acronyms that together make it up."""

LFP2VEC5 = {
    "CA1": ("CA1",),
    "CA2": ("CA2",),
    "CA3": ("CA3",),
    "DG": ("DG",),
    "cortex": ("VIS", "VISa", "VISrl", "VISrll", "VISm", "VISmma", "VISmmp"),
}
"""He et al. 2025: hippocampal fields and the visual family; roots in the Allen ontology.

The family includes the areas Allen files under parietal and retrosplenial cortex, and leaves out
``VISC``, which is visceral.
"""

DK_LOBES = {
    "frontal": (
        "superiorfrontal rostralmiddlefrontal caudalmiddlefrontal parsopercularis parstriangularis "
        "parsorbitalis lateralorbitofrontal medialorbitofrontal precentral paracentral frontalpole"
    ).split(),
    "parietal": ("superiorparietal inferiorparietal supramarginal postcentral precuneus").split(),
    "temporal": (
        "superiortemporal middletemporal inferiortemporal bankssts fusiform transversetemporal "
        "entorhinal temporalpole parahippocampal"
    ).split(),
    "occipital": "lateraloccipital lingual cuneus pericalcarine".split(),
    "cingulate": (
        "rostralanteriorcingulate caudalanteriorcingulate posteriorcingulate isthmuscingulate"
    ).split(),
    "insula": ["insula"],
    "hippocampus": ["Hippocampus"],
    "amygdala": ["Amygdala"],
}
"""Lobe -> Desikan-Killiany labels: FreeSurfer's lobar grouping, Desikan et al. 2006."""

DK_SUBCORTICAL = (
    "Thalamus Caudate Putamen Pallidum Accumbens-area VentralDC Brain-Stem Cerebellum-Cortex"
).split()
"""FreeSurfer aseg structures that no lobe holds."""

DK_ALIASES = {
    "thalamus-proper": "Thalamus",
    "thalamus-proper*": "Thalamus",
    "accumbens": "Accumbens-area",
    "brainstem": "Brain-Stem",
    "cerebellum": "Cerebellum-Cortex",
    "hpc": "Hippocampus",
    "hippocampal": "Hippocampus",
}

DK_NOWHERE = {
    "corpuscallosum": "white matter",
    "cerebral-white-matter": "white matter",
    "cerebellum-white-matter": "white matter",
    "wm-hypointensities": "white matter",
    "csf": "outside the brain",
    "lateral-ventricle": "ventricle",
    "inf-lat-vent": "ventricle",
    "3rd-ventricle": "ventricle",
    "4th-ventricle": "ventricle",
}

DK_COLORS = {
    "frontal": "#4477aa",
    "parietal": "#66ccee",
    "temporal": "#228833",
    "occipital": "#aa3377",
    "cingulate": "#ccbb44",
    "insula": "#ee6677",
    "hippocampus": "#e0861a",
    "amygdala": "#8c564b",
}
"""One colour per lobe, told apart with any colour vision (Tol's bright set and two more)."""

CONDITIONS = ("control", "diseased")
"""What a whole session is, where a study asks for disease and not for place."""

BOTH_SPECIES = {
    "primary motor": ("MOp",),
    "premotor": ("MOs",),
    "other cortex": ("Isocortex",),
    "hippocampus": ("HIP",),
    "basal ganglia": ("STRd", "STRv", "PALd", "STN", "SNr"),
    "thalamus": ("TH",),
}
"""Region of both species -> Allen roots, the most particular first.

MOs as the mouse's counterpart of premotor and supplementary fields is one reading of the
literature (Barthas and Kwan 2017, Trends in Neurosciences 40:181), and not agreed upon.
"""

MACAQUE = {
    "primary motor": "m1; f1; primary motor cortex; primary motor area",
    "premotor": "sma; pre-sma; pmd; pmv; pmc; f2; f3; f4; f5; f6; f7; supplementary motor area; "
    "dorsal premotor cortex; ventral premotor cortex; premotor cortex",
    "other cortex": "s1; v1; v2; v4; mt; lip; ppc; dlpfc; pfc; primary somatosensory cortex; "
    "primary visual cortex; posterior parietal cortex; prefrontal cortex",
    "hippocampus": "hippocampus; hpc; ca1; ca2; ca3; dg; dentate gyrus",
    "basal ganglia": "bg; basal ganglia; caudate; putamen; striatum; globus pallidus; gpe; gpi; "
    "subthalamic nucleus; stn",
    "thalamus": "thalamus; vla; vlp; pulvinar",
}
"""Region of both species -> names used of a macaque (case folded), parted by semicolons."""
