"""From voltage and spike times to windows: filtering, rejection, binning and splits."""

from .binning import BinParams as BinParams
from .binning import bin_spikes as bin_spikes
from .binning import resample_behavior as resample_behavior
from .geometry import Geometry as Geometry
from .lfp import LfpParams as LfpParams
from .lfp import preprocess_lfp as preprocess_lfp
from .readers import ArrayReader as ArrayReader
from .splits import Assignment as Assignment
from .splits import Fold as Fold
from .splits import SplitParams as SplitParams
from .splits import assign_split as assign_split
from .splits import select_windows as select_windows
from .windows import LfpWindows as LfpWindows
from .windows import WindowParams as WindowParams
from .windows import cut_lfp_windows as cut_lfp_windows
from .windows import window_starts as window_starts
