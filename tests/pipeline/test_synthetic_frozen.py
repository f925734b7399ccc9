"""The synthetic laboratories are frozen: models are compared on them.

Changing a constant voids every figure measured before (bench/README.md and the reports of twins):
whoever does measures them all again and then writes the new values here.
"""

from dataclasses import asdict

import numpy as np
import pytest
from scipy import signal

from pipeline.params import digest
from pipeline.synthetic import LabParams, simulate_session
from pipeline.synthetic.behavior import LOCKING
from pipeline.synthetic.laboratories import HARDWARE
from pipeline.synthetic.regions import OUTSIDE, TRACKS
from pipeline.synthetic.signals import SMOOTH_UM

VOID = "figures measured on the synthetic laboratories are void: see this file's first lines"
CONSTANTS = "da57a75540f6bb54954ea6a190839f9066a0e6282f7a1d7e06d194c5ac1a7aa8"
EDGES_HZ = (1, 4, 8, 12, 30, 60, 100, 200, 300, 500)
RECORDED_DB = {
    "allen": (31.04, 26.86, 24.68, 17.93, 10.8, 6.17, 0.66, -4.18, -8.1),
    "ibl": (26.22, 23.2, 20.31, 15.42, 10.2, 3.16, -6.53, -19.12, -33.81),
}
"""Mean power (dB re 1 µV²/Hz) between these edges of one session of each laboratory."""


def bands(layout):
    params = LabParams(
        layout=layout, channels=8, duration_s=6.0, units=0, seed=77, bad_channels=0, artifacts=0
    )
    made = simulate_session(params, 1)
    freqs, density = signal.welch(made.probes[0].lfp, made.rate, nperseg=2048, axis=0)
    inside = [(freqs >= a) & (freqs < b) for a, b in zip(EDGES_HZ[:-1], EDGES_HZ[1:], strict=True)]
    return [float(10 * np.log10(density[band]).mean()) for band in inside]


def test_no_constant_of_the_compared_laboratories_has_changed():
    constants = {
        "hardware": {name: asdict(HARDWARE[name]) for name in ("allen", "generic", "ibl")},
        "tracks": [[asdict(region) for region in track] for track in TRACKS],
        "outside": asdict(OUTSIDE),
        "locking": LOCKING,
        "smooth_um": SMOOTH_UM,
        "laboratory": LabParams().to_json(),
    }
    assert digest(constants) == CONSTANTS, VOID


@pytest.mark.parametrize("layout", RECORDED_DB)
def test_a_session_is_recorded_as_it_was(layout):
    assert bands(layout) == pytest.approx(RECORDED_DB[layout], abs=0.02), VOID


def test_the_second_laboratory_hears_as_much_less_as_the_reference_found():
    """Allen over IBL: 3.3, 33 and 768 times the power at 200, 300 and 500 Hz."""
    from pipeline.synthetic.laboratories import response

    freqs = np.array([100.0, 200.0, 300.0, 500.0])
    allen, ibl = (response(HARDWARE[name], freqs) / HARDWARE[name].gain for name in RECORDED_DB)
    assert (allen / ibl) ** 2 == pytest.approx([1, 3.3, 33, 768], rel=1e-3)
