"""Science: arrays in, arrays out. Never imports datajoint.

params, recording    values and arrays with units
nwb                  files to recordings
anatomy              region ontologies, label schemes, matching
preprocessing        filter chain, binning, windows, splits
nn, models           shared blocks; one file per model family, one registry
training             the one training loop, batches, checkpoints
evaluation           metrics, probes, silhouettes, controls
analyses             spectra, probe-aware smoothing, figures, the report
synthetic            a laboratory of simulated recordings
"""

import os

# Threads that wait for each other sleep instead of spinning. On a machine that does something else
# as well, spinning made training eight times slower. Read when torch loads its OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
