"""What every real recording at hand is: outcome, counts and warnings."""

# file: layout, probes, channels, channels with a region, LFP (samples, columns, Hz) or None,
#       units, spikes, rows of intervals, behavioural series, words of each warning
EXPECTED = {
    "nwb/sub-4_ses-4_ecephys+image.nwb": (
        "generic", 19, 19, 19, None, 35, 214278, 450, 2, ["read as mm"]),
    "nwb/buzsaki_DT9_20170428_stub.nwb": (
        "generic", 2, 96, 96, (100, 96, 1250.0), 10, 1725, 0, 0, []),
    "nwb/sub-anm369963_ses-20170228.nwb": (
        "generic", 1, 64, 64, None, 1, 1679, 178, 2, ["x, y, z are 0"]),
    "nwb/aibs.nwb": (
        "allen", 6, 10, 8, None, 0, 0, 90, 14, ["cut apart from its index", "10 units left out"]),
    "nwb/aibs_ecephys.nwb": (
        "allen", 1, 87, 10, (10, 87, 1249.9988), 0, 0, 0, 0,
        ["declares 624.999 Hz", "87 columns but 10 electrodes"]),
    "nwb/aibs_ecephys_fulltable_norootattrs.h5": (
        "allen", 1, 87, 72, (10, 87, 1249.9988), 0, 0, 0, 0,
        ["no nwb_version", "declares 624.999 Hz"]),
    "nwb/sub-001_ses-1.nwb": (
        "generic", 1, 384, 0, (13163, 384, 2500.0), 0, 0, 0, 0, []),
    "ieeg_nwb/sub-BW001_ses-supereeg_ieeg.nwb": (
        "generic", 1, 64, 64, (1000, 64, 200.0), 0, 0, 0, 0, []),
    "ieeg_nwb/sub-CH003_ses-supereeg_ieeg.nwb": (
        "generic", 1, 64, 61, (5000, 64, 256.0), 0, 0, 0, 0, []),
    "ieeg_nwb/sub-CH012_ses-supereeg_ieeg.nwb": (
        "generic", 1, 64, 63, (5000, 64, 256.0), 0, 0, 0, 0, []),
    "ieeg_nwb/sub-mneecogpat01_ses-seizure_ieeg.nwb": (
        "generic", 3, 76, 0, (21658, 76, 999.4121), 0, 0, 3, 1, []),
    "rodent_nwb/sub-CSR6_ses-20180320-sq8_ecephys.nwb": (
        "generic", 9, 32, 32, (225000, 32, 250.0), 50, 3136, 0, 3, []),
    "rodent_nwb/sub-Jango_ses-20160626-day0_ecephys.nwb": (
        "generic", 1, 96, 96, None, 0, 0, 299, 3, []),
    "rodent_nwb/sub-K265_ses-20190611_ecephys.nwb": (
        "generic", 1, 31, 31, None, 50, 63414, 0, 0, []),
    "rodent_nwb/sub-T170_ses-20180911_ecephys.nwb": (
        "generic", 1, 13, 13, None, 21, 8951, 0, 0, []),
    "rodent_nwb/sub-T179_ses-20190321_ecephys.nwb": (
        "generic", 1, 10, 10, None, 11, 34977, 0, 0, []),
    "rodent_nwb/sub-T181_ses-20191111_ecephys.nwb": (
        "generic", 1, 65, 65, None, 115, 98072, 0, 0, []),
    "rodent_nwb/sub-T182_ses-20181001_ecephys.nwb": (
        "generic", 1, 23, 23, None, 53, 36208, 0, 0, []),
    "rodent_nwb/sub-T196_ses-20190509_ecephys.nwb": (
        "generic", 1, 10, 10, None, 18, 15838, 0, 0, []),
    "rodent_nwb/sub-T209_ses-20190522_ecephys.nwb": (
        "generic", 1, 13, 13, None, 22, 56059, 0, 0, []),
    "rodent_nwb/sub-T219_ses-20191203_ecephys.nwb": (
        "generic", 1, 112, 112, None, 196, 319869, 0, 0, []),
    "rodent_nwb/sub-T224_ses-20200116_ecephys.nwb": (
        "generic", 1, 89, 89, None, 223, 264606, 0, 0, []),
    "rodent_nwb/sub-install_ses-20170708-lineartrack_ecephys.nwb": (
        "generic", 13, 13, 0, None, 31, 28829, 0, 2, []),
}  # fmt: skip
REFUSED = {"nwb/20080606_R1.nwb": "is NWB 1.0.6; NWB 2 or later is read; write it anew"}
