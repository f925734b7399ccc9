"""Windows of every modality: cut once, trained on and tested on by all."""

import datajoint as dj

from . import recording, session
from ._guard import Guarded
from ._jobs import Leased
from ._params import ParamSet, Task

schema = dj.Schema()


@schema
class LfpParamSet(ParamSet):
    definition = """
    # How raw LFP becomes model input: band, reference, decimation.
    lfp_params : varchar(64)
    ---
    lfp_params_digest : char(64)         # sha256 of the values
    lfp_params_json : json
    highpass_hz = null : float64         # (Hz)
    lowpass_hz = null : float64          # (Hz)
    unique index (lfp_params_digest)
    """
    key = "lfp_params"
    promoted = {"highpass_hz": "highpass_hz", "lowpass_hz": "lowpass_hz"}

    @classmethod
    def params_class(cls, values):
        from pipeline.preprocessing.lfp import LfpParams

        return LfpParams


@schema
class BinParamSet(ParamSet):
    definition = """
    # How spikes and behaviour are binned.
    bin_params : varchar(64)
    ---
    bin_params_digest : char(64)         # sha256 of the values
    bin_params_json : json
    bin_s : float64                      # bin width (s)
    unique index (bin_params_digest)
    """
    key = "bin_params"
    promoted = {"bin_s": "bin_s"}

    @classmethod
    def params_class(cls, values):
        from pipeline.preprocessing.binning import BinParams

        return BinParams


@schema
class WindowParamSet(ParamSet):
    definition = """
    # Length, placement and number of windows.
    window_params : varchar(64)
    ---
    window_params_digest : char(64)      # sha256 of the values
    window_params_json : json
    length_s : float64                   # window length (s)
    unique index (window_params_digest)
    """
    key = "window_params"
    promoted = {"length_s": "length_s"}

    @classmethod
    def params_class(cls, values):
        from pipeline.preprocessing.windows import WindowParams

        return WindowParams


@schema
class WindowsTask(Task):
    definition = """
    # Asked for: these windows of this session.
    windows : char(64)                   # sha256 of session, sources and parameters
    ---
    -> session.Session
    -> WindowParamSet
    -> [nullable] LfpParamSet
    -> [nullable] BinParamSet
    """
    key = "windows"


@schema
class WindowsLfp(Guarded, dj.Manual):
    definition = """
    # The LFP series a windows task reads.
    -> WindowsTask
    ---
    -> recording.LfpSeries
    """


@schema
class WindowsUnits(Guarded, dj.Manual):
    definition = """
    # The file whose units a windows task bins.
    -> WindowsTask
    ---
    -> recording.Ingestion
    """


@schema
class WindowsBehavior(Guarded, dj.Manual):
    definition = """
    # The behaviour a windows task samples.
    -> WindowsTask
    ---
    -> recording.BehaviorSeries
    """


@schema
class WindowsFeatures(Guarded, dj.Manual):
    definition = """
    # The vectors made elsewhere that a windows task holds.
    -> WindowsTask
    ---
    -> recording.FeatureSeries
    """


@schema
class WindowsInvalid(Guarded, dj.Manual):
    definition = """
    # A file whose invalid intervals a windows task leaves out.
    -> WindowsTask
    -> recording.Ingestion
    """


@schema
class Windows(Leased, dj.Computed):
    definition = """
    # Windows of one session, ready for models.
    -> WindowsTask
    ---
    n_windows : int32
    n_kept : int64                       # (window, channel) pairs that survived rejection
    lfp_rate_out = null : float64        # after the chain (Hz)
    window_start_s : <npy@arrays>        # (window) (s, session clock)
    reasons : <npy@arrays>               # (window, channel) uint8, index into REASONS, 0 = kept
    lfp = null : <npy@arrays>            # (window, time, channel) float32 (µV)
    spikes = null : <npy@arrays>         # (window, bin, unit) counts
    behavior = null : <npy@arrays>       # (window, bin, variable) float32, as written
    features = null : <npy@arrays>       # (window, channel, feature) float32
    window_notes : json                  # steps skipped and why
    content_digest : char(64)            # sha256 over the arrays
    """

    class Site(dj.Part):
        definition = """
        # Which channel each column of the arrays is.
        -> master
        site : int32                     # column of lfp, reasons and features
        ---
        -> recording.Channel
        """

    class Cell(dj.Part):
        definition = """
        # Which unit each column of spikes is.
        -> master
        cell : int32                     # column of spikes
        ---
        -> recording.Unit
        """

    class Rejected(dj.Part):
        definition = """
        # How many (window, channel) pairs were rejected, and why.
        -> master
        reason : varchar(32)
        ---
        n_rejected : int64
        """

    def make_fetch(self, key, **options):
        from ._windows import request

        return (request(key),)

    def make_compute(self, key, asked, **options):
        from ._windows import cut

        return (cut(asked),)

    def make_insert(self, key, made, **options):
        from ._windows import store

        store(self, key, made)
